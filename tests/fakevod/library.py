"""library: what VOD's API still tells of files and tasks when their events are gone, for fakevod.

DescribeTasks, DescribeTaskDetail, SearchMedia and DescribeMediaInfos, with the published rules: tasks of the last 72 hours,
1 to 100 rows a page (10 unless asked), a ScrollToken while there is more, Offset + Limit at most 5,000, TotalCount never more
than 5,000, FinishTime and CreateTime after inclusive and before exclusive (SearchMedia: both ends included).
"""
import collections
import copy
import datetime
import itertools

TASKS_KEPT = 72 * 3600
PAGE, PAGE_MAX = 10, 100
SEARCH_MAX = 5000
INFOS_MAX = 20

SAME_NAME = ("EditMedia", "WechatPublish", "ComposeMedia", "SplitMedia", "WechatMiniProgramPublish", "ReviewAudioVideo",
             "ReduceMediaBitrate", "RebuildMedia", "ExtractTraceWatermark", "ExtractCopyRightWatermark", "QualityInspect",
             "QualityEnhance", "ComplexAdaptiveDynamicStreaming", "DescribeFileAttributes", "RemoveWatermark",
             "CreateAigcAdvancedCustomElement", "CreateAigcCustomVoice", "DescribeAigcFaceInfoAsync", "SceneAigcImage",
             "Transcode", "Concat", "Clip", "CreateImageSprite", "SnapshotByTimeOffset")

# The payload key of an event, and the member of DescribeTaskDetail that holds the same.
MEMBERS = {
    "ProcedureStateChangeEvent": "ProcedureTask",
    "PullCompleteEvent": "PullUploadTask",
    "AigcImageCompleteEvent": "AigcImageTask",
    "AigcVideoCompleteEvent": "AigcVideoTask",
    "ExtractBlindWatermarkComplete": "ExtractBlindWatermarkTask",
    "ProcessImageAsyncCompleteEvent": "ProcessImageAsyncTask",
    "ProcessMediaByMPSCompleteEvent": "ProcessMediaByMPSTask",
    **{f"{name}CompleteEvent": f"{name}Task" for name in SAME_NAME},
}
# Tasks that no event is known of.
SILENT_MEMBERS = ("ImportMediaKnowledge", "SceneAigcVideoTask", "CreateAigcSubjectTask", "AigcVideoRedrawTask",
                  "AigcAudioTask", "CreateAigcAudioCloneTask")
TASK_TYPES = {"WechatPublishTask": "WechatDistribute", "CreateImageSpriteTask": "ImageSprites"}


class ApiError(Exception):
    def __init__(self, code, message=""):
        super().__init__(code)
        self.code, self.message = code, message or code


def iso(time):
    return datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (AttributeError, ValueError):
        raise ApiError("InvalidParameterValue", f"{text!r} is no time") from None


def number(body, name, default, least, most):
    value = body.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise ApiError(f"InvalidParameterValue.{name}", f"{name}: {least} to {most} are allowed")
    return value


def in_range(time, wanted, ends_included=False):
    if not wanted:
        return True
    if time is None:
        return False
    after, before = wanted.get("After"), wanted.get("Before")
    if after and time < parse_time(after):
        return False
    return not before or time < parse_time(before) or (ends_included and time == parse_time(before))


class Task:
    def __init__(self, member, payload, *, task_id, file_id, status, created, finished):
        self.member, self.payload = member, payload
        self.task_id, self.file_id, self.status = task_id, file_id, status
        self.created, self.finished = created, finished
        self.type = TASK_TYPES.get(member) or member.removesuffix("Task")

    def summary(self):
        """Times that are not there yet are empty."""
        payload = self.payload or {}
        return {"TaskId": self.task_id, "Status": self.status, "FileId": self.file_id, "TaskType": self.type,
                **self.times(), "SessionId": payload.get("SessionId") or "",
                "SessionContext": payload.get("SessionContext") or ""}

    def times(self):
        return {"CreateTime": iso(self.created), "BeginProcessTime": iso(self.created),
                "FinishTime": "" if self.finished is None else iso(self.finished)}


class Library:
    """The files and tasks of one application. Mixed into FakeVod, whose lock it uses."""

    def __init__(self):
        self.tasks = collections.OrderedDict()  # TaskId -> Task
        self.files = collections.OrderedDict()  # FileId -> (time, MediaInfo)
        self.scrolls = {}                       # ScrollToken -> what is left to show
        self.next_scroll = itertools.count(1)

    # --- What tests do ------------------------------------------------------------------------------------

    def add_task(self, member, payload, *, task_id=None, file_id=None, status="FINISH", ago=0, took=60):
        """A task that ended `ago` seconds ago, `took` seconds after it was submitted; WAITING and PROCESSING have no end."""
        payload = payload or {}
        task_id = task_id or payload.get("TaskId")
        end = self.wall() - ago
        with self.lock:
            self.tasks[task_id] = Task(member, payload or None, task_id=task_id, file_id=file_id or file_of(payload),
                                       status=status, created=end - took,
                                       finished=None if status in ("WAITING", "PROCESSING") else end)
        return task_id

    def add_file(self, file_id, basic, meta=None, *, ago=0):
        created = self.wall() - ago
        basic = {"Name": "clip", "Type": "mp4", "CreateTime": iso(created), "UpdateTime": iso(created), **(basic or {})}
        with self.lock:
            self.files[file_id] = (int(created), {"FileId": file_id, "BasicInfo": basic, "MetaData": meta})
        return file_id

    def delete_file(self, file_id):
        """The file is gone; the tasks that worked on it stay."""
        with self.lock:
            del self.files[file_id]

    def happen(self, event, ago=0):
        """Makes the file or task exist that the event tells of. Returns whether the API knows of such."""
        key, payload = next(((k, p) for k, p in event.items() if isinstance(p, dict)), (None, None))
        if key == "FileUploadEvent":
            self.add_file(payload["FileId"], payload.get("MediaBasicInfo"), payload.get("MetaData"), ago=ago)
        elif key == "FileDeleteEvent":
            with self.lock:
                for file_id in payload.get("FileIdSet") or ():
                    self.files.pop(file_id, None)
        elif key in MEMBERS and payload.get("TaskId"):
            self.add_task(MEMBERS[key], payload, ago=ago, status=payload.get("Status")
                          if payload.get("Status") in ("WAITING", "PROCESSING", "ABORTED") else "FINISH")
        else:
            return False
        return True

    # --- The actions --------------------------------------------------------------------------------------

    def is_known(self, task):
        return task.created >= self.wall() - TASKS_KEPT

    def DescribeTasks(self, body):
        limit = number(body, "Limit", PAGE, 1, PAGE_MAX)
        token = body.get("ScrollToken")
        with self.lock:
            if token:
                if token not in self.scrolls:
                    raise ApiError("InvalidParameterValue", "ScrollToken")
                found = self.scrolls[token]
            else:
                found = self.find_tasks(body)
            page, rest = found[:limit], found[limit:]
            answer = {"TaskSet": [t.summary() for t in page], "ScrollToken": ""}
            if rest:
                answer["ScrollToken"] = f"scroll-{next(self.next_scroll)}"
                self.scrolls[answer["ScrollToken"]] = rest
            return answer

    def find_tasks(self, body):
        status, file_id = body.get("Status"), body.get("FileId")
        if status not in (None, "WAITING", "PROCESSING", "FINISH"):
            raise ApiError("InvalidParameterValue", "Status")
        found = [t for t in self.tasks.values()
                 if self.is_known(t) and status in (None, t.status) and file_id in (None, t.file_id) and
                 in_range(t.created, body.get("CreateTime")) and in_range(t.finished, body.get("FinishTime"))]
        sort = body.get("Sort") or {"Field": "CreateTime", "Order": "Desc"}
        if sort.get("Field") not in ("CreateTime", "FinishTime") or sort.get("Order") not in ("Asc", "Desc"):
            raise ApiError("InvalidParameterValue", "Sort")
        name = "created" if sort["Field"] == "CreateTime" else "finished"
        return sorted(found, key=lambda t: getattr(t, name) or 0, reverse=sort["Order"] == "Desc")

    def DescribeTaskDetail(self, body):
        with self.lock:
            task = self.tasks.get(body.get("TaskId"))
            if task is None or not self.is_known(task):
                raise ApiError("ResourceNotFound", "the task does not exist")
            return {"TaskType": task.type, "Status": task.status, **task.times(),
                    **dict.fromkeys((*MEMBERS.values(), *SILENT_MEMBERS)), task.member: copy.deepcopy(task.payload)}

    def SearchMedia(self, body):
        limit = number(body, "Limit", PAGE, 1, SEARCH_MAX)
        offset = number(body, "Offset", 0, 0, SEARCH_MAX)
        if offset + limit > SEARCH_MAX:
            raise ApiError("InvalidParameterValue.Limit", "Offset + Limit: at most 5000")
        sort = body.get("Sort") or {"Field": "CreateTime", "Order": "Desc"}
        if sort.get("Field") != "CreateTime" or sort.get("Order") not in ("Asc", "Desc"):
            raise ApiError("InvalidParameterValue", "Sort")
        with self.lock:
            found = [(created, file_id) for file_id, (created, _) in self.files.items()
                     if in_range(created, body.get("CreateTime"), ends_included=True)]
            found.sort(reverse=sort["Order"] == "Desc")
            return {"TotalCount": min(len(found), SEARCH_MAX),
                    "MediaInfoSet": [self.media(file_id, body) for _, file_id in found[offset:offset + limit]]}

    def DescribeMediaInfos(self, body):
        wanted = body.get("FileIds")
        if not isinstance(wanted, list) or not 0 < len(wanted) <= INFOS_MAX:
            raise ApiError("InvalidParameterValue.FileIds", "FileIds: 1 to 20 are allowed")
        with self.lock:
            return {"MediaInfoSet": [self.media(i, body) for i in wanted if i in self.files],
                    "NotExistFileIdSet": [i for i in wanted if i not in self.files]}

    def media(self, file_id, body):
        """A part that is not asked for is null."""
        filters = body.get("Filters") or ["basicInfo", "metaData"]
        info = self.files[file_id][1]
        return {"FileId": file_id, "BasicInfo": info["BasicInfo"] if "basicInfo" in filters else None,
                "MetaData": info["MetaData"] if "metaData" in filters else None, "TranscodeInfo": None}


def file_of(payload):
    """The FileId of a task's own row, which may stand in its input."""
    for part in (payload, payload.get("Input"), payload.get("InputInfo")):
        if isinstance(part, dict) and part.get("FileId"):
            return part["FileId"]
    return payload.get("SrcFileId") or ""

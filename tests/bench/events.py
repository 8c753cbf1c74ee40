"""Events of a given size, in the shape that VOD sends, with values of our own.

MARK stands for the number that load.c gives each request: no two of them are the same event.
"""
import json

MARK = "#" * 19
HOST = "https://1300007777.vod2.example.com/5c1f0a9e"
OTHER_KEYS = ("FileDeleteEvent", "PullCompleteEvent", "EditMediaCompleteEvent", "WechatPublishCompleteEvent",
              "ComposeMediaCompleteEvent", "RestoreMediaCompleteEvent", "TranscodeCompleteEvent",
              "ConcatCompleteEvent", "ClipCompleteEvent", "CreateImageSpriteCompleteEvent",
              "SnapshotByTimeOffsetCompleteEvent")
TASKS = ("TranscodeTask", "AnimatedGraphicTask", "SnapshotByTimeOffsetTask", "SampleSnapshotTask",
         "ImageSpriteTask", "CoverBySnapshotTask", "AdaptiveDynamicStreamingTask")


def meta_data():
    return {"AudioDuration": 347.13598632812, "AudioStreamSet": [{"Bitrate": 127994, "Codec": "aac",
                                                                  "SamplingRate": 44100}],
            "Bitrate": 2381190, "Container": "mov,mp4,m4a,3gp,3g2,mj2", "Duration": 347.14999389648,
            "Height": 1080, "Rotate": 0, "Size": 103329542, "VideoDuration": 347.14999389648,
            "VideoStreamSet": [{"Bitrate": 2248113, "Codec": "h264", "Fps": 25, "Height": 1080, "Width": 1920}],
            "Width": 1920}


def new_file_upload(context):
    event = {"EventType": "NewFileUpload", "FileUploadEvent": {
        "FileId": MARK,
        "MediaBasicInfo": {
            "Name": "海边的早晨 第三集", "Description": "晨光、海浪和一艘渔船", "CreateTime": "2025-03-14T01:59:26Z",
            "UpdateTime": "2025-03-14T01:59:31Z", "ExpireTime": "9999-12-31T23:59:59Z", "ClassId": 20417,
            "ClassName": "纪录片", "ClassPath": "节目/纪录片", "CoverUrl": HOST + "/cover0.jpg", "Type": "mp4",
            "MediaUrl": f"{HOST}{MARK}/morning.mp4", "TagSet": ["sea", "morning"], "StorageRegion": "ap-singapore",
            "SourceInfo": {"SourceType": "Upload", "SourceContext": context}, "Vid": MARK},
        "MetaData": meta_data(),
        "ProcedureTaskId": f"1300007777-Procedure-{MARK}t0", "ReviewAudioVideoTaskId": ""}}
    event["ProcedureStateChangeEvent"] = None
    event.update(dict.fromkeys(OTHER_KEYS))
    return event


def sub_task(kind, member, definition, output):
    result = {"Type": kind}
    result.update(dict.fromkeys(TASKS))
    result[member] = {"Status": "SUCCESS", "ErrCodeExt": "", "ErrCode": 0, "Message": "SUCCESS", "Progress": 100,
                      "Input": {"Definition": definition, "WatermarkSet": None}, "Output": output,
                      "BeginProcessTime": "2025-03-14T02:01:07Z", "FinishTime": "2025-03-14T02:03:50Z"}
    return result


def procedure_state_changed(context):
    tasks = [sub_task("Transcode", "TranscodeTask", n, {
        "Url": f"{HOST}{MARK}/v.f{n}.mp4", "Size": 41993073 + n, "Container": "mov,mp4,m4a,3gp,3g2,mj2",
        "Height": 720, "Width": 1280, "Bitrate": 967442, "Md5": "0f3c55a1d7de4b56a90a7b30a6c1f28e",
        "Duration": 347.20001220703, "Definition": n,
        "VideoStreamSet": [{"Bitrate": 839447, "Codec": "h264", "Fps": 25, "Height": 720, "Width": 1280}],
        "AudioStreamSet": [{"Bitrate": 127995, "Codec": "aac", "SamplingRate": 44100}]})
             for n in (100010, 100020, 100030)]
    tasks.append(sub_task("SampleSnapshot", "SampleSnapshotTask", 10, {
        "Definition": 10, "SampleType": "Percent", "Interval": 10,
        "ImageUrlSet": [f"{HOST}{MARK}/sample/{n}.jpg" for n in range(4)]}))
    tasks.append(sub_task("ImageSprites", "ImageSpriteTask", 10, {
        "Definition": 10, "Height": 80, "Width": 142, "TotalCount": 100,
        "ImageUrlSet": [f"{HOST}{MARK}/sprite/{n}.jpg" for n in range(2)],
        "WebVttUrl": f"{HOST}{MARK}/sprite.vtt"}))
    tasks.append(sub_task("CoverBySnapshot", "CoverBySnapshotTask", 10, {"CoverUrl": f"{HOST}{MARK}/cover10.jpg"}))
    event = {"EventType": "ProcedureStateChanged", "FileUploadEvent": None, "ProcedureStateChangeEvent": {
        "TaskId": f"1300007777-Procedure-{MARK}t0", "Status": "FINISH", "ErrCode": 0, "Message": "SUCCESS",
        "FileId": MARK, "FileName": "海边的早晨 第三集", "FileUrl": f"{HOST}{MARK}/morning.mp4",
        "MetaData": meta_data(), "MediaProcessResultSet": tasks, "AiContentReviewResultSet": [],
        "AiAnalysisResultSet": [], "AiRecognitionResultSet": [], "TasksPriority": 0, "TasksNotifyMode": "Finish",
        "SessionContext": context, "SessionId": "", "Operator": "", "OperationType": ""}}
    event.update(dict.fromkeys(OTHER_KEYS))
    return event


def body(make, size):
    """The event as one line of JSON of exactly `size` bytes: its context, the caller's own text, fills up."""
    def text(context):
        return json.dumps(make(context), ensure_ascii=False, separators=(",", ":")).encode()
    bare = len(text(json.dumps({"note": ""})))
    if not 0 <= size - bare <= 900:
        raise ValueError(f"{make.__name__} has {bare} bytes and cannot have {size}")
    return text(json.dumps({"note": ("order 7731, " * 80)[:size - bare]}))

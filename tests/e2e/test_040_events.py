"""Each event is shown in its entirety, under a summary that a person reads at a glance."""

import json
import re

import pytest
from harness import FILE_ID, TREE, Vodhook, event_text, squeezed, upload

FIXTURES = sorted((TREE / "tests/fixtures/events").rglob("*.json"))

EVERY_MEMBER = {"time", "source", "remote", "kind", "type", "file_id", "file_ids", "task_id", "name", "status", "result",
                "err_code", "err_message", "url", "duration", "size", "session_context", "trust", "reason", "summary",
                "tasks", "event", "method", "target", "headers", "body", "body_bytes", "truncated", "unreadable"}
TEXTS = {"type", "file_id", "task_id", "name", "status", "result", "err_code", "err_message", "url", "session_context",
         "reason", "summary"}


def test_there_are_fixtures():
    assert len(FIXTURES) > 40


@pytest.fixture(scope="module")
def shown_fixtures():
    """The JSON line of every fixture, all from one run."""
    vodhook = Vodhook()
    try:
        lines = {}
        for path in FIXTURES:
            vodhook.post(path.read_bytes())
            lines[path] = vodhook.line()
        assert vodhook.stop()["events"] == len(FIXTURES)
        return lines
    finally:
        vodhook.close()


def as_shown(body):
    """A body as the outputs show it: a good one as it is, but for what must not be shown."""
    text = re.sub("[\u200e\u200f\u2028-\u202e\u2066-\u2069]", lambda m: f"\\u{ord(m[0]):04x}", body.decode("utf-8-sig"))
    text = re.sub(r"(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..", lambda m: m[1] or r"\ufffd", text)
    return squeezed(re.sub(r'"Sign": ?"[^"]*"', '"Sign":"***"', text))


@pytest.mark.parametrize("path", FIXTURES, ids=[path.stem for path in FIXTURES])
def test_json_of_every_fixture(shown_fixtures, path):
    line, body = shown_fixtures[path], path.read_bytes()
    record = json.loads(line)
    assert EVERY_MEMBER <= record.keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    assert (record["source"], record["kind"], record["trust"]) == ("push", "event", "unchecked")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", record["remote"])
    assert record["result"] in ("ok", "failed", "pending", "unknown")
    assert record["type"] and record["summary"].startswith(record["type"])
    for name in TEXTS:
        assert record[name] is None or isinstance(record[name], str), name
    for name in "duration", "size":
        assert record[name] is None or isinstance(record[name], (int, float)), name
    assert record["file_ids"] is None or record["file_ids"][0] == record["file_id"]
    for task in record["tasks"] or []:
        assert task.keys() >= {"type", "definition", "status", "err_code", "url"}
    for name in "method", "target", "headers", "body":
        assert record[name] is None
    assert squeezed(event_text(line)) == as_shown(body)


def test_text_of_every_fixture(start):
    vodhook = start(output="text")
    for path in FIXTURES:
        vodhook.post(path.read_bytes())
    records = vodhook.text()
    assert len(records) == len(FIXTURES)
    for path, (head, *rest) in zip(FIXTURES, records):
        assert squeezed("\n".join(rest)) == as_shown(path.read_bytes())
        assert len(rest) > 2 and rest[1].startswith('        "'), "indented as people read it"


# --- Summaries ---------------------------------------------------------------------------------------------------

def procedure(*tasks, status="FINISH", **more):
    return json.dumps({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": {
        "TaskId": "1256768367-Procedure-2e1af2456351812be963e309cc133403t0", "Status": status, "FileId": FILE_ID,
        "FileName": "holiday", "ErrCode": 0, "Message": "", "MediaProcessResultSet": list(tasks), **more}}).encode()


def transcode(status="SUCCESS", code="", definition=10, output=True, **more):
    task = {"Status": status, "ErrCodeExt": code, "ErrCode": 60000 if code else 0, "Message": "", "Progress": 0,
            "Input": {"Definition": definition},
            "Output": {"Url": "https://vod2.example.com/v.f10.mp4", "Definition": definition} if output else None, **more}
    return {"Type": "Transcode", "TranscodeTask": task, "CoverBySnapshotTask": None}


def cover(status="SUCCESS", **more):
    return {"Type": "CoverBySnapshot", "CoverBySnapshotTask": {
        "Status": status, "ErrCodeExt": "", "ErrCode": 0, "Message": "", "Input": {"Definition": 10},
        "Output": {"CoverUrl": "https://vod2.example.com/cover.jpg"}, **more}}


def test_summary_of_an_upload(vodhook):
    assert vodhook.shown(upload(name="動物世界.mp4"))["summary"] == (
        f'NewFileUpload file={FILE_ID} name="動物世界.mp4" result=ok duration=60.2s size=10.6MB '
        f'url=https://1500000001.vod2.example.com/{FILE_ID}/f0.mp4')


@pytest.mark.parametrize("name, shown", [("holiday.mp4", "holiday.mp4"), ("my holiday.mp4", '"my holiday.mp4"'),
                                         ('a"b', '"a\\"b"'), ("a=b", '"a=b"'), ("a\\b", '"a\\\\b"')])
def test_values_are_quoted_only_where_they_need_it(vodhook, name, shown):
    assert f" name={shown} result=ok " in vodhook.shown(upload(name=name))["summary"]


def test_summary_of_a_flow(vodhook):
    record = vodhook.shown(procedure(transcode("FAIL", "SourceFileError.NoVideoMedia", output=False), cover()))
    assert record["summary"].startswith(
        f"ProcedureStateChanged file={FILE_ID} task=1256768367-Procedure-2e1af2456351812be963e309cc133403t0 ")
    assert " status=FINISH result=failed " in record["summary"]
    assert record["summary"].endswith(" Transcode(10)=FAIL:SourceFileError.NoVideoMedia "
                                      "CoverBySnapshot(10)=SUCCESS:https://vod2.example.com/cover.jpg")
    assert (record["status"], record["result"]) == ("FINISH", "failed")
    assert [(t["type"], t["definition"], t["status"], t["err_code"], t["url"]) for t in record["tasks"]] == [
        ("Transcode", "10", "FAIL", "SourceFileError.NoVideoMedia", None),
        ("CoverBySnapshot", "10", "SUCCESS", None, "https://vod2.example.com/cover.jpg")]


# --- Results -----------------------------------------------------------------------------------------------------

def of(event_type, key, **payload):
    return json.dumps({"EventType": event_type, key: payload}).encode()


def pull(**payload):
    return of("PullComplete", "PullCompleteEvent", **{"TaskId": "t", "FileId": FILE_ID, "Status": "FINISH", "ErrCode": 0,
                                                      "Message": "", **payload})


def review(suggestion):
    return procedure(AiContentReviewResultSet=[{"Type": "Porn", "PornTask": {
        "Status": "SUCCESS", "ErrCodeExt": "", "ErrCode": 0, "Output": {"Confidence": 99, "Suggestion": suggestion}}}])


def legacy(event_type, **data):
    return json.dumps({"version": "4.0", "eventType": event_type, "data": data}).encode()


def wechat(**payload):
    return of("WechatPublishComplete", "WechatPublishCompleteEvent",
              **{"TaskId": "t", "Status": "FINISH", "FileId": FILE_ID, "ErrCode": 0, **payload})


def mini(**payload):
    return of("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent",
              **{"TaskId": "t", "Status": "FINISH", "FileId": FILE_ID, "ErrCode": 0, **payload})


RESULTS = {
    "code": (pull(ErrCode=70000, Message="internal"), "failed"),
    "no code": (pull(), "ok"),
    "extended code": (of("EditMediaComplete", "EditMediaCompleteEvent", Status="FINISH", ErrCode=0,
                         ErrCodeExt="InvalidInput"), "failed"),
    "empty extended code": (of("EditMediaComplete", "EditMediaCompleteEvent", Status="FINISH", ErrCode=0,
                               ErrCodeExt=""), "ok"),
    "waiting": (pull(Status="WAITING"), "pending"),
    "processing": (pull(Status="PROCESSING", Progress=30), "pending"),
    "processing and a code": (pull(Status="PROCESSING", ErrCode=40000), "failed"),
    "progress under 100": (pull(Progress=0), "ok"),
    "failed sub-task of a finished flow": (procedure(transcode("FAIL", "InternalError"), cover()), "failed"),
    "failed sub-task of a flow that goes on": (procedure(transcode("FAIL", "InternalError"), status="PROCESSING"), "failed"),
    "flow whose refused sub-task is missing": (procedure(transcode(), ErrCode=1, Message="x"), "failed"),
    "good flow": (procedure(transcode(), cover()), "ok"),
    "flow that goes on": (procedure(transcode("PROCESSING", output=False), status="PROCESSING"), "pending"),
    "blocked": (review("block"), "ok"),
    "passed": (review("pass"), "ok"),
    "WeChat FAIL": (wechat(WechatStatus="FAIL"), "failed"),
    "WeChat AUDITNOTPASS": (wechat(WechatStatus="AUDITNOTPASS"), "failed"),
    "WeChat SUCCESS": (wechat(WechatStatus="SUCCESS"), "ok"),
    "PublishResult Failed": (mini(PublishResult="Failed"), "failed"),
    "PublishResult Rejected": (mini(PublishResult="Rejected"), "failed"),
    "PublishResult Pass": (mini(PublishResult="Pass"), "ok"),
    "snapshot with an error": (of("CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent", TaskId="t",
                                  SnapshotInfoSet=[{"ErrCode": 0, "Url": "https://a"}, {"ErrCode": 60000}]), "failed"),
    "snapshots": (of("CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent", TaskId="t",
                     SnapshotInfoSet=[{"ErrCode": 0, "Url": "https://a"}]), "ok"),
    "no status": (of("FileDeleted", "FileDeleteEvent", FileIdSet=["1", "2"]), "ok"),
    "unknown type": (of("SomethingNew", "SomethingNewEvent", FileId="1"), "unknown"),
    "unknown type that finished": (of("SomethingNew", "SomethingNewEvent", Status="FINISH"), "ok"),
    "unknown type that failed": (of("SomethingNew", "SomethingNewEvent", Status="FINISH", ErrCode=4, Message="x"), "failed"),
    "SUCCESS": (of("DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", Status="SUCCESS",
                   ErrCode=0), "ok"),
    "FAIL": (of("DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", Status="FAIL",
                ErrCode=0), "failed"),
    "MPS": (of("ProcessMediaByMPSComplete", "ProcessMediaByMPSCompleteEvent", TaskId="t", Status="FINISH", ErrCode=0,
               SubTaskSet=[{"TaskType": "MediaProcess.Transcode", "Status": "FAIL", "ErrCode": "FailedOperation"}]),
            "failed"),
    "restore, integer status": (of("RestoreMediaComplete", "RestoreMediaCompleteEvent", FileId="1", Status=0), "ok"),
    "restore that failed": (of("RestoreMediaComplete", "RestoreMediaCompleteEvent", FileId="1", Status=4), "failed"),
    "legacy code": (legacy("TranscodeComplete", status=-43001, message="x", vodTaskId="t", fileId="1"), "failed"),
    "legacy ok": (legacy("TranscodeComplete", status=0, message="", vodTaskId="t", fileId="1"), "ok"),
    "legacy flow": (legacy("ProcedureStateChanged", status="FINISH", errCode=0, vodTaskId="t", fileId="1", processTaskList=[
        {"taskType": "Transcode", "status": "FAIL", "input": {"definition": 20}}]), "failed"),
    "legacy flow that goes on": (legacy("ProcedureStateChanged", status="PROCESSING", vodTaskId="t", fileId="1"), "pending"),
}


@pytest.mark.parametrize("body, result", RESULTS.values(), ids=RESULTS)
def test_result(vodhook, body, result):
    record = vodhook.shown(body)
    assert (record["kind"], record["result"]) == ("event", result)
    assert f"result={result}" in record["summary"]


def test_codes_are_texts(vodhook):
    assert vodhook.shown(pull(ErrCode=70000, Message="so sorry"))["err_code"] == "70000"
    assert vodhook.shown(pull(ErrCode=0))["err_code"] is None
    record = vodhook.shown(of("EditMediaComplete", "EditMediaCompleteEvent", Status="FINISH", ErrCode=40000,
                              ErrCodeExt="InvalidInput.TaskDuplicated", Message="twice"))
    assert (record["err_code"], record["err_message"]) == ("InvalidInput.TaskDuplicated", "twice")
    assert vodhook.shown(of("RestoreMediaComplete", "RestoreMediaCompleteEvent", FileId="1", Status=4))["status"] == "4"


# --- Envelopes and quirks ------------------------------------------------------------------------------------------

def test_a_file_id_is_text_and_can_be_large(vodhook):
    for file_id in "14508071098244959037", "00012", "9" * 30:
        record = vodhook.shown(upload(file_id))
        assert (record["file_id"], record["file_ids"]) == (file_id, [file_id])


def test_every_deleted_file(vodhook):
    record = vodhook.shown(of("FileDeleted", "FileDeleteEvent", FileIdSet=["11", "12", "13"]))
    assert (record["file_id"], record["file_ids"]) == ("11", ["11", "12", "13"])


def test_numbers_digit_for_digit(vodhook):
    body = b'{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"1","MetaData":{"Size":12345678901234567890123,' \
           b'"Duration":52.20833206176758,"Bitrate":1.0E+2}}}'
    vodhook.post(body)
    line = vodhook.line()
    assert event_text(line) == body.decode()
    assert '"size":12345678901234567890123,' in line and '"duration":52.20833206176758,' in line


@pytest.mark.parametrize("body", [
    upload(ProcedureStateChangeEvent=None, FileDeleteEvent=None, PullCompleteEvent=None),
    json.dumps({"FileUploadEvent": {"FileId": FILE_ID}, "EventType": "NewFileUpload"}).encode(),
    json.dumps({"A": None, "FileUploadEvent": {"FileId": FILE_ID}, "B": 1, "EventType": "NewFileUpload"}, indent=4).encode(),
    legacy("NewFileUpload", status=0, fileId=FILE_ID),
    json.dumps({"data": {"fileId": FILE_ID, "status": 0}, "eventType": "NewFileUpload", "version": 4}).encode(),
], ids=["explicit nulls", "payload first", "anywhere", "legacy", "legacy, data first"])
def test_envelopes(vodhook, body):
    record = vodhook.shown(body)
    assert (record["type"], record["file_id"], record["result"]) == ("NewFileUpload", FILE_ID, "ok")


@pytest.mark.parametrize("event_type, key", [
    ("WechatPublishComplete", "WechatPublishComplete"), ("WechatPublishComplete", "WechatPublishCompleteEvent"),
    ("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishEvent"),
    ("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent"),
    ("EditMediaComplete", "EditMediaComplete"), ("EditMediaComplete", "EditMediaCompleteEvent"),
    ("ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete"),
    ("RemoveWatermark", "RemoveWatermarkCompleteEvent"),
])
@pytest.mark.parametrize("said", [True, False], ids=["said", "not said"])
def test_both_spellings_of_a_payload_key(vodhook, event_type, key, said):
    body = {key: {"TaskId": "t-1", "Status": "FINISH", "ErrCode": 0}}
    if said:
        body["EventType"] = event_type
    record = vodhook.shown(json.dumps(body).encode())
    assert (record["kind"], record["type"], record["task_id"], record["result"]) == ("event", event_type, "t-1", "ok")


def test_the_payload_decides_over_a_wrong_type_and_the_line_says_so(vodhook):
    record = vodhook.shown(of("NewFileUpload", "PullCompleteEvent", TaskId="t", FileId="1", Status="FINISH"))
    assert (record["type"], record["task_id"]) == ("PullComplete", "t")
    assert "NewFileUpload" in record["summary"]
    record = vodhook.shown(json.dumps({"PullCompleteEvent": {"TaskId": "t", "Status": "FINISH"}}).encode())
    assert record["type"] == "PullComplete"
    assert "missing" in record["summary"]


def test_an_unknown_type_is_taken_in_its_stride(vodhook):
    body = {"EventType": "CreateHologramComplete", "NewFileUploadEvent": None, "Extra": 1, "HologramEvent": {
        "TaskId": "t-9", "FileId": "77", "Status": "FINISH", "ErrCode": 5, "Message": "no light"}}
    record = vodhook.shown(json.dumps(body).encode())
    got = {name: record[name] for name in ("type", "task_id", "file_id", "status", "err_code", "err_message", "result")}
    assert got == {"type": "CreateHologramComplete", "task_id": "t-9", "file_id": "77", "status": "FINISH", "err_code": "5",
                   "err_message": "no light", "result": "failed"}


@pytest.mark.parametrize("body", [b"{}", b"[]", b"[1,2]", b'"text"', b"12", b"null", b'{"EventType":1}',
                                  b'{"EventType":null}', b'[{"EventType":"NewFileUpload"}]',
                                  b'{"a":{"EventType":"NewFileUpload"}}', b"", b"a=b", b"\x89PNG\r\n", b"  \n"])
def test_what_is_no_event_is_a_request(vodhook, body):
    record = vodhook.shown(body)
    assert (record["kind"], record["unreadable"], record["body_bytes"]) == ("request", False, len(body))
    assert EVERY_MEMBER <= record.keys()
    for name in TEXTS - {"summary"} | {"file_ids", "duration", "size", "tasks", "event"}:
        assert record[name] is None, name


def test_an_event_needs_no_payload(vodhook):
    for body, event_type in ((b'{"EventType":"NewFileUpload"}', "NewFileUpload"), (b'{"eventType":"X"}', "X")):
        record = vodhook.shown(body)
        assert (record["kind"], record["type"]) == ("event", event_type)


def test_local_time_with_its_offset(start):
    vodhook = start(output="text", env={"TZ": "XYZ-05:30"})
    vodhook.post(upload())
    (head, *_), = vodhook.text()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+05:30 NewFileUpload ", head)


def test_session_context(vodhook):
    context = json.dumps({"user": "x", "quote": '"'})
    assert vodhook.shown(pull(SessionContext=context))["session_context"] == context

"""Format 1: whatever is written as JSON is as the schema says, the same in listen and in events."""

import hashlib
import json
import subprocess

import jsonschema
import pytest
from harness import FILE_ID, PROGRAM, TREE, Vodhook, upload

FIXTURES = sorted((TREE / "tests/fixtures/events").rglob("*.json"))
FILE = TREE / "src/record/format-1.schema.json"
SCHEMA = json.loads(FILE.read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
OTHERS = {
    "no event": b'{"a":1}', "empty": b"", "binary": b"\x89PNG\r\n\x00\xff", "broken": b'{"EventType":"NewFileUpload",',
    "array": b"[1]", "lone surrogate": upload(name="NAME").replace(b"NAME", b"a\\ud800b"),
    "bad UTF-8": upload(name="NAME").replace(b"NAME", b"\xff"), "raw NUL": upload(name="NAME").replace(b"NAME", b"\0"),
    "long numbers": b'{"EventType":"X","XEvent":{"Size":' + b"9" * 300 + b',"Duration":0.' + b"3" * 300 + b',"TaskId":' +
                    b"7" * 300 + b"}}",
    "signed": upload(Sign="0" * 32, T=1764000600),
}


def check(line):
    record = json.loads(line)
    VALIDATOR.validate(record)
    assert list(SCHEMA["properties"]) == SCHEMA["required"]
    assert record.keys() == SCHEMA["properties"].keys()
    for task in record["tasks"] or []:
        assert task.keys() == SCHEMA["properties"]["tasks"]["items"]["properties"].keys()
        assert (task["url"] is None) == (task["urls"] is None) and (not task["urls"] or task["urls"][0] == task["url"])
    return record


def events(inbox, *options):
    done = subprocess.run([PROGRAM, "events", "--inbox", inbox, "--output", "json", *options], capture_output=True, text=True,
                          timeout=20, check=True)
    return [check(line) for line in done.stdout.splitlines()]


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    done = subprocess.run([PROGRAM, "events", "--schema"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == FILE.read_text()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What listen showed of every fixture and of what is no event, and what events shows of the inbox afterwards."""
    inbox = tmp_path_factory.mktemp("inbox") / "inbox.db"
    bodies = {path.stem if path.parent.name == "events" else "old " + path.stem: path.read_bytes() for path in FIXTURES} | OTHERS
    vodhook = Vodhook(inbox=str(inbox))
    try:
        lines = {}
        for name, body in bodies.items():
            vodhook.post(body)
            lines[name] = vodhook.line()
        vodhook.stop()
    finally:
        vodhook.close()
    return lines, events(inbox)


def test_every_line_is_as_the_schema_says(shown):
    lines, _ = shown
    for line in lines.values():
        check(line)
    assert len(lines) > 110


def test_events_tells_the_same(shown):
    """But for what only the moment of receipt knows."""
    lines, recorded = shown
    before = {}
    for line in lines.values():
        record = json.loads(line)
        if record["kind"] == "event" and not record["duplicate"]:
            before[record["id"]] = record
    after = {record["id"]: record for record in recorded if record["kind"] == "event"}
    assert before.keys() == after.keys() and len(after) > 100
    for name, record in before.items():
        for member in record.keys() - {"duplicate", "seen", "summary"}:
            assert after[name][member] == record[member], member


def test_an_id_is_the_digest_of_the_inbox(shown):
    _, recorded = shown
    assert all(len(record["id"]) == 64 or record["id"][64] == "-" for record in recorded)
    broken = [record for record in recorded if record["kind"] == "request"]
    body = OTHERS["broken"]
    assert [record["id"] for record in broken] == [hashlib.sha256(b"%d\n%s" % (len(body), body)).hexdigest()]


def test_what_a_consumer_upserts_by(shown):
    lines, _ = shown
    keys = {name: json.loads(line)["key"] for name, line in lines.items()}
    assert keys["NewFileUpload"].startswith("NewFileUpload/52")
    assert keys["ProcedureStateChanged"] == "ProcedureStateChanged/1300000042-Procedure-1a2b/FINISH"
    assert keys["RestoreMediaComplete"] == "RestoreMediaComplete/5285890784000000017/0"
    assert keys["no event"] is keys["broken"] is None
    assert len({key for key in keys.values() if key}) > 60


def test_the_second_delivery_has_the_first_ones_id(start, tmp_path):
    """Also of what may happen twice: its id has the second of the first delivery."""
    inbox = tmp_path / "inbox.db"
    vodhook = start(inbox=str(inbox))
    body = b'{"EventType":"RestoreMediaComplete","RestoreMediaCompleteEvent":{"Status":0,"FileId":"%s"}}' % FILE_ID.encode()
    first, second = vodhook.shown(body), vodhook.shown(b" " + body)
    check(json.dumps(first))
    assert (first["duplicate"], first["seen"], second["duplicate"], second["seen"]) == (False, 1, True, 2)
    assert first["id"] == second["id"] and first["id"][64] == "-"
    assert [record["id"] for record in events(inbox)] == [first["id"]]


def test_everything_that_a_flow_made(shown):
    lines, _ = shown
    tasks = {task["type"]: task for task in json.loads(lines["ProcedureStateChanged"])["tasks"]}
    assert tasks["Transcode"]["urls"] == [tasks["Transcode"]["url"]]
    assert len(tasks["ImageSprites"]["urls"]) > 1 and len(tasks["SampleSnapshot"]["urls"]) > 1
    failed = json.loads(lines["ProcedureStateChanged-failed"])
    assert [task["err_message"] for task in failed["tasks"] if task["err_code"]] != []


def test_both_contexts_and_the_session(shown):
    lines, _ = shown
    flow, new = json.loads(lines["ProcedureStateChanged"]), json.loads(lines["NewFileUpload"])
    assert (flow["session_context"], flow["session_id"]) == ("order=91", "s-1")
    assert new["source_context"] == new["event"]["FileUploadEvent"]["MediaBasicInfo"]["SourceInfo"]["SourceContext"]
    assert new["procedure_task_id"] == new["event"]["FileUploadEvent"]["ProcedureTaskId"]

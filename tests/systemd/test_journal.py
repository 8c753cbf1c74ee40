"""Events in a real journald: the fields, large ones, floods, and a journald that is restarted, stopped or killed."""

import json
import os
import re
import threading
import time
from collections import Counter

import pytest
from box import TREE, wait_for
from client import Load, head, post, recorded, upload

pytestmark = pytest.mark.usefixtures("box")

IDS = dict(re.findall(r'#define (MESSAGE_\w+)[\s\\]+"([0-9a-f]{32})"',
                      (TREE / "include/record/message_ids.h").read_text()))


@pytest.fixture(params=["inbox", "journal"], ids=["inbox required", "journal required"])
def required(request, box):
    """Which sink has to have an event before it is answered."""
    if request.param == "journal":
        box.drop_in("vodhook.service", "required",
                    "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook --inbox none\n")
    box.systemctl("reset-failed", "vodhook.service", "vodhook.socket", check=False)
    box.systemctl("restart", "vodhook.service")
    yield request.param
    if request.param == "journal":
        box.drop_in("vodhook.service", "required", "")
        box.systemctl("restart", "vodhook.service")


def entries_of(box, file_id):
    return box.journal(f"VOD_FILE_ID={file_id}")


def test_event_and_its_fields(box):
    file_id = "5285890784246869930"
    body = upload(file_id)
    assert post(box.connect(), body) == 200
    entry, = entries_of(box, file_id)
    assert entry["MESSAGE"].startswith(f'NewFileUpload file={file_id} name=')
    assert "動物世界.mp4" in entry["MESSAGE"] and "result=ok" in entry["MESSAGE"]
    assert entry["PRIORITY"] == "6" and entry["MESSAGE_ID"] == IDS["MESSAGE_EVENT"]
    assert entry["VOD_EVENT_TYPE"] == "NewFileUpload" and entry["VOD_NAME"] == "動物世界.mp4"
    assert entry["VOD_RESULT"] == "ok" and entry["VOD_SOURCE"] == "push" and entry["VOD_TRUST"] == "unchecked"
    assert entry["VOD_REMOTE"].startswith("127.0.0.1:")
    assert entry["VOD_EVENT"].encode() == body
    assert entry["_SYSTEMD_UNIT"] == "vodhook.service"


def test_nothing_is_logged_twice(box):
    """The journal is the default output under systemd, and then nothing of the event goes to stdout."""
    post(box.connect(), upload(1000))
    about = [e for e in box.journal() if "1000" in str(e.get("MESSAGE"))]
    assert len(about) == 1 and about[0]["_TRANSPORT"] == "journal"


def test_failure_is_a_warning(box):
    failed = {"EventType": "PullComplete", "PullCompleteEvent": {
        "TaskId": "1256768367-Pull-1", "Status": "FINISH", "ErrCode": 60000, "Message": "cannot download",
        "FileId": "1001", "FileUrl": ""}}
    post(box.connect(), json.dumps(failed).encode())
    entry, = [e for e in box.journal("--priority=warning") if e.get("VOD_TASK_ID") == "1256768367-Pull-1"]
    assert entry["PRIORITY"] == "4" and entry["MESSAGE_ID"] == IDS["MESSAGE_EVENT_FAILED"]
    assert entry["VOD_RESULT"] == "failed" and entry["VOD_ERR_CODE"] == "60000" and entry["VOD_STATUS"] == "FINISH"


def test_unreadable_is_a_notice(box):
    post(box.connect(), b'{"EventType": "NewFileUpload", ')
    entry = box.journal(f"MESSAGE_ID={IDS['MESSAGE_UNREADABLE']}")[-1]
    assert entry["PRIORITY"] == "5"


def test_other_requests_are_entries_too(box):
    post(box.connect(), b"", method="GET", target="/step-five?x=1")
    entry = [e for e in box.journal(f"MESSAGE_ID={IDS['MESSAGE_REQUEST']}") if "/step-five" in e["MESSAGE"]]
    assert len(entry) == 1 and entry[0]["PRIORITY"] == "6"


def test_catalog_explains(box):
    post(box.connect(), upload(1002))
    shown = box.run("journalctl", "--no-pager", "-x", "VOD_FILE_ID=1002").stdout
    assert "Subject: An event of Tencent Cloud VOD arrived" in shown
    assert "VOD notified of NewFileUpload" in shown


def test_five_megabytes_arrive_whole(box):
    body = upload(1003, SourceContext="動" * (5 * 1024 * 1024 // 3))
    assert len(body) > 5 * 1024 * 1024
    assert post(box.connect(), body) == 200
    entry, = entries_of(box, 1003)
    assert entry["VOD_EVENT"].encode() == body


def test_two_thousand_files(box):
    ids = [str(5_285_890_000_000_000_000 + i) for i in range(2000)]
    body = json.dumps({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": ids}}).encode()
    assert post(box.connect(), body) == 200
    entry, = entries_of(box, ids[0])
    assert entry["VOD_FILE_ID"] == ids[:256] and entry["VOD_FILE_ID_COUNT"] == "2000"
    assert json.loads(entry["VOD_EVENT"])["FileDeleteEvent"]["FileIdSet"] == ids


def test_journal_and_json_together(box):
    box.drop_in("vodhook.service", "both", "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook --output journal "
                "--output json\nStandardOutput=file:/run/vodhook-test.out\nStandardError=journal\n")
    box.systemctl("restart", "vodhook.service")
    try:
        post(box.connect(), upload(1004))
        out = box.root / "run/vodhook-test.out"
        line, = wait_for("the line", lambda: out.read_text().splitlines())
        assert json.loads(line)["file_id"] == "1004"
        assert len(entries_of(box, 1004)) == 1
    finally:
        box.drop_in("vodhook.service", "both", "")
        box.systemctl("restart", "vodhook.service")


def assert_complete(box, load, may_lack=0):
    assert set(load.outcomes) == {200}, load.outcomes
    want = {str(n) for n in range(load.first, load.next)}
    found = {}

    def all_there():
        found.update((f, n) for f, n in recorded(box).items() if f in want)
        return len(found) >= len(want) - may_lack
    # What was kept for a journald that was away follows within a moment.
    wait_for("every event", all_there)
    assert not [f for f, n in found.items() if n > 1], "an event is there twice"
    return want


def test_journald_restarted(box, required):
    with Load(box, 100_000 + 50_000 * (required == "journal"), pause=0.002) as load:
        for _ in range(3):
            box.systemctl("restart", "systemd-journald")
    print(dict(load.outcomes))
    assert_complete(box, load)


def test_journald_stopped_for_three_seconds(box, required):
    journald = box.main_pid("systemd-journald.service")
    assert journald > 0
    # At a pace that the queue for a journald that is away has room for.
    with Load(box, 200_000 + 50_000 * (required == "journal"), pause=0.005) as load:
        box.run("kill", "-STOP", str(journald))
        time.sleep(3)
        box.run("kill", "-CONT", str(journald))
    print(dict(load.outcomes))
    assert_complete(box, load)


def test_journald_killed(box, required):
    """What waits in journald's socket survives it. The one entry that it has just read, no sender can know of."""
    kills = 2
    with Load(box, 300_000 + 50_000 * (required == "journal"), pause=0.002) as load:
        for _ in range(kills):
            journald = box.main_pid("systemd-journald.service")
            box.run("kill", "-KILL", str(journald))
            wait_for("another journald", lambda: box.main_pid("systemd-journald.service") not in (0, journald))
    print(dict(load.outcomes))
    want = assert_complete(box, load, may_lack=kills)
    if required == "inbox":
        kept = Counter(box.run("sqlite3", "-readonly", "/var/lib/vodhook/inbox.db",
                               "SELECT file_id FROM event_file").stdout.split())
        assert all(kept[file_id] == 1 for file_id in want)


def test_no_journald_socket(box, required):
    """The program notices that an entry is gone where nobody takes it, which sd_journal_sendv(3) does not tell."""
    socket_file = box.root / "run/systemd/journal/socket"
    hidden = socket_file.with_name("hidden")
    os.rename(socket_file, hidden)
    answers = []

    def client(file_id):
        with box.connect() as s:
            body = upload(file_id)
            s.sendall(head(body) + body)
            answers.append((s.recv(1000)[:12], time.monotonic()))

    first = 400_000 + 50_000 * (required == "journal")
    try:
        began = time.monotonic()
        thread = threading.Thread(target=client, args=(first,))
        thread.start()
        thread.join(2)
        if required == "journal":
            assert thread.is_alive(), "answered though it is not recorded"
        else:
            assert answers and answers[0][0] == b"HTTP/1.1 200"
    finally:
        os.rename(hidden, socket_file)
    thread.join(30)
    assert answers[0][0] == b"HTTP/1.1 200"
    print(f"answered {answers[0][1] - began:.1f} s after the request")
    wait_for("the event", lambda: recorded(box)[str(first)] == 1)
    said = [e["MESSAGE"] for e in box.journal("_TRANSPORT=stdout", f"_PID={box.main_pid()}")]
    assert any("journal" in line for line in said), said


def test_no_journald_socket_for_too_long(box):
    """With the journal required, a request is held for 6 s, then closed without an answer."""
    box.drop_in("vodhook.service", "required",
                "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook --inbox none\n")
    box.systemctl("restart", "vodhook.service")
    socket_file = box.root / "run/systemd/journal/socket"
    hidden = socket_file.with_name("hidden")
    os.rename(socket_file, hidden)
    try:
        began = time.monotonic()
        with box.connect() as s:
            body = upload(500_000)
            s.sendall(head(body) + body)
            try:
                received = s.recv(1000)
            except ConnectionResetError:
                received = b""
        took = time.monotonic() - began
    finally:
        os.rename(hidden, socket_file)
        box.drop_in("vodhook.service", "required", "")
    assert received == b"" and 5.5 < took < 20, (received, took)
    assert post(box.connect(), upload(500_001)) == 200
    box.systemctl("restart", "vodhook.service")
    assert recorded(box)["500000"] <= 1


def test_flood_arrives_complete(box):
    """50,000 events as fast as they go: journald's rate limit would drop most of them."""
    box.systemctl("restart", "vodhook.service")
    first, total, batch = 600_000, 50_000, 250
    began = time.monotonic()

    def poster(start, stop):
        with box.connect() as s, s.makefile("rb") as answers:
            for at in range(start, stop, batch):
                bodies = [small(n) for n in range(at, at + batch)]
                s.sendall(b"".join(head(b, close=False) + b for b in bodies))
                for _ in bodies:
                    assert answers.readline().startswith(b"HTTP/1.1 200 ")
                    while answers.readline() != b"\r\n":
                        pass

    halves = [threading.Thread(target=poster, args=(first + h * total // 2, first + (h + 1) * total // 2))
              for h in range(2)]
    for thread in halves:
        thread.start()
    for thread in halves:
        thread.join(120)
    print(f"{total / (time.monotonic() - began):.0f} events/s")
    found = recorded(box)
    assert all(found[str(n)] == 1 for n in range(first, first + total))
    assert not [e for e in box.journal("SYSLOG_IDENTIFIER=systemd-journald", unit=None) if "Suppressed" in e["MESSAGE"]]


def small(n):
    return b'{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"%d"}}' % n

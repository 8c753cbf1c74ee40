"""vodhook reconcile against a VOD of our own: what never came is there afterwards, once, and stays itself when it comes late."""
import contextlib
import json
import os
import pathlib
import pty
import random
import re
import signal
import subprocess
import sys
import time

import pytest

import harness
import inbox as boxes

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fakevod"))
import fakevod  # noqa: E402
import library  # noqa: E402

LONG = os.environ.get("VODHOOK_LONG") == "1"
FILE = 5285890784000000000
HOUR = 3600
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "events"
RIGHTS = {"DescribeTasks", "DescribeTaskDetail", "SearchMedia"}


@pytest.fixture
def vod():
    with fakevod.FakeVod(long_poll=0.2, rate=10 ** 6) as service:
        service.config["UploadMediaCompleteEventSwitch"] = "ON"
        yield service


class Reconciler:
    """vodhook reconcile on the inbox in a folder."""

    def __init__(self, vod, folder):
        self.vod, self.inbox = vod, str(folder / "inbox.db")
        self.environment = {**harness.environment(str(folder)), "TENCENTCLOUD_SECRET_ID": vod.secret_id,
                            "TENCENTCLOUD_SECRET_KEY": vod.secret_key}

    def command(self, *options):
        given = ["--rate", "100"] if "--rate" not in options else []
        return [harness.PROGRAM, "reconcile", "--endpoint", self.vod.endpoint, "--inbox", self.inbox,
                "--config", os.devnull, *given, *options]

    def start(self, *options):
        return subprocess.Popen(self.command(*options), env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self, *options, status=0):
        done = subprocess.run(self.command(*options), env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == status, done.stderr
        return done

    def ask(self, sql, *values):
        return boxes.ask(self.inbox, sql, *values)

    def keys(self):
        """(type, task or file) of each row."""
        return sorted((type, task or file) for type, task, file in self.ask(
            "SELECT type, task_id, (SELECT min(file_id) FROM event_file WHERE event_id = id) FROM event"))


@pytest.fixture
def reconcile(vod, tmp_path):
    return Reconciler(vod, tmp_path)


def key_of(event):
    payload = next(p for p in event.values() if isinstance(p, dict))
    return event["EventType"], payload.get("TaskId") or payload.get("FileId")


def ordinary_day(n, first=0):
    """Uploads, each with a flow."""
    for i in range(first, first + n):
        yield fakevod.upload(FILE + i, "動物世界.mp4")
        yield fakevod.flow(f"1500000001-Procedure-{i}", FILE + i, failed=i % 7 == 0, SessionContext=f"mine-{i}")


# --- The ordinary day --------------------------------------------------------------------------------------------

def test_what_never_came_is_there_afterwards(vod, reconcile):
    events = list(ordinary_day(20))
    for event in events:
        vod.happen(event, ago=HOUR)
    done = reconcile("--output", "json")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(r["source"], r["trust"], r["duplicate"]) for r in shown} == {("reconcile", "verified", False)}
    assert sorted((r["type"], r["task_id"] or r["file_id"]) for r in shown) == sorted(map(key_of, events))
    assert reconcile.keys() == sorted(map(key_of, events))
    assert "40 events were missing and are recorded" in done.stderr
    # The uploads come first, and know the task that VOD began for them.
    assert shown[0]["type"] == "NewFileUpload"
    assert shown[0]["event"]["FileUploadEvent"]["ProcedureTaskId"] == "1500000001-Procedure-0"
    again = reconcile("--output", "json")
    assert again.stdout == "" and " 0 events were missing" in again.stderr
    assert reconcile.ask("SELECT count(*), sum(seen) FROM event") == [(40, 40)]


def test_every_tenth_pushed_event_is_lost_and_comes_late(vod, reconcile, start):
    vodhook = start(inbox=reconcile.inbox, output="none")
    url = f"http://127.0.0.1:{vodhook.port}/"
    events = list(ordinary_day(50))
    lost = vod.push(url, events, drop=10, ago=HOUR)
    assert len(lost) == 10
    reconcile()
    assert reconcile.keys() == sorted(map(key_of, events))
    assert reconcile.ask("SELECT count(*) FROM event WHERE source = 'reconcile'") == [(10,)]
    before = reconcile.ask("SELECT id, digest FROM event ORDER BY id")
    ids = all_ids(reconcile)
    for event in lost:
        event[next(k for k, v in event.items() if isinstance(v, dict))]["Extra"] = "only the real one has this"
    vod.push(url, lost, ago=HOUR)
    vodhook.stop()
    assert reconcile.ask("SELECT id, digest FROM event ORDER BY id") == before and all_ids(reconcile) == ids
    assert reconcile.keys() == sorted(map(key_of, events))
    # Nobody vouches for what is pushed without a key: the event that came from VOD itself stays.
    assert reconcile.ask("SELECT count(*) FROM event WHERE CAST(body AS TEXT) LIKE '%only the real%'") == [(0,)]
    assert reconcile.ask("SELECT count(*) FROM event WHERE seen = 2") == [(10,)]


def all_ids(reconcile):
    done = subprocess.run([harness.PROGRAM, "events", "--output", "json", "--inbox", reconcile.inbox, "--config", os.devnull],
                          env=reconcile.environment, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def test_a_queue_is_lost_and_comes_late(vod, reconcile):
    def pull():
        done = subprocess.run([harness.PROGRAM, "pull", "--once", "--endpoint", vod.endpoint, "--inbox", reconcile.inbox,
                               "--config", os.devnull, "--output", "none"], env=reconcile.environment, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    events = list(ordinary_day(30))
    vod.put(events[:40], ago=HOUR)
    pull()
    vod.put(events[40:], ago=HOUR)
    vod.lose()
    reconcile()
    assert reconcile.keys() == sorted(map(key_of, events))
    before = reconcile.ask("SELECT id, digest FROM event ORDER BY id")
    for event in events[40:]:
        event[next(k for k, v in event.items() if isinstance(v, dict))]["Extra"] = "only the real one has this"
    vod.put(events[40:], ago=HOUR)
    pull()
    assert reconcile.ask("SELECT id, digest FROM event ORDER BY id") == before
    assert reconcile.keys() == sorted(map(key_of, events))
    # What is pulled comes from VOD itself: the inbox now shows it.
    assert reconcile.ask("SELECT count(*) FROM event WHERE CAST(body AS TEXT) LIKE '%only the real%'") == [(20,)]


# --- What VOD tells ----------------------------------------------------------------------------------------------

def fixtures():
    """One event of each type that has a task, with the members as they stand there."""
    for path in sorted(FIXTURES.glob("*.json")):
        with contextlib.suppress(ValueError):
            text = path.read_text()
            event = json.loads(text)
            keys = [k for k, v in event.items() if isinstance(v, dict)]
            if len(keys) == 1 and keys[0] in library.MEMBERS and event.get("EventType") and "old" not in path.parts and \
                    not path.name.startswith("quirk") and \
                    event[keys[0]].get("TaskId") and event[keys[0]].get("Status") not in ("PROCESSING", "WAITING"):
                yield path.stem, event, keys[0]


@pytest.mark.parametrize("first_way", ["reconcile", "pull"])
def test_every_type_both_ways(vod, reconcile, first_way):
    """Reconciled first and pulled later, or the other way round: one row of each, with the same id."""
    events = {}
    for name, event, key in fixtures():
        event[key]["TaskId"] += f"-{name}"
        events[name] = event
    assert len({e["EventType"] for e in events.values()}) == 30
    for event in events.values():
        vod.happen(event, ago=HOUR)

    def pull():
        vod.put(events.values(), ago=HOUR)
        subprocess.run([harness.PROGRAM, "pull", "--once", "--endpoint", vod.endpoint, "--inbox", reconcile.inbox, "--config",
                        os.devnull, "--output", "none"], env=reconcile.environment, capture_output=True, timeout=120,
                       check=True)
    if first_way == "pull":
        pull()
    reconcile("--uploads", "off")
    count = len(events)
    assert reconcile.ask("SELECT count(*) FROM event WHERE type IS NOT NULL") == [(count,)]
    if first_way == "reconcile":
        ids = all_ids(reconcile)
        pull()
        assert all_ids(reconcile) == ids
    assert reconcile.ask("SELECT count(*) FROM event") == [(count,)]
    for event in events.values():
        payload = next(v for v in event.values() if isinstance(v, dict))
        (body,), = reconcile.ask("SELECT CAST(body AS TEXT) FROM event WHERE task_id = ?", payload["TaskId"])
        assert json.loads(body)["EventType"] == event["EventType"]
        assert payload in json.loads(body).values()


def test_an_event_without_the_id_of_its_task(vod, reconcile):
    event = json.loads((FIXTURES / "ProcessImageAsyncCompleteEvent.json").read_text())
    vod.add_task("ProcessImageAsyncTask", event["ProcessImageAsyncCompleteEvent"], task_id="image-1", ago=HOUR)
    reconcile()
    assert reconcile.ask("SELECT type FROM event") == [("ProcessImageAsyncCompleteEvent",)]
    assert " 0 events were missing" in reconcile().stderr
    assert reconcile("--check-only").stdout == ""


def test_numbers_keep_their_digits(vod, reconcile):
    vod.happen(fakevod.flow("t-1", FILE), ago=HOUR)
    text = '{"Response":{"Status":"FINISH","EditMediaTask":null,"ProcedureTask":{"TaskId":"t-1","Status":"FINISH",' \
           '"Big":12345678901234567890,"Exact":1.50,"Name":"\\u52d5 \\"a\\""},"RequestId":"r"}}'
    vod.misbehave("text", text, action="DescribeTaskDetail")
    reconcile()
    assert reconcile.ask("SELECT CAST(body AS TEXT) FROM event") == [
        ('{"EventType":"ProcedureStateChanged","ProcedureStateChangeEvent":{"TaskId":"t-1","Status":"FINISH",'
         '"Big":12345678901234567890,"Exact":1.50,"Name":"\\u52d5 \\"a\\""}}',)]


def test_tasks_without_an_event_are_counted(vod, reconcile):
    for member in library.SILENT_MEMBERS:
        vod.add_task(member, {"TaskId": f"silent-{member}", "Status": "FINISH"}, ago=HOUR)
    vod.happen(fakevod.flow("none", FILE, TasksNotifyMode="None"), ago=HOUR)
    vod.happen(fakevod.flow("t-1", FILE), ago=HOUR)
    done = reconcile()
    assert reconcile.keys() == [("ProcedureStateChanged", "t-1")]
    assert "7 tasks have no event" in done.stderr
    assert reconcile("--check-only").stdout == ""


def test_an_aborted_task(vod, reconcile):
    vod.add_task("ProcedureTask", {"TaskId": "t-1", "Status": "PROCESSING", "FileId": str(FILE)}, status="ABORTED", ago=HOUR)
    vod.add_task("ProcedureTask", None, task_id="t-2", status="ABORTED", ago=HOUR)
    reconcile()
    assert reconcile.ask("SELECT task_id, status, result FROM event") == [("t-1", "ABORTED", "failed")]
    assert "0 events were missing" in reconcile().stderr


def test_a_flow_that_was_told_of_before_its_end(vod, reconcile, start):
    vodhook = start(inbox=reconcile.inbox, output="none")
    vodhook.post(json.dumps(fakevod.flow("t-1", FILE, "PROCESSING")).encode())
    vod.happen(fakevod.flow("t-1", FILE), ago=HOUR)
    vod.happen(fakevod.flow("t-2", FILE, "PROCESSING"), ago=HOUR)
    reconcile()
    vodhook.stop()
    assert reconcile.ask("SELECT task_id, status, source FROM event ORDER BY id") == [
        ("t-1", "PROCESSING", "push"), ("t-1", "FINISH", "reconcile")]


def test_a_deleted_file(vod, reconcile):
    vod.happen(fakevod.upload(FILE), ago=HOUR)
    vod.happen(fakevod.flow("t-1", FILE), ago=HOUR)
    vod.delete_file(str(FILE))
    reconcile()
    assert reconcile.keys() == [("ProcedureStateChanged", "t-1")]


def test_uploads_where_vod_tells_of_them(vod, reconcile):
    vod.happen(fakevod.upload(FILE), ago=HOUR)
    vod.config["UploadMediaCompleteEventSwitch"] = "OFF"
    reconcile()
    assert reconcile.keys() == []
    reconcile("--uploads")
    assert reconcile.keys() == [("NewFileUpload", str(FILE))]
    vod.happen(fakevod.upload(FILE + 1), ago=HOUR)
    vod.config["UploadMediaCompleteEventSwitch"] = "ON"
    reconcile("--uploads", "off")
    assert len(reconcile.keys()) == 1
    reconcile()
    assert len(reconcile.keys()) == 2


def test_null_members_of_an_upload(vod, reconcile):
    vod.add_file(str(FILE), {"Name": None, "MediaUrl": "http://a.example/1"}, None, ago=HOUR)
    vod.add_task("ReviewAudioVideoTask", {"TaskId": "review-1", "Status": "FINISH", "Input": {"FileId": str(FILE)}}, ago=HOUR)
    reconcile()
    (body,), = reconcile.ask("SELECT CAST(body AS TEXT) FROM event WHERE type = 'NewFileUpload'")
    upload = json.loads(body)["FileUploadEvent"]
    assert upload["MetaData"] is None and upload["MediaBasicInfo"]["Name"] is None
    assert upload["ReviewAudioVideoTaskId"] == "review-1" and "ProcedureTaskId" not in upload


# --- When --------------------------------------------------------------------------------------------------------

def test_the_young_are_left_to_vod(vod, reconcile):
    vod.happen(fakevod.flow("young", FILE), ago=60)
    vod.happen(fakevod.upload(FILE), ago=60)
    done = reconcile("--uploads", "on")
    assert reconcile.keys() == [] and "left to VOD" in done.stderr
    reconcile("--grace", "30s")
    assert len(reconcile.keys()) == 2


def test_since(vod, reconcile):
    vod.happen(fakevod.flow("old", FILE), ago=30 * HOUR)
    vod.happen(fakevod.flow("oldest", FILE), ago=73 * HOUR)
    reconcile()
    assert reconcile.keys() == []
    reconcile("--since", time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() - 72 * HOUR)))
    assert reconcile.keys() == [("ProcedureStateChanged", "old")]
    reconcile("--since", "72h")
    assert len(reconcile.keys()) == 1
    assert "72x" in reconcile("--since", "72x", status=2).stderr


@pytest.mark.parametrize("skew", [-280, 280])
def test_a_clock_that_is_a_little_off(vod, reconcile, skew):
    vod.skew = skew
    vod.happen(fakevod.flow("young", FILE), ago=8 * 60)
    vod.happen(fakevod.flow("t-1", FILE), ago=12 * 60)
    vod.happen(fakevod.upload(FILE), ago=12 * 60)
    reconcile()
    assert reconcile.keys() == [("NewFileUpload", str(FILE)), ("ProcedureStateChanged", "t-1")]


def test_a_clock_that_is_far_off_is_named(vod, reconcile):
    vod.skew = 1000
    assert re.search(r"clock is (9|10)\d\d s slow", reconcile(status=1).stderr)


def test_one_page_a_run_where_nothing_is_missing(vod, reconcile, start):
    vodhook = start(inbox=reconcile.inbox, output="none")
    vod.push(f"http://127.0.0.1:{vodhook.port}/", ordinary_day(150), ago=50 * HOUR)
    vodhook.stop()
    reconcile("--since", "last")
    for i in range(20):
        vod.happen(fakevod.flow(f"new-{i}", FILE), ago=900)
    reconcile("--since", "last")
    assert ("ProcedureStateChanged", "new-19") in reconcile.keys()
    vod.calls.clear()
    reconcile("--since", "last")
    assert vod.calls == {"DescribeEventConfig": 1, "SearchMedia": 1, "DescribeTasks": 1}


def test_what_was_left_is_found_by_the_next_run(vod, reconcile):
    for i in range(3):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=5 * HOUR - i)
    vod.misbehave("text", "{", action="DescribeTaskDetail")
    assert "Task t-0 is left out" in reconcile("--since", "last", status=1).stderr
    assert [k[1] for k in reconcile.keys()] == ["t-1", "t-2"]
    reconcile("--since", "last")
    assert len(reconcile.keys()) == 3


def test_what_the_inbox_let_go_stays_gone(vod, reconcile, start):
    vodhook = start(inbox=reconcile.inbox, output="none")
    vod.push(f"http://127.0.0.1:{vodhook.port}/", ordinary_day(5), ago=HOUR)
    vodhook.stop()
    boxes.change(reconcile.inbox, "DELETE FROM event WHERE id < 5")
    reconcile()
    assert reconcile.ask("SELECT count(*) FROM event WHERE source = 'reconcile'") == [(0,)]


# --- Check only --------------------------------------------------------------------------------------------------

def test_check_only(vod, reconcile):
    assert reconcile("--check-only").stdout == ""
    for event in ordinary_day(2):
        vod.happen(event, ago=HOUR)
    done = reconcile("--check-only", status=1)
    assert len(done.stdout.splitlines()) == 4 and "1500000001-Procedure-1" in done.stdout
    assert "4 events were missing" in done.stderr and "recorded" not in done.stderr
    assert not os.path.exists(reconcile.inbox)
    shown = [json.loads(line) for line in reconcile("--check-only", "--output", "json", status=1).stdout.splitlines()]
    assert [r["source"] for r in shown] == ["reconcile"] * 4
    reconcile()
    assert reconcile("--check-only").stdout == ""
    vod.misbehave("error", "UnauthorizedOperation", action="DescribeTasks")
    reconcile("--check-only", status=69)


# --- Trouble -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("action", sorted(RIGHTS))
def test_a_key_without_a_right(vod, reconcile, action):
    for event in ordinary_day(2):
        vod.happen(event, ago=HOUR)
    vod.rights = RIGHTS - {action} | {"DescribeEventConfig"}
    assert f"vod:{action}" in reconcile(status=1).stderr
    if action == "SearchMedia":  # which costs nobody the tasks
        assert len(reconcile.keys()) == 2


def test_the_three_rights_are_enough(vod, reconcile, start):
    vod.rights = RIGHTS
    for event in ordinary_day(2):
        vod.happen(event, ago=HOUR)
    assert "vod:DescribeEventConfig" in reconcile().stderr
    assert len(reconcile.keys()) == 2  # VOD has never told of an upload
    vodhook = start(inbox=reconcile.inbox, output="none")
    vod.push(f"http://127.0.0.1:{vodhook.port}/", [fakevod.upload(FILE)])
    vodhook.stop()
    reconcile()
    assert len(reconcile.keys()) == 4


def test_sub_app_id(vod, reconcile):
    vod.sub_app_id = 1500000001
    vod.happen(fakevod.flow("t-1", FILE), ago=HOUR)
    assert "--sub-app-id" in reconcile(status=1).stderr
    reconcile("--sub-app-id", "1500000001")
    assert len(reconcile.keys()) == 1


@pytest.mark.parametrize("kind, value", [("error", "InternalError"), ("error", "RequestLimitExceeded"), ("status", 502),
                                         ("cut", 20)])
@pytest.mark.parametrize("action", ["DescribeTasks", "DescribeTaskDetail", "SearchMedia"])
def test_trouble_that_passes(vod, reconcile, kind, value, action):
    for event in ordinary_day(2):
        vod.happen(event, ago=HOUR)
    vod.misbehave(kind, value, action=action)
    assert action in reconcile().stderr
    assert len(reconcile.keys()) == 4


@pytest.mark.parametrize("kind, value", [("text", "<html>"), ("text", ""), ("text", '{"Response":{"RequestId":"r"}}'),
                                         ("error", "ResourceNotFound"), ("error", "InvalidParameterValue"),
                                         ("huge", 40_000_000)])
def test_a_broken_answer_costs_its_task_only(vod, reconcile, kind, value):
    for i in range(5):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=HOUR - i)
    vod.misbehave(kind, value, action="DescribeTaskDetail")
    done = reconcile(status=1)
    assert [k[1] for k in reconcile.keys()] == [f"t-{i}" for i in range(1, 5)]
    assert "Task t-0 is left out" in done.stderr and "1 could not be looked into" in done.stderr
    reconcile()
    assert len(reconcile.keys()) == 5


def test_the_rate_is_kept(vod, reconcile):
    for i in range(20):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=HOUR)
    began = time.monotonic()
    reconcile("--rate", "10")
    assert time.monotonic() - began >= (sum(vod.calls.values()) - 1) / 10 - 0.2


def test_no_inbox(vod, reconcile):
    reconcile.inbox = "none"
    assert "--inbox" in reconcile(status=78).stderr


def test_progress_on_a_terminal(vod, reconcile):
    for i in range(30):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=HOUR)
    main, side = pty.openpty()
    process = subprocess.Popen(reconcile.command("--output", "none"), env=reconcile.environment, stdin=subprocess.DEVNULL,
                               stderr=side)
    os.close(side)
    said = b""
    with contextlib.suppress(OSError):
        while more := os.read(main, 4096):
            said += more
    os.close(main)
    assert process.wait(60) == 0
    assert re.search(rb"\d+ tasks and \d+ files looked at, \d+ missing, \d+ calls\r", said)


# --- Large, interrupted, together --------------------------------------------------------------------------------

def peak_memory(process):
    """The most it has used, in bytes, asked until it ends."""
    most = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, TypeError):
            most = max(most, int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]))
        time.sleep(0.05)  # the pace of the looks, not a wait
    return most * 1024


def test_ten_thousand_tasks_in_three_days(vod, reconcile, start):
    """A tenth is missing: the calls are a page for every hundred and one for each that is missing."""
    tasks, missing = 10_000, 1000
    events = [fakevod.flow(f"t-{i}", FILE + i) for i in range(tasks)]
    for i, event in enumerate(events):
        vod.happen(event, ago=71 * HOUR - i * 20)
    vodhook = start(inbox=reconcile.inbox, output="none")
    with vodhook.connect() as client:
        for i, event in enumerate(events):
            if i % 10:
                client.send(harness.request(body=json.dumps(event).encode()))
                assert client.answer().status == 200
    vodhook.stop()
    process = reconcile.start("--since", "72h", "--output", "none", "--uploads", "off")
    memory = peak_memory(process)
    assert process.wait() == 0, process.stderr.read()
    assert reconcile.ask("SELECT count(*), count(DISTINCT task_id) FROM event") == [(tasks, tasks)]
    assert vod.calls == {"DescribeTasks": tasks // 100, "DescribeTaskDetail": missing}
    assert memory < 40e6 or harness.SANITIZED


def test_more_files_than_one_search_shows(vod, reconcile):
    for i in range(12_000):
        created = int(vod.wall()) - 20 * HOUR + i
        vod.files[str(FILE + i)] = (created, {"FileId": str(FILE + i), "MetaData": None,
                                              "BasicInfo": {"Name": "a", "CreateTime": library.iso(created)}})
    done = reconcile("--check-only", "--output", "json", status=1)
    found = [json.loads(line)["file_id"] for line in done.stdout.splitlines()]
    assert len(found) == len(set(found)) == 12_000
    assert not [c for c in vod.bad_calls if c[0] == "SearchMedia"]


def test_killed_again_and_again(vod, reconcile):
    dice = random.Random(1)
    events = list(ordinary_day(150 if LONG else 60))
    for event in events:
        vod.happen(event, ago=HOUR)
    for _ in range(30):
        with reconcile.start("--output", "none") as process:
            calls = sum(vod.calls.values()) + dice.randint(1, 12)
            vod.wait_until(lambda: sum(vod.calls.values()) >= calls or process.poll() is not None, 30)
            process.kill()
    reconcile()
    assert reconcile.keys() == sorted(map(key_of, events))
    assert reconcile.ask("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop(vod, reconcile, number):
    for i in range(100):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=HOUR)
    process = reconcile.start("--output", "none", "--rate", "20")
    assert vod.wait_until(lambda: vod.calls["DescribeTaskDetail"] >= 3, 30)
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert process.returncode == -number and "Stopped after" in said
    assert 0 < len(reconcile.keys()) < 100
    reconcile()
    assert len(reconcile.keys()) == 100


def test_two_at_once(vod, reconcile):
    events = list(ordinary_day(40))
    for event in events:
        vod.happen(event, ago=HOUR)
    both = [reconcile.start("--output", "none") for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert reconcile.keys() == sorted(map(key_of, events))
    assert reconcile.ask("SELECT max(seen) FROM event") == [(1,)]


def test_beside_a_listener_under_load(vod, reconcile, start):
    """No request waits longer than 20 ms because of it."""
    for i in range(300):
        vod.happen(fakevod.flow(f"t-{i}", FILE), ago=HOUR)
    vodhook = start(inbox=reconcile.inbox, output="none")

    def load(first, until):
        times = []
        with vodhook.connect() as client:
            while not until():
                body = json.dumps(fakevod.upload(first + len(times))).encode()
                began = time.monotonic()
                client.send(harness.request(body=body))
                assert client.answer().status == 200
                times.append(time.monotonic() - began)
        return sorted(times)
    deadline = time.monotonic() + 3
    alone = load(FILE + 10 ** 6, lambda: time.monotonic() > deadline)
    process = reconcile.start("--output", "none", "--uploads", "off")
    beside = load(FILE + 2 * 10 ** 6, lambda: process.poll() is not None)
    assert process.returncode == 0
    vodhook.stop()
    assert len(reconcile.keys()) == 300 + len(alone) + len(beside)

    def most(times):  # of all but the slowest one in a thousand, which the machine's other work makes
        return times[-1 - len(times) // 1000]
    assert most(beside) - most(alone) < 0.020, (most(alone), most(beside))

"""vodhook events: looking into the inbox, and following it."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

import pytest
from harness import PROGRAM, WAIT, Client, Lines, environment, request, run, upload
from inbox import ask, change

HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (\S+)")


def task(file_id, number, code=0):
    return json.dumps({"EventType": "PullComplete", "PullCompleteEvent": {
        "TaskId": f"1500000001-pull-{number}", "Status": "FINISH", "ErrCode": code, "FileId": file_id}}).encode()


def deleted(*file_ids):
    return json.dumps({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": file_ids}}).encode()


BODIES = [deleted("1"), task("1", 1), upload(1), upload(2), task("2", 2, 70000), b'{"EventType": "half', upload(3)]


@pytest.fixture
def filled(start, inbox):
    """An inbox with seven rows, the last of them refused, that a listener has open."""
    one = start("--path=/right", inbox=inbox)
    for body in BODIES:
        one.post(body, target="/wrong" if body == BODIES[-1] else "/right")
    one.shown_lines = [one.line() for _ in BODIES]
    # A second apart, so that times mean something.
    change(inbox, "UPDATE event SET received = 1764000000000000 + id * 1000000")
    return one


def look(inbox, *options, output="json"):
    done = run("events", f"--config={os.devnull}", f"--inbox={inbox}", f"--output={output}", *options)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def ids(inbox, *options):
    """The places in BODIES of what is found."""
    bodies = [row for row, in ask(inbox, "SELECT id FROM event ORDER BY id")]
    found = [json.loads(line)["time"] for line in look(inbox, *options).splitlines()]
    return [bodies.index(int(text[17:19]) or 60) + 1 for text in found]


def test_a_line_of_json_is_the_one_that_the_listener_wrote(filled, inbox):
    for line, shown in zip(look(inbox).splitlines(), filled.shown_lines):
        mine, theirs = json.loads(line), json.loads(shown)
        if theirs["kind"] == "request":  # what was sent beside the body is not kept
            theirs.update(method=None, target=None, headers=None, summary=mine["summary"])
        theirs["time"] = mine["time"]
        assert mine == theirs
        if theirs["kind"] == "event":
            assert line.split('"kind"')[1] == shown.split('"kind"')[1]


def test_raw_is_what_arrived(filled, inbox):
    assert look(inbox, output="raw").encode() == b"\n".join([*BODIES[:-1], b""])


@pytest.mark.parametrize("options, expected", [
    ([], [1, 2, 3, 4, 5, 6]),
    (["--reverse"], [6, 5, 4, 3, 2, 1]),
    (["--limit=2"], [1, 2]),
    (["--limit=2", "--reverse"], [6, 5]),
    (["--refused"], [7]),
    (["--type=NewFileUpload"], [3, 4]),
    (["--task-id=1500000001-pull-2"], [5]),
    (["--result=failed"], [5]),
    (["--source=pull"], []),
    (["--source=push", "--result=ok"], [1, 2, 3, 4]),
    (["--since=2025-11-24T16:00:03Z", "--until=2025-11-24T16:00:05Z"], [3, 4]),
    (["--since=-1h"], []),
    (["--until=today"], [1, 2, 3, 4, 5, 6]),
    (["--file-id=1"], [3, 2, 1]),
    (["--file-id=1", "--reverse"], [1, 2, 3]),
    (["--file-id=9"], []),
], ids=lambda v: " ".join(map(str, v)))
def test_options_choose(filled, inbox, options, expected):
    assert ids(inbox, *options) == expected
    assert look(inbox, "--count", *options) == f"{len(expected)}\n"


def plain(inbox, *options):
    done = run("events", f"--config={os.devnull}", f"--inbox={inbox}", *options)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.splitlines()


def test_by_default_an_event_is_a_line(filled, inbox):
    lines = plain(inbox)
    assert len(lines) == 6 and plain(inbox, "--output=line") == lines
    assert [HEAD.match(line)[1] for line in lines] == ["FileDeleted", "PullComplete", "NewFileUpload", "NewFileUpload",
                                                       "PullComplete", "Body"]
    assert " file=2 task=1500000001-pull-2 status=FINISH result=failed error=70000" in lines[4]
    change(inbox, "UPDATE event SET seen = 3 WHERE id = 3")
    assert plain(inbox)[2].endswith(" seen=3")


def test_full_has_the_json_below(filled, inbox):
    """And text is its older name."""
    full = look(inbox, output="full")
    assert full == look(inbox, output="text")
    heads = [line for line in full.splitlines() if not line.startswith("    ")]
    assert heads == plain(inbox)
    assert '        "TaskId": "1500000001-pull-1",\n' in full


def flow(file_id, *tasks):
    """A flow with sub-tasks, each (type, definition, status, code)."""
    return json.dumps({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": {
        "TaskId": "1500000001-procedure-1", "Status": "FINISH", "ErrCode": 0, "Message": "", "FileId": file_id,
        "FileName": "holiday.mp4", "MediaProcessResultSet": [
            {"Type": kind, f"{kind}Task": {"Status": status, "ErrCode": code, "ErrCodeExt": "", "Message": "",
                                           "Input": {"Definition": definition},
                                           "Output": {"Url": "https://example.com/f.mp4"}}}
            for kind, definition, status, code in tasks]}}).encode()


def test_a_life_has_a_line_for_each_event_in_columns(start, inbox):
    one = start(inbox=inbox)
    for body in (upload("1", name="holiday.mp4"), flow("1", ("Transcode", 10, "SUCCESS", 0), ("Transcode", 20, "FAIL", 30009)),
                 deleted("1", "2")):
        one.post(body)
    one.stop()
    change(inbox, "UPDATE event SET received = 1764000000000000 + (id - 1) * 93784500000")
    lines = plain(inbox, "--file-id=1")
    starts = [line.index(word) for line, word in zip(lines, ("NewFileUpload", "ProcedureStateChanged", "FileDeleted"))]
    results = [re.search(r"  (ok|failed) ", line).start() for line in lines]
    assert len(lines) == 3 and len(set(starts)) == len(set(results)) == 1
    assert [line[29:starts[0]].split() for line in lines] == [[], ["+1", "d", "2", "h"], ["+1", "d", "2", "h"]]
    assert lines[0].endswith('name=holiday.mp4')
    assert lines[1].split("failed", 1)[1].split() == ["Transcode(10)", "Transcode(20)=FAIL:30009", "task=1500000001-procedure-1"]
    assert lines[2].endswith("  files=2")


def test_full_lives_have_the_time_between(filled, inbox):
    lines = [line for line in look(inbox, "--file-id=1", output="full").splitlines() if not line.startswith("    ")]
    assert [HEAD.match(line)[1] for line in lines[::2]] == ["NewFileUpload", "PullComplete", "FileDeleted"]
    assert lines[1::2] == ["  ... 1.000 s earlier", "  ... 1.000 s earlier"]


def test_the_same_after_the_service_has_stopped(filled, inbox):
    filled.stop()
    assert ids(inbox) == [1, 2, 3, 4, 5, 6]
    assert os.path.exists(f"{inbox}-wal")


@pytest.mark.parametrize("options", [["--since=soon"], ["--until=2026-02-30"], ["--limit=0"], ["--output=xml"], ["--result=bad"],
                                     ["--follow", "--reverse"], ["--follow", "--count"], ["operand"]], ids=" ".join)
def test_wrong_usage(filled, inbox, options):
    done = run("events", f"--config={os.devnull}", f"--inbox={inbox}", *options)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_where_no_inbox_is(tmp_path):
    done = run("events", f"--config={os.devnull}", f"--inbox={tmp_path}/none.db")
    assert done.returncode == 1 and f"There is no inbox {tmp_path}/none.db" in done.stderr
    (tmp_path / "text").write_text("no database\n" * 100)
    done = run("events", f"--config={os.devnull}", f"--inbox={tmp_path}/text")
    assert done.returncode == 1 and " .dump | " in done.stderr


@pytest.mark.skipif(os.path.exists("/var/lib/vodhook"), reason="the service is installed here")
def test_by_default_the_users_own_is_read(start):
    vodhook = start(inbox=None)
    vodhook.post(upload())
    home = {"XDG_STATE_HOME": f"{vodhook.folder.name}/state"}
    assert run("events", f"--config={os.devnull}", "--count", env=home).stdout == "1\n"


# --- A terminal ------------------------------------------------------------------------------------------------

def on_terminal(inbox, *options, **env):
    """What comes out of a terminal."""
    main, terminal = os.openpty()
    env = {**environment("/nonexistent"), "PATH": os.environ["PATH"], "TERM": "xterm", **env}
    with subprocess.Popen([PROGRAM, "events", f"--config={os.devnull}", f"--inbox={inbox}", *options], stdin=terminal,
                          stdout=terminal, stderr=terminal, env=env, start_new_session=True) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal ends with its last program
            while data := os.read(main, 65536):
                shown += data
        os.close(main)
        assert process.wait(WAIT) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_has_a_pager(filled, inbox):
    paged = on_terminal(inbox, PAGER="sed s/^/paged:/")
    assert len(paged.splitlines()) == 6 and all(line.startswith("paged:") for line in paged.splitlines())
    assert re.search(r"^paged:\x1b\[31m2025-11-24.* PullComplete file=2 ", paged, re.M)
    assert on_terminal(inbox, "--count", PAGER="sed s/^/paged:/") == "6\n"


@pytest.mark.parametrize("options, env", [(["--no-pager"], {"PAGER": "false"}), ([], {"PAGER": "cat"}), ([], {"PAGER": ""}),
                                          ([], {"SYSTEMD_PAGER": "", "PAGER": "false"}),
                                          (["--follow", "--limit=6"], {"PAGER": "false"})], ids=str)
def test_no_pager(filled, inbox, options, env):
    assert len(on_terminal(inbox, *options, **env).splitlines()) == 6


def test_without_the_pager_another_or_none(filled, inbox, tmp_path):
    (tmp_path / "cat").symlink_to(shutil.which("cat"))
    assert len(on_terminal(inbox, PAGER="/no/such/pager --option", PATH=str(tmp_path)).splitlines()) == 6


def test_less_gets_the_options_of_journalctl(filled, inbox):
    assert "FRSXMK" in on_terminal(inbox, SYSTEMD_PAGER="env", PAGER="false", LESS="x")
    assert "LESS=X\n" in on_terminal(inbox, PAGER="env", SYSTEMD_LESS="X")


def test_a_pager_that_ends_early_is_no_failure(filled, inbox):
    assert on_terminal(inbox, PAGER="true") == ""
    assert on_terminal(inbox, "--output=full", PAGER="head -n 1").count("\n") == 1


# --- Following ---------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def following(inbox, *options, wrap=()):
    with subprocess.Popen([*wrap, PROGRAM, "events", f"--config={os.devnull}", f"--inbox={inbox}", "--follow", "--output=json",
                           *options], stdout=subprocess.PIPE, env=environment("/nonexistent")) as process:
        lines = Lines(process.stdout, "follow")
        lines.process = process
        try:
            yield lines
        finally:
            process.kill()


def test_new_events_follow_the_old_within_a_tenth_of_a_second(filled, inbox):
    with following(inbox) as lines:
        for _ in range(6):
            lines.next()
        took = []
        for n in range(10):
            began = time.monotonic()
            filled.post(upload(100 + n), target="/right")
            assert json.loads(lines.next())["file_id"] == str(100 + n)
            took.append(time.monotonic() - began)
    assert min(took) < 0.1  # a busy machine makes single ones longer


def test_who_follows_keeps_the_index_of_the_log(filled, inbox):
    """By a lock on its byte 128 the next process sees that somebody reads; else it would make the index anew below them."""
    with following(inbox) as lines:
        lines.next()
        index = os.stat(f"{inbox}-shm").st_ino
        with open("/proc/locks") as locks:
            held = [line.split() for line in locks if "->" not in line]
        assert [lock[-2:] for lock in held if lock[4] == str(lines.process.pid) and lock[5].endswith(f":{index}")
                and lock[3] == "READ"] == [["128", "128"]]


def test_a_filter_holds_for_what_follows_too(filled, inbox):
    with following(inbox, "--type=PullComplete", "--since=-1h", "--limit=2") as lines:
        filled.post(upload(100), target="/right")
        filled.post(task("100", 100), target="/wrong")
        filled.post(task("100", 101), target="/right")
        filled.post(task("100", 101), target="/right")
        filled.post(task("100", 102), target="/right")
        assert [json.loads(lines.next())["task_id"] for _ in range(2)] == ["1500000001-pull-101", "1500000001-pull-102"]
        assert lines.process.wait(WAIT) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(filled, inbox, number):
    with following(inbox) as lines:
        for _ in range(6):
            lines.next()
        lines.process.send_signal(number)
        assert lines.process.wait(WAIT) == 0


def test_a_time_that_has_come_ends_it(filled, inbox):
    with following(inbox, "--until=2026-01-01") as lines:
        assert len(lines.rest()) == 6
        assert lines.process.wait(WAIT) == 0


def test_it_goes_on_when_the_service_restarts_and_the_file_is_replaced(start, inbox):
    first = start(inbox=inbox)
    first.post(upload(1))
    with following(inbox) as lines:
        assert json.loads(lines.next())["file_id"] == "1"
        first.stop()
        second = start(inbox=inbox)
        second.post(upload(2))
        assert json.loads(lines.next())["file_id"] == "2"
        inbox.rename(f"{inbox}.old")
        second.post(upload(3))
        assert json.loads(lines.next())["file_id"] == "3"


def test_idle_it_looks_at_most_ten_times_a_second(filled, inbox):
    """Each look asks whether the file is still the same one: the times of that system call are the looks."""
    if not shutil.which("strace"):
        pytest.skip("strace is not there")
    with following(inbox) as lines:
        for _ in range(6):
            lines.next()
        filled.stop()  # whose chores are no idleness

        def looks(seconds):
            traced = subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-ttt", "-p",
                                     str(lines.process.pid)], stderr=subprocess.PIPE, text=True).stderr
            return [float(at) for at in re.findall(r"^([\d.]+) (?:newfstatat|stat)\(", traced, re.M)]

        looks(1)  # which may still be after what came
        times = looks(3)
    if not times:
        pytest.skip("strace may not trace")
    assert (len(times) - 1) / 10 <= times[-1] - times[0] + 0.1


def test_a_reader_that_has_seen_enough_ends_it(filled, inbox):
    with following(inbox) as lines:
        for _ in range(6):
            lines.next()
    process = subprocess.Popen([PROGRAM, "events", f"--config={os.devnull}", f"--inbox={inbox}", "--follow"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment("/nonexistent"))
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(WAIT) in (0, -signal.SIGPIPE)
    assert process.stderr.read() == b""
    process.stderr.close()


# --- Who may look ------------------------------------------------------------------------------------------------

@pytest.fixture
def shared():
    """A folder as systemd makes it for the service, and a program that others may run."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become others")
    owner = pwd.getpwnam("games")
    folder = subprocess.run(["mktemp", "-d", "/tmp/vodhook-e2e-XXXXXX"], stdout=subprocess.PIPE, text=True).stdout.strip()
    os.chmod(folder, 0o755)
    shutil.copy(PROGRAM, f"{folder}/vodhook")
    os.mkdir(f"{folder}/state", 0o750)
    os.chown(f"{folder}/state", owner.pw_uid, owner.pw_gid)
    yield folder
    shutil.rmtree(folder)


def as_user(name, *groups):
    groups = [f"--groups={','.join(groups)}"] if groups else ["--clear-groups"]
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", *groups, "--"]


def count_as(who, folder):
    return subprocess.run([*who, f"{folder}/vodhook", "events", f"--config={os.devnull}", f"--inbox={folder}/state/inbox.db",
                           "--count"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment("/nonexistent"))


class Service:
    """A listener of the owner's, which cannot reach a notify socket of ours."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [*as_user("games"), f"{folder}/vodhook", f"--config={os.devnull}", "--listen=127.0.0.1:0", "--output=none",
             f"--inbox={folder}/state/inbox.db"], stderr=subprocess.PIPE, env=environment("/nonexistent"),
            preexec_fn=lambda: os.umask(0o027))
        self.err = Lines(self.process.stderr, "stderr")
        self.address = ("127.0.0.1", int(self.err.find(r"Started httpserver on port (\d+)")[1]))

    def post(self, body):
        with Client(self.address) as client:
            assert client.send(request(body=body)).answer().status == 200

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(WAIT)


def test_members_of_the_group_may_look_and_others_are_told_which(shared):
    member, stranger = as_user("nobody", "games"), as_user("nobody")
    inbox = f"{shared}/state/inbox.db"
    service = Service(shared)
    try:
        service.post(upload(1))
        assert count_as(member, shared).stdout == "1\n"
        refused = count_as(stranger, shared)
        assert refused.returncode == 1 and "usermod -aG games nobody" in refused.stderr
        service.end(signal.SIGTERM)
        assert count_as(member, shared).stdout == "1\n"
        service = Service(shared)
        service.post(upload(2))
    finally:
        service.end(signal.SIGKILL)
    assert count_as(member, shared).stdout == "2\n"
    change(inbox, "DELETE FROM event WHERE id = 1")  # root's own program takes log and index away when it closes
    assert not os.path.exists(f"{inbox}-wal")
    assert count_as(member, shared).stdout == "1\n"

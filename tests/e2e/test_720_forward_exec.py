"""A program is started for each event: the event on stdin, what it is about in its environment."""

import contextlib
import json
import os
import stat
import time

import pytest
from forward import Forwarder, command, status
from harness import upload, wait_until


@pytest.fixture
def script(tmp_path):
    """Writes a program that works in the folder."""

    def write(text):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return write


def test_the_event_is_on_stdin_and_in_the_environment(start, inbox, script, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("7", name="it's; $(touch oops) a name"))
    program = script('cat >stdin; env | grep ^VOD_ | sort >env; printf "%s\\n" "$@" >args')
    done = command(inbox, "--from", "start", "--once", "--name", "t", "--target", f"exec {program} --one '$HOME; x'")
    assert done.returncode == 0, done.stderr
    event = json.loads((tmp_path / "stdin").read_text())
    assert event["format"] == 1 and event["name"] == "it's; $(touch oops) a name"
    fields = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name: fields.get(name) for name in ("VOD_ID", "VOD_EVENT_TYPE", "VOD_FILE_ID", "VOD_RESULT", "VOD_NAME",
                                                "VOD_SOURCE", "VOD_TRUST", "VOD_DUPLICATE", "VOD_ATTEMPT")} == {
        "VOD_ID": event["id"], "VOD_EVENT_TYPE": "NewFileUpload", "VOD_FILE_ID": "7", "VOD_RESULT": "ok",
        "VOD_NAME": event["name"], "VOD_SOURCE": "push", "VOD_TRUST": "unchecked", "VOD_DUPLICATE": "no",
        "VOD_ATTEMPT": "1"}
    assert "VOD_TASK_ID" not in fields
    assert (tmp_path / "args").read_text() == "--one\n$HOME; x\n"
    assert not (tmp_path / "oops").exists()


def test_exit_statuses(start, inbox, script, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    for n in range(4):
        vodhook.post(upload(str(n)))
    program = script('echo "$VOD_FILE_ID" >>tried; [ "$VOD_FILE_ID" = 1 ] && { echo wrong data >&2; exit 65; }\n'
                     '[ "$VOD_FILE_ID$VOD_ATTEMPT" = 21 ] && exit 1; [ "$VOD_FILE_ID$VOD_ATTEMPT" = 31 ] && kill -9 $$; exit 0')
    vodhook.stop()
    with contextlib.closing(Forwarder(inbox, "--from", "start", "--retry", "100ms", "--target", f"exec {program}")):
        wait_until(lambda: status(inbox)["handed_on"] == 3, "three to be done")
    tried = sorted((tmp_path / "tried").read_text().split())
    assert tried == ["0", "1", "2", "2", "3", "3"]
    letter = json.loads(command(inbox, "--dead", "t", "--output", "json").stdout)
    assert (letter["key"], letter["attempts"]) == ("1", 1) and letter["error"] == "exit status 65: wrong data"


def test_what_takes_too_long_is_killed_with_all_it_started(start, inbox, script, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("7"))
    program = script("echo $$ >>pids; [ $VOD_ATTEMPT = 2 ] && exit 0; trap '' TERM; sleep 60 & echo $! >>pids; wait; wait")
    with contextlib.closing(Forwarder(inbox, "--from", "start", "--retry", "100ms", "--timeout", "300ms", "--target",
                                      f"exec {program}")):
        wait_until(lambda: status(inbox)["handed_on"] == 1, "the second attempt")
        assert "did not end in time" in status(inbox)["last_error"]
    for pid in (tmp_path / "pids").read_text().split():
        assert not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z"


def test_programs_run_side_by_side_and_a_lane_does_not(start, inbox, script, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    for n in range(6):
        vodhook.post(upload(str(n)))
    for n in range(3):
        vodhook.post(upload("same", name=str(n)))
    program = script('echo "+$VOD_FILE_ID" >>log; sleep 0.3; echo "-$VOD_FILE_ID $VOD_NAME" >>log')
    begun = time.monotonic()
    done = command(inbox, "--from", "start", "--once", "--name", "t", "--connections", "8", "--target", f"exec {program}")
    assert done.returncode == 0 and time.monotonic() - begun < 2.2
    log = (tmp_path / "log").read_text().splitlines()
    same = [line for line in log if "same" in line]
    assert same == ["+same", "-same 0", "+same", "-same 1", "+same", "-same 2"]
    running = most = 0
    for line in log:
        running += 1 if line[0] == "+" else -1
        most = max(most, running)
    assert most >= 6


def test_what_it_says_is_logged_with_the_event(start, inbox, script):
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("7"))
    program = script("echo one line; echo another >&2; printf 'no end'")
    done = command(inbox, "--from", "start", "--once", "--name", "t", "--target", f"exec {program}")
    for line in ("one line", "another", "no end"):
        assert f": {line}\n" in done.stderr


def test_a_large_event_and_a_program_that_does_not_read(start, inbox, script, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("7", SourceContext="x" * 7_000_000))
    assert command(inbox, "--from", "start", "--once", "--name", "t", "--target", f"exec {script('exit 0')}").returncode == 0
    assert command(inbox, "--from", "start", "--once", "--name", "u", "--target",
                   f"exec {script('wc -c >size')}").returncode == 0
    assert int((tmp_path / "size").read_text()) > 7_000_000


def test_a_program_that_is_gone_is_tried_again(start, inbox, script):
    vodhook = start(inbox=inbox, output="none")
    program = script("exit 0")
    with contextlib.closing(Forwarder(inbox, "--from", "start", "--retry", ",".join(["100ms"] * 60), "--target",
                                      f"exec {program}")):
        os.rename(program, f"{program}.away")
        vodhook.post(upload("7"))
        wait_until(lambda: "cannot be started" in (status(inbox)["last_error"] or ""), "the error")
        os.rename(f"{program}.away", program)
        wait_until(lambda: status(inbox)["handed_on"] == 1, "the event")

"""What stands on stdout, and what happens when stdout takes nothing."""

import json
import os
import pty
import re
import socket
import subprocess
import tempfile
import tty

import pytest
from harness import FILE_ID, PROGRAM, WAIT, Client, Lines, environment, request, upload

FAILED = json.dumps({"EventType": "PullComplete", "PullCompleteEvent": {
    "TaskId": "t", "FileId": FILE_ID, "Status": "FINISH", "ErrCode": 70000, "Message": "internal"}}).encode()


def test_none(start):
    vodhook = start(output="none")
    vodhook.post(upload())
    vodhook.post(b"a=b")
    counts = vodhook.stop()
    assert (counts["events"], counts["requests"]) == (1, 1)
    assert vodhook.out.rest() == []


def test_none_beside_another_adds_nothing(start):
    vodhook = start("--output=none")
    assert vodhook.shown(upload())["file_id"] == FILE_ID


def test_json_for_jq(start):
    """Nothing but JSON lines is on stdout, from the first byte to the last."""
    vodhook = start()
    for body in upload(), b"a=b", b"{", FAILED:
        vodhook.post(body)
    vodhook.stop()
    assert [json.loads(line)["result"] for line in vodhook.out.rest()] == ["ok", None, None, "failed"]


# --- Colour ------------------------------------------------------------------------------------------------------

def on_a_terminal(start, **env):
    """What a terminal gets to show of an event that failed and of one that did not."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    vodhook = start(output="text", stdout=slave, reader=open(master, "rb", buffering=0), env={"TERM": "xterm", **env})
    os.close(slave)
    vodhook.post(FAILED)
    vodhook.post(upload())
    failed = vodhook.out.find("PullComplete").string
    fine = vodhook.out.find("NewFileUpload file").string
    return failed, fine


def test_a_failed_event_is_red_on_a_terminal(start):
    failed, fine = on_a_terminal(start)
    assert re.fullmatch(r"\x1b\[[0-9;]*31m\d.* result=failed .*\x1b\[0?m", failed)
    assert "\x1b[31" not in fine


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": "0"}, {"TERM": "dumb"}], ids=str)
def test_no_colour_for_those_who_want_none(start, env):
    failed, fine = on_a_terminal(start, **env)
    assert "\x1b" not in failed + fine


def test_no_colour_in_a_pipe(start):
    vodhook = start(output="text", env={"TERM": "xterm"})
    vodhook.post(FAILED)
    assert "\x1b" not in "".join(line for record in vodhook.text() for line in record)


# --- Trouble -----------------------------------------------------------------------------------------------------

TROUBLE = r"Failed to write records to stdout: "
AGAIN = r"Records are written to stdout again"


def said(vodhook, pattern):
    return [line for line in vodhook.err.seen if re.search(pattern, line)]


@pytest.mark.parametrize("output", ["json", "text"])
def test_a_reader_that_leaves(start, output):
    head = subprocess.Popen(["sed", "-u", "2q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    vodhook = start(output=output, stdout=head.stdin, reader=head.stdout)
    head.stdin.close()
    vodhook.post(upload())
    vodhook.post(upload())
    vodhook.out.rest()
    assert head.wait(WAIT) == 0
    for i in range(100):
        vodhook.post(upload(i))
    vodhook.err.find(TROUBLE)
    assert vodhook.stop()["events"] == 102
    vodhook.err.rest()
    assert len(said(vodhook, TROUBLE)) == 1


def test_stdout_that_was_closed_from_the_start(start):
    vodhook = start(stdout=None, preexec=lambda: os.close(1))
    assert len(said(vodhook, TROUBLE)) == 1
    vodhook.post(upload())
    vodhook.post(upload())
    assert vodhook.stop()["events"] == 2
    assert len(said(vodhook, TROUBLE)) == 1


def test_a_device_that_is_full(start):
    with open("/dev/full", "wb") as full:
        vodhook = start(stdout=full)
    for i in range(100):
        vodhook.post(upload(i))
    vodhook.err.find(TROUBLE + "No space left on device")
    assert vodhook.stop()["events"] == 100
    vodhook.err.rest()
    assert len(said(vodhook, TROUBLE)) == 1


def test_a_reader_that_leaves_and_another_that_comes(start, tmp_path):
    """It is said once that stdout takes nothing, and again when it does."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(path, "wb") as writing:
        vodhook = start(stdout=writing)
    os.set_blocking(reading, True)
    vodhook.post(upload(1))
    assert b'"file_id":"1"' in os.read(reading, 65536)
    os.close(reading)
    for i in range(2, 22):
        vodhook.post(upload(i))
    vodhook.err.find(TROUBLE)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    lines = Lines(open(reading, "rb"), "pipe")
    vodhook.post(upload("back"))
    got = [json.loads(lines.next())["file_id"]]
    while got[-1] != "back":
        got.append(json.loads(lines.next())["file_id"])
    assert int(vodhook.err.find(AGAIN + r", (\d+) were dropped")[1]) + len(got) == 21
    assert len(said(vodhook, TROUBLE)) == 1
    assert vodhook.stop()["events"] == 22
    assert lines.rest() == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "vodhook-e2e", tmp_path], stderr=subprocess.PIPE)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_disk_that_is_full_and_has_room_again(start, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(32768))
    with open(small_disk / "events", "wb") as file:
        vodhook = start(stdout=file)
    for i in range(12):
        vodhook.post(upload(i, name="x" * 1000))
    vodhook.err.find(TROUBLE + "No space left on device")
    filler.unlink()
    assert vodhook.err.find(AGAIN + r", (\d+) were dropped")[1] == "0"
    vodhook.post(upload(12))
    assert vodhook.stop()["events"] == 13
    with open(small_disk / "events", "rb") as file:
        assert [json.loads(line)["file_id"] for line in file] == [str(i) for i in range(13)]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_stalls(start, kind):
    """4M are kept for it, whole lines past that are dropped and counted, and every answer is given at once."""
    if kind == "pipe":
        reading, writing = os.pipe()
    else:
        ours, theirs = socket.socketpair()
        reading, writing = ours.detach(), theirs.detach()
    vodhook = start(stdout=writing)
    os.close(writing)
    sent = 100
    for i in range(sent):
        vodhook.post(upload(i, name="x" * 100000))
    vodhook.err.find("does not keep up and 4194304 bytes wait for it")
    lines = Lines(open(reading, "rb"), "stdout")
    dropped = int(vodhook.err.find(AGAIN + r", (\d+) were dropped")[1])
    vodhook.post(upload("last"))
    got = {}
    while "last" not in got:
        line = lines.next()
        got[json.loads(line)["file_id"]] = len(line)
    assert list(got) == [*map(str, range(sent - dropped)), "last"]
    assert 4194304 - 400000 < sum(got.values()) < 4194304 + 400000, "4M, and what the kernel holds"
    assert len(said(vodhook, "does not keep up")) == 1
    assert vodhook.stop()["events"] == sent + 1


def test_a_reader_of_everything_that_stalls():
    """vodhook 2>&1 | less: what the program has to say of that reader cannot wait for him either."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        vodhook = subprocess.Popen([PROGRAM, "--listen=127.0.0.1:0", "--inbox=none", f"--config={os.devnull}"],
                                   env=environment(folder), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing)
        try:
            address = ("127.0.0.1", int(re.search(rb"on port (\d+)", os.read(reading, 65536))[1]))
            for i in range(100):
                with Client(address) as good, Client(address) as bad:
                    bad.offer(b"GET / HTTP/2.0\r\n\r\n").ended()
                    assert good.send(request(body=upload(i, name="x" * 50000))).answer().status == 200
            vodhook.terminate()
            assert vodhook.wait(WAIT) == 0
        finally:
            vodhook.kill()
            vodhook.wait()
            os.close(reading)
            os.close(writing)


def unread(start, n=50, size=10000):
    """A program that writes n events to a pipe that nobody reads yet, and the pipe's other end."""
    reading, writing = os.pipe()
    vodhook = start(stdout=writing)
    os.close(writing)
    for i in range(n):
        vodhook.post(upload(i, name="x" * size))
    return vodhook, reading


def test_output_buffer(start):
    vodhook, reading = unread(start, 50, 200000)
    vodhook.err.find("does not keep up and 4194304 bytes wait for it")
    lines = Lines(open(reading, "rb"), "stdout")
    vodhook.err.find(AGAIN)
    assert vodhook.stop()["events"] == 50
    assert 4 << 20 > sum(map(len, lines.rest())) - 100000 > 3 << 20


def test_what_is_buffered_is_written_at_the_end(start):
    """The reader is slow: it begins to read when the program is told to stop."""
    vodhook, reading = unread(start)
    vodhook.signal()
    lines = Lines(open(reading, "rb"), "stdout")
    assert [json.loads(line)["file_id"] for line in lines.rest()] == [str(i) for i in range(50)]
    assert vodhook.wait() == 0


def test_the_flags_of_a_shared_stdout_are_left_alone(start):
    """Another process that writes to the same pipe must not find it non-blocking."""
    reading, writing = os.pipe()
    vodhook = start(stdout=writing)
    vodhook.post(upload())
    Lines(open(reading, "rb"), "stdout").next()
    assert os.get_blocking(writing)
    os.close(writing)


def test_a_terminal_that_stalls_does_not_stop_answers(start):
    master, slave = pty.openpty()
    vodhook = start(stdout=slave)
    os.close(slave)
    for i in range(100):
        vodhook.post(upload(i, name="x" * 10000))
    os.close(master)
    vodhook.post(upload())

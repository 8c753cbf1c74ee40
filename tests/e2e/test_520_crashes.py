"""An answer means on disk: it survives kill -9, and leaves after the sync that covers its event."""

import os
import random
import re
import shutil
import subprocess
import threading
import time

import pytest
from harness import PROGRAM, SANITIZED, Client, request, upload
from inbox import ask

ROUNDS = 100 if os.environ.get("VODHOOK_LONG") == "1" else 10


class Poster(threading.Thread):
    """Posts one event after the other and remembers those that were answered."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.address, self.name = address, name
        self.answered = []
        self.first = threading.Event()
        self.start()

    def run(self):
        try:
            with Client(self.address) as client:
                for n in range(1_000_000):
                    client.send(request(body=upload(f"{self.name}{n:06}")))
                    if client.answer().status == 200:
                        self.answered.append(f"{self.name}{n:06}")
                        self.first.set()
        except (OSError, AssertionError):
            pass  # it was killed


def test_what_was_answered_before_a_kill_is_there(start, tmp_path):
    chance = random.Random(os.environ.get("VODHOOK_SEED"))
    inbox = tmp_path / "inbox.db"
    answered = []
    for round_ in range(ROUNDS):
        vodhook = start(inbox=inbox, output="none")
        posters = [Poster(vodhook.address, f"{round_:03}{letter}") for letter in "1234"]
        assert all(poster.first.wait(30) for poster in posters)
        time.sleep(chance.random() * 0.3)  # the moment of death, which nothing announces
        vodhook.kill()
        for poster in posters:
            poster.join(30)
            answered += poster.answered
        assert ask(inbox, "PRAGMA integrity_check") == [("ok",)]
        recorded = [file_id for file_id, in ask(inbox, "SELECT file_id FROM event_file JOIN event ON id = event_id")]
        lost = set(answered) - set(recorded)
        assert not lost, f"round {round_}: {len(lost)} of {len(answered)} answered events are gone: {sorted(lost)[:3]}"
        assert len(recorded) == len(set(recorded)) == ask(inbox, "SELECT count(*) FROM event")[0][0]
    assert len(answered) > ROUNDS * 4


# --- Power loss --------------------------------------------------------------------------------------------------

CALL = re.compile(r"(\w+)\((\d+)(?:<([^>]*)>)?,? ?(.*?)\)? *= (-?\d+)(?: |$)")
FILE_ID = re.compile(r"99\d{14}")


def traced(folder, *options):
    """A program that runs vodhook under strace; the traced process keeps its place and its signals."""
    script = folder / "traced"
    script.write_text(f'#!/bin/sh\nexec strace -D -f -y -s 140000 {" ".join(options)} {PROGRAM} "$@"\n')
    script.chmod(0o755)
    return str(script)


needs_strace = pytest.mark.skipif(
    SANITIZED or not shutil.which("strace") or
    subprocess.run(["strace", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="strace is not there, or not allowed, or would see the sanitizer")


@needs_strace
def test_no_answer_leaves_before_the_sync_that_covers_its_event(start, tmp_path):
    """Follows each event through the system calls: read from a connection, written to the log of the inbox, synced there,
    and only then answered on that connection."""
    trace = tmp_path / "trace"
    program = traced(tmp_path, f"-o {trace}", "-e trace=recvfrom,read,sendto,sendmsg,writev,write,pwrite64,fdatasync,fsync")
    vodhook = start(program=program, inbox=tmp_path / "inbox.db", output="none")
    clients = [vodhook.connect() for _ in range(4)]
    for n in range(25):
        for k, client in enumerate(clients):
            client.send(request(body=upload(f"99{k:04}{n:010}")))
        for client in clients:
            assert client.answer().status == 200
    for client in clients:
        client.socket.close()
    vodhook.stop()
    waiting, written, synced, answered = {}, set(), set(), []
    for line in trace.read_text(errors="replace").splitlines():
        if not (call := CALL.search(line)) or int(call[5]) < 0:
            continue
        name, fd, path, data = call[1], call[2], call[3] or "", call[4]
        if name in ("recvfrom", "read") and (found := FILE_ID.search(data)):
            waiting[fd] = found[0]
        elif name == "pwrite64" and path.endswith("inbox.db-wal"):
            written.update(FILE_ID.findall(data))
        elif name in ("fdatasync", "fsync") and path.endswith("inbox.db-wal"):
            synced |= written
        elif name in ("sendto", "sendmsg", "writev", "write") and "HTTP/1.1 200" in data:
            assert waiting[fd] in synced, f"{waiting[fd]} was answered before it was synced"
            answered.append(waiting.pop(fd))
    assert len(answered) == len(set(answered)) == 100


@needs_strace
def test_an_error_of_the_disk_is_held_out(start, tmp_path):
    """The sync of the log fails six times, at an event that comes some time after the start."""
    inbox = tmp_path / "inbox.db"
    program = traced(tmp_path, "-o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO:when=20..25")
    vodhook = start(program=program, inbox=inbox)
    slowest = 0
    for n in range(20):
        began = time.monotonic()
        vodhook.post(upload(n))
        slowest = max(slowest, time.monotonic() - began)
    assert slowest > 0.9
    assert [vodhook.record()["file_id"] for _ in range(20)] == [str(n) for n in range(20)]
    vodhook.err.find(f"Failed to record in the inbox {inbox}: Input/output error")
    vodhook.err.find("can be written again")
    vodhook.stop()
    assert not [line for line in vodhook.err.seen if "Failed" in line][1:]
    assert ask(inbox, "SELECT count(*), sum(seen) FROM event") == [(20, 20)]
    assert ask(inbox, "PRAGMA integrity_check") == [("ok",)]

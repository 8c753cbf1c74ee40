"""When the inbox cannot be written: requests are held and tried again, nothing is acknowledged that is not on disk, it is
said once, and no restart is needed."""

import os
import re
import subprocess
import threading
import time

import pytest
from harness import request, run, upload
from inbox import ask, change, locked


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], stderr=subprocess.PIPE, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"may not mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class Waiting(threading.Thread):
    """Posts an event and waits for what becomes of it: `status` is None where the connection was closed instead."""

    def __init__(self, vodhook, body):
        super().__init__(daemon=True)
        self.vodhook, self.body = vodhook, body
        self.status = None
        self.start()

    def run(self):
        began = time.monotonic()
        with self.vodhook.connect() as client:
            received = client.send(request(body=self.body, headers=["Connection: close"])).ended()
        self.seconds = time.monotonic() - began
        if received:
            self.status = int(received.split()[1])

    def result(self):
        self.join(30)
        assert not self.is_alive()
        return self.status


def rows(inbox):
    return ask(inbox, "SELECT file_id, seen FROM event JOIN event_file ON id = event_id ORDER BY id")


def said(vodhook, pattern):
    """The match in a line on stderr, one before the banner included."""
    seen = (re.search(pattern, line) for line in vodhook.err.seen)
    return next((match for match in seen if match), None) or vodhook.err.find(pattern)


def troubles(vodhook):
    """Stops it and returns how often trouble was said, and that it was over."""
    vodhook.stop()
    said = "\n".join(vodhook.err.seen)
    return len(re.findall("nothing can be recorded", said)), len(re.findall("can be written again", said))


def test_a_lock_of_three_seconds_is_waited_for(start, inbox):
    vodhook = start(inbox=inbox)
    vodhook.post(upload(1))
    vodhook.record()
    with locked(inbox):
        posts = [Waiting(vodhook, upload(n)) for n in range(2, 6)]
        assert sorted(vodhook.record()["file_id"] for _ in posts) == ["2", "3", "4", "5"]  # other outputs do not wait
        vodhook.err.find("is locked by another program")
        assert vodhook.send(request("GET", "/")).status == 200
        time.sleep(3)  # the length of the lock is what is tried
        assert all(post.is_alive() for post in posts)
    assert [post.result() for post in posts] == [200] * 4
    assert all(3 < post.seconds < 6 for post in posts)
    assert [seen for _, seen in rows(inbox)] == [1] * 5
    assert troubles(vodhook) == (1, 1)


def test_a_lock_of_ten_seconds_closes_without_an_answer(start, inbox):
    vodhook = start(inbox=inbox)
    vodhook.post(upload(1))
    with locked(inbox):
        post = Waiting(vodhook, upload(2))
        assert post.result() is None
        assert 5.5 < post.seconds < 9.5
        later = Waiting(vodhook, upload(2))  # VOD's second try
        time.sleep(10 - post.seconds)
        assert later.is_alive()
    assert later.result() == 200
    assert rows(inbox) == [("1", 1), ("2", 1)]
    assert troubles(vodhook) == (1, 1)


def test_health_is_told_at_once(start, inbox):
    vodhook = start(inbox=inbox)
    began = time.monotonic()
    vodhook.post(upload(1))
    vodhook.status(r"^1 events, 0 of them failed, 0 refused, the last at \d\d:\d\d:\d\d;")
    with locked(inbox):
        posts = [Waiting(vodhook, upload(n)) for n in (2, 3)]
        vodhook.status(r"^CANNOT RECORD since \d\d:\d\d:\d\d: ")
        assert time.monotonic() - began < 6  # long before the status is due
        assert [post.result() for post in posts] == [None, None]
        vodhook.status(r"^CANNOT RECORD since [^,]*, 2 events closed unanswered")
        last = Waiting(vodhook, upload(4))
        vodhook.err.find("NewFileUpload.* from .* could not be recorded: .*closed without an answer")
    assert last.result() == 200
    vodhook.status(r"^4 events, 0 of them failed, 0 refused, 2 closed unanswered, the last at ")
    assert rows(inbox) == [("1", 1), ("4", 1)]
    vodhook.stop()
    assert any("0 duplicates, 2 closed unanswered), " in line for line in vodhook.err.seen)
    assert not [line for line in vodhook.err.seen if "libmicrohttpd" in line]  # it was said better


def test_a_full_disk_and_back(start, small_disk):
    inbox = small_disk / "inbox.db"
    vodhook = start(inbox=inbox)
    vodhook.post(upload(1))
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as f, pytest.raises(OSError):
        while True:
            f.write(bytes(4096))
    posts = [Waiting(vodhook, upload(n, padding="x" * 20000)) for n in range(2, 6)]
    vodhook.err.find(f"Failed to record in the inbox {inbox}: No space left on device")
    assert all(post.is_alive() for post in posts)
    filler.unlink()
    assert [post.result() for post in posts] == [200] * 4
    vodhook.err.find("can be written again")
    assert sorted(rows(inbox)) == [(str(n), 1) for n in range(1, 6)]
    assert troubles(vodhook) == (1, 1)


def test_a_full_disk_at_the_start(start, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2 * 1024 * 1024))
    vodhook = start(inbox=small_disk / "inbox.db")
    said(vodhook, "No space left on device")
    post = Waiting(vodhook, upload(1))
    assert vodhook.record()["file_id"] == "1"
    filler.unlink()
    assert post.result() == 200
    assert rows(small_disk / "inbox.db") == [("1", 1)]


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced", "log deleted"])
def test_a_file_that_is_taken_away_is_noticed(start, inbox, how):
    vodhook = start(inbox=inbox)
    vodhook.post(upload(1))
    if how == "moved":
        inbox.rename(f"{inbox}.old")
    elif how == "deleted":
        inbox.unlink()
    elif how == "replaced":
        change(inbox, f"VACUUM INTO '{inbox}.new'")
        change(f"{inbox}.new", "UPDATE event_file SET file_id = 'of the new'")
        os.rename(f"{inbox}.new", inbox)
    else:
        os.unlink(f"{inbox}-wal")
    vodhook.post(upload(2))
    vodhook.post(upload(3))
    vodhook.stop()
    before = {"replaced": [("of the new", 1)], "log deleted": [("1", 1)]}.get(how, [])
    assert rows(inbox) == [*before, ("2", 1), ("3", 1)]
    if how == "moved":
        assert rows(f"{inbox}.old") == [("1", 1)]


@pytest.mark.parametrize("damage", ["head", "all but the head", "cut", "no database"])
def test_a_damaged_file_is_set_aside_and_nothing_deleted(start, inbox, damage):
    vodhook = start(inbox=inbox, output="none")
    with vodhook.connect() as client:
        for n in range(300):
            client.send(request(body=upload(n)))
            assert client.answer().status == 200
    vodhook.stop()
    content = bytearray(inbox.read_bytes())
    if damage == "head":
        content[:4096] = os.urandom(4096)
    elif damage == "all but the head":
        content[4096:] = b"\x5a" * (len(content) - 4096)
    elif damage == "cut":
        del content[len(content) // 2:]
    else:
        content[:] = b"this is a letter\n" * 100
    inbox.write_bytes(content)
    vodhook = start(inbox=inbox)
    vodhook.post(upload(1000))
    aside = said(vodhook, r"is damaged .*: it was set aside as (\S+), .* sqlite3 \S+ \.dump")[1]
    with open(aside, "rb") as f:
        assert f.read() == content
    assert rows(inbox) == [("1000", 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_at_the_start(tmp_path):
    tmp_path.chmod(0o500)
    done = run("listen", "--listen=127.0.0.1:0", f"--inbox={tmp_path}/inbox.db")
    assert done.returncode != 0 and "Permission denied" in done.stderr


def test_a_path_that_is_no_file_is_refused_at_the_start(tmp_path):
    done = run("listen", "--listen=127.0.0.1:0", f"--inbox={tmp_path}")
    assert done.returncode != 0 and f"Failed to open the inbox {tmp_path}" in done.stderr


def test_health_is_told_to_those_who_look(start, inbox):
    vodhook = start(inbox=inbox)
    look = request("GET", "/healthz", headers=["Connection: close"])
    assert vodhook.send(look).body == b"ok\n"
    with locked(inbox):
        post = Waiting(vodhook, upload(1))
        vodhook.err.find("is locked by another program")
        answer = vodhook.send(look)
        assert answer.status == 200 and re.fullmatch(rb"cannot record since \d\d:\d\d:\d\d: .+\n", answer.body)
        page = vodhook.send(request("GET", "/", headers=["Connection: close"]))
        assert page.status == 200 and answer.body in page.body
    assert post.result() == 200
    assert vodhook.send(look).body == b"ok\n"
    assert b"cannot" not in vodhook.send(request("GET", "/", headers=["Connection: close"])).body

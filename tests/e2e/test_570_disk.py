"""A disk that fails: what was answered is there afterwards, whatever a power cut leaves, and a sound inbox stays."""

import contextlib
import errno
import itertools
import os
import random
import re
import sqlite3
import struct
import subprocess
import threading

import pytest
from harness import FILE_ID, WAIT, request, run, upload, wait_until
from inbox import ask, change
from shims import shim

ENTRY = struct.Struct("=c55sQQ")
ROUNDS = 2000 if os.environ.get("VODHOOK_LONG") == "1" else 40


class Disk:
    """The disk of a listener: fails once when told to, and keeps a record of what was written and synced."""

    def __init__(self, folder):
        self.fault, self.record = folder / "fault", folder / "record"
        self.files = {}  # that were there before the record began
        self.env = {**shim("disk"), "SHIM_FAULT": str(self.fault), "SHIM_RECORD": str(self.record), "SHIM_FOLDER": str(folder)}

    def fail(self, call, suffix, error, after=0):
        fresh = self.fault.with_suffix(".new")
        fresh.write_text(f"{call} {suffix} {error} {after}")
        fresh.rename(self.fault)

    def entries(self):
        data, at = self.record.read_bytes(), 0
        while at < len(data):
            what, name, offset, length = ENTRY.unpack_from(data, at)
            at += ENTRY.size
            yield what.decode(), name.rstrip(b"\0").decode(), offset, data[at:at + length]
            at += length if what in b"wa" else 0


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def files(inbox):
    return {file_id for file_id, in ask(inbox, "SELECT file_id FROM event_file")}


def aside(inbox):
    return sorted(path.name for path in inbox.parent.glob("*.damaged-*"))


class Many(threading.Thread):
    """Posts events one after the other until it is told to stop; `answered` are those that got a 200."""

    def __init__(self, vodhook, name, size=0):
        super().__init__(daemon=True)
        self.vodhook, self.name, self.size = vodhook, name, size
        self.answered, self.over = [], threading.Event()
        self.start()

    def run(self):
        for n in range(1_000_000):
            if self.over.is_set():
                return
            with contextlib.suppress(OSError, AssertionError), self.vodhook.connect() as client:
                client.send(request(body=upload(f"{self.name}-{n}", padding="x" * self.size)))
                if client.answer().status == 200:
                    self.answered.append(f"{self.name}-{n}")

    def stop(self):
        self.over.set()
        self.join(WAIT)
        return set(self.answered)


# --- A sound inbox stays -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["inbox.db", "inbox.db-wal"])
def test_one_error_while_reading_sets_nothing_aside(start, inbox, disk, name):
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    for n in range(3):
        vodhook.post(upload(n))
    vodhook.kill()
    disk.fail("pread", name, errno.EIO)
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    vodhook.post(upload(3))
    assert not disk.fault.exists()
    assert files(inbox) == {"0", "1", "2", "3"} and not aside(inbox)


def test_one_error_while_it_runs_sets_nothing_aside(start, inbox, disk):
    """A page that is not in memory is read when a file is deleted that an old event told of."""
    vodhook = start(inbox=inbox, output="none")
    with vodhook.connect() as client:
        for n in range(600):
            client.send(request(body=upload(n, padding="x" * 8000)))
            assert client.answer().status == 200
    vodhook.stop()
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    disk.fail("pread", "inbox.db", errno.EIO)
    vodhook.post(upload(300, padding="x" * 8000))
    assert not disk.fault.exists()
    assert ask(inbox, "SELECT count(*), sum(seen) FROM event") == [(600, 601)] and not aside(inbox)


def test_a_file_that_is_no_database_is_refused_and_stays(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("buy milk\n" * 1000)
    done = run("listen", f"--config={os.devnull}", "--listen=127.0.0.1:0", f"--inbox={notes}")
    assert done.returncode == 78 and "is no database" in done.stderr
    assert notes.read_text() == "buy milk\n" * 1000
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_log_whose_database_is_gone_is_set_aside(start, inbox, how):
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload(1))
    vodhook.kill()
    with open(f"{inbox}-wal", "rb") as f:
        log = f.read()
    assert FILE_ID not in str(log) and b"holiday.mp4" in log
    inbox.unlink()
    if how == "empty":
        inbox.touch()
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload(2))
    said = next(line for line in vodhook.err.seen if "set aside as" in line)
    kept = re.search(r"set aside as (\S+),", said)[1]
    with open(f"{kept}-wal", "rb") as f:
        assert f.read() == log
    assert files(inbox) == {"2"}
    advice = re.search(r"can be recovered: (.*)$", said)[1]
    subprocess.run(advice, shell=True, check=True, cwd=inbox.parent)
    assert files(inbox.parent / "recovered.db") == {"1"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_an_inbox_is_followed(start, tmp_path, there):
    real, link = tmp_path / "disk/real.db", tmp_path / "state/inbox.db"
    for path in real, link:
        path.parent.mkdir()
    if there:
        start(inbox=real).post(upload(1))
    link.symlink_to(real)
    vodhook = start(inbox=link)
    vodhook.post(upload(2))
    vodhook.post(upload(3))
    other = tmp_path / "disk/other.db"
    link.unlink()
    link.symlink_to(other)  # elsewhere from now on
    vodhook.post(upload(4))
    vodhook.stop()
    assert files(real) == ({"1", "2", "3"} if there else {"2", "3"})
    assert files(other) == {"4"}
    assert [path.name for path in link.parent.iterdir()] == ["inbox.db"]


# --- What was answered is there ----------------------------------------------------------------------------------

def test_a_large_event_that_fails_halfway_spoils_nothing_of_another_process(start, inbox, disk):
    """It does not fit into memory, so that its first part is in the log when a page cannot be read."""
    one = start(inbox=inbox, output="none")
    many = [Many(one, f"one{k}", 20000) for k in range(3)]
    fired = 0
    for name, after in itertools.product(("inbox.db-wal", "inbox.db"), (200, 2000, 5000)):
        two = start("--max-memory=128M", inbox=inbox, output="none", env=disk.env)
        with two.connect() as client:
            disk.fail("pread", name, errno.ENOMEM, after)
            client.send(request(body=upload("large", padding="y" * 7_500_000)))
            client.answer()
        fired += not disk.fault.exists()
        disk.fault.unlink(missing_ok=True)
        two.stop()
        change(inbox, "DELETE FROM event WHERE length(body) > 7000000")
    answered = set().union(*(each.stop() for each in many))
    one.stop()
    assert len(answered) > 20 and fired
    assert ask(inbox, "PRAGMA integrity_check") == [("ok",)]
    assert not answered - files(inbox)


class Cut:
    """Plays what was written to the files of an inbox again, up to a power cut: what was synced is there, and of what was
    written since any part. What a failed sync did not write is lost, although the program still reads it."""

    def __init__(self, files):
        self.synced, self.written, self.answered = {name: bytearray(data) for name, data in files.items()}, {}, 0

    def play(self, what, name, offset, data):
        if what == "a":
            self.answered += data.startswith(b"HTTP/1.1 200")
        elif what in "wt":
            self.written.setdefault(name, []).append((what, offset, data))
        elif what == "s":
            self.synced.setdefault(name, bytearray())
            for each in self.written.pop(name, []):
                self.apply(self.synced[name], *each)
        elif what == "f":
            self.written.pop(name, None)
        else:
            self.synced.pop(name, None)
            self.written.pop(name, None)

    @staticmethod
    def apply(content, what, offset, data):
        if what == "t":
            del content[offset:]
            return
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset:offset + len(data)] = data

    def leave(self, folder, chance):
        """Writes the files as they might be found; each write since the last sync got there, did not, or was torn."""
        for name in {*self.synced, *self.written}:
            content = bytearray(self.synced.get(name, b""))
            for what, offset, data in self.written.get(name, []):
                if what == "w":
                    data = data[:chance.choice([0, len(data), chance.randrange(0, len(data) + 1, 512)])]
                elif chance.random() < 0.5:
                    continue
                self.apply(content, what, offset, data)
            (folder / name).write_bytes(content)


def lost_in_cuts(disk, folder, names, seed):
    """Cuts the power at random moments. Returns what was wrong, if anything."""
    entries = list(disk.entries())
    chance = random.Random(seed)
    moments = set(chance.sample(range(len(entries)), min(ROUNDS, len(entries))))
    moments |= {k + 1 for k, entry in enumerate(entries[:-1]) if entry[0] == "f"}
    cut = Cut(disk.files)
    for k, entry in enumerate(entries):
        cut.play(*entry)
        if k not in moments or not cut.answered:
            continue
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        cut.leave(folder, chance)
        with contextlib.closing(sqlite3.connect(folder / "inbox.db")) as db:
            try:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                there = {name for name, in db.execute("SELECT file_id FROM event_file")}
            except (AssertionError, sqlite3.DatabaseError) as error:
                return f"damaged at {k}: {error}"
        if missing := set(names[:cut.answered]) - there:
            return f"at {k} {sorted(missing)[:3]} of {cut.answered} are gone"
    return None


def posts(vodhook, names):
    with vodhook.connect() as client:
        for name in names:
            client.send(request(body=upload(name, padding="x" * 20000)))
            assert client.answer().status == 200
            yield name


@pytest.mark.parametrize("sync, n_events", [("inbox.db-wal", 600), ("inbox.db", 1200)])
def test_no_power_cut_after_a_failed_sync_loses_what_was_answered(start, inbox, disk, tmp_path, sync, n_events):
    """A sync of the log fails under a commit, or one of the database under a checkpoint; the log is copied several times, and
    old events are removed meanwhile."""
    vodhook = start(inbox=inbox, output="none")
    list(posts(vodhook, [f"old {n}" for n in range(400)]))
    vodhook.stop()
    change(inbox, "PRAGMA journal_mode=WAL", "UPDATE event SET received = received - 40 * 86400 * 1000000")
    disk.files = {path.name: path.read_bytes() for path in tmp_path.glob("inbox.db*") if not path.name.endswith("-shm")}
    vodhook = start("--inbox-max=128M", inbox=inbox, output="none", env=disk.env)
    names = [f"{n:04}" for n in range(n_events)]
    for n, _ in enumerate(posts(vodhook, names)):
        if n in (100, 101, 300, 500):
            disk.fail("sync", sync, errno.EIO)
    vodhook.kill()
    assert not disk.fault.exists()
    assert any(entry[0] == "f" and entry[1] == sync for entry in disk.entries())
    assert ask(inbox, "SELECT count(*) FROM event")[0][0] == len(names)
    assert lost_in_cuts(disk, tmp_path / "cut", names, 1) is None


def test_no_power_cut_loses_what_follows_a_kill_after_a_failed_sync(start, inbox, disk, tmp_path):
    """The next process finds an event in the log that the disk never got, and writes behind it."""
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    disk.files, names = {}, [f"{n:04}" for n in range(20)]
    list(posts(vodhook, names))
    with vodhook.connect() as client:
        disk.fail("sync", "inbox.db-wal", errno.EIO)
        client.send(request(body=upload("between", padding="x" * 50000)))
        wait_until(lambda: not disk.fault.exists(), "the sync has failed")
        vodhook.kill()
        names += ["between"] * client.ended().startswith(b"HTTP/1.1 200")
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    later = [f"later {n}" for n in range(20)]
    list(posts(vodhook, later))
    vodhook.kill()
    assert lost_in_cuts(disk, tmp_path / "cut", names + later, 1) is None


def test_an_answer_before_its_sync_would_be_caught(start, inbox, disk, tmp_path):
    """The control: the same with the syncs of the log left out of the record."""
    vodhook = start(inbox=inbox, output="none", env=disk.env)
    names = [f"{n:04}" for n in range(50)]
    list(posts(vodhook, names))
    vodhook.kill()
    kept = b"".join(ENTRY.pack(what.encode(), name.encode(), offset, len(data)) + data
                    for what, name, offset, data in disk.entries() if (what, name) != ("s", "inbox.db-wal"))
    disk.record.write_bytes(kept)
    assert lost_in_cuts(disk, tmp_path / "cut", names, 1)

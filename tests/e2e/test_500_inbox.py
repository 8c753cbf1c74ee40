"""What is recorded in the inbox, and where that is."""

import os
import signal

import pytest
from harness import FILE_ID, Vodhook, request, upload, wait_until
from inbox import ask, change


def test_the_start_line_names_the_file(start, inbox):
    vodhook = start(inbox=inbox)
    assert vodhook.err.find(r"This is vodhook \d+\.\d+\S*, which believes anyone. Every event is recorded in (.*) before it is "
                            "answered, and kept for 30d, up to 4G")[1] == str(inbox)


def test_by_default_it_is_in_the_users_state(start):
    vodhook = start(inbox=None)
    vodhook.post(upload())
    folder = f"{vodhook.folder.name}/state/vodhook"
    assert ask(f"{folder}/inbox.db", "SELECT count(*) FROM event") == [(1,)]
    assert os.stat(folder).st_mode & 0o777 == 0o750
    assert os.stat(f"{folder}/inbox.db").st_mode & 0o777 == 0o640


def test_under_systemd_it_is_in_the_state_directory(start, tmp_path):
    vodhook = start(inbox=None, env={"STATE_DIRECTORY": str(tmp_path)})
    vodhook.post(upload())
    assert ask(tmp_path / "inbox.db", "SELECT count(*) FROM event") == [(1,)]


def test_an_event_is_kept_byte_for_byte_with_what_is_known_of_it(start, inbox):
    vodhook = start(inbox=inbox)
    body = b"\n " + upload(name="動物.mp4").replace(b'"FileId"', b'"File\\u0049d"') + b"\r\n"
    vodhook.post(body)
    record = vodhook.record()
    (row,) = ask(inbox, "SELECT id, source, remote, trust, type, task_id, status, result, err_code, name, seen,"
                        " received = last_seen, body FROM event")
    assert row == (1, "push", record["remote"], "unchecked", "NewFileUpload", None, None, "ok", None, "動物.mp4", 1, 1, body)
    assert ask(inbox, "SELECT event_id, file_id FROM event_file") == [(1, FILE_ID)]


def test_the_tables_are_those_that_are_documented(start, inbox):
    start(inbox=inbox)
    assert [name for _, name, *_ in ask(inbox, "PRAGMA table_info(event)")] == [
        "id", "received", "source", "remote", "trust", "type", "task_id", "status", "result", "err_code", "name",
        "digest", "seen", "last_seen", "body", "source_context", "session_context", "confirmed", "reconciled"]
    assert [name for _, name, *_ in ask(inbox, "PRAGMA table_info(event_file)")] == ["event_id", "file_id"]
    assert ask(inbox, "PRAGMA journal_mode") == [("wal",)]


def test_what_cannot_be_read_is_kept_and_other_requests_are_not(start, inbox):
    vodhook = start("--path", "/callback", inbox=inbox)
    vodhook.send(request("GET", "/"))
    vodhook.post(b"a=b", target="/callback")
    vodhook.post(b'{"EventType":"NewFi', target="/")
    vodhook.post(b'{"EventType":"NewFi', target="/callback?x=1")
    assert ask(inbox, "SELECT type, trust, body FROM event ORDER BY id") == [
        (None, "unchecked", b"a=b"), (None, "unchecked", b'{"EventType":"NewFi')]
    lines = [vodhook.record() for _ in range(4)]
    assert [line["unreadable"] for line in lines] == [False, True, False, True]


def test_a_refused_event_is_kept_apart_and_does_not_stand_for_a_good_one(start, inbox, tmp_path):
    vodhook = start("--path", "/secret", inbox=inbox)
    for target in "/wrong", "/secret", "/secret", "/wrong":
        vodhook.post(upload(), target=target)
    assert ask(inbox, "SELECT trust, seen FROM event ORDER BY id") == [("refused", 2), ("unchecked", 2)]
    assert [vodhook.record()["duplicate"] for _ in range(4)] == [False, False, True, True]


def test_a_duplicate_is_answered_and_flagged_in_every_output(start, inbox):
    vodhook = start(inbox=inbox)
    for _ in range(2):
        vodhook.post(upload())
    first, again = vodhook.record(), vodhook.record()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert "duplicate" not in first["summary"] and " duplicate=yes" in again["summary"]
    assert ask(inbox, "SELECT seen FROM event") == [(2,)]
    vodhook.stop()
    text = start(inbox=inbox, output="text")
    text.post(upload())
    assert " duplicate=yes" in text.text()[0][0]


def test_a_group_of_requests_shares_a_commit(start, inbox):
    """As many transactions as there were groups; the header of the log's index counts them, in its third word
    (sqlite.org/walformat.html)."""
    vodhook = start(inbox=inbox)

    def commits():
        with open(f"{inbox}-shm", "rb") as index:
            return int.from_bytes(index.read(12)[8:], "little")

    vodhook.post(upload("first"))
    before = commits()
    clients = [vodhook.connect() for _ in range(16)]
    vodhook.signal(signal.SIGSTOP)
    for n, client in enumerate(clients):
        client.send(request(body=upload(n)))
    vodhook.signal(signal.SIGCONT)
    for client in clients:
        assert client.answer().status == 200
        client.socket.close()
    assert ask(inbox, "SELECT count(*) FROM event") == [(17,)]
    assert commits() - before < 16


def test_without_an_inbox_there_is_none(start):
    vodhook = start(inbox="none")
    vodhook.err.find("A 200 means received, not recorded")
    vodhook.post(upload())
    assert not os.path.exists(f"{vodhook.folder.name}/state")


def test_old_events_go_and_the_newest_stay(start, inbox):
    vodhook = start(inbox=inbox)
    for n in range(3):
        vodhook.post(upload(n))
    vodhook.stop()
    change(inbox, "UPDATE event SET received = received - 40 * 86400 * 1000000 WHERE id < 3")
    start(inbox=inbox)
    wait_until(lambda: ask(inbox, "SELECT id FROM event") == [(3,)], "old events are gone")
    assert ask(inbox, "SELECT event_id FROM event_file") == [(3,)]


def test_a_size_lets_the_oldest_go_and_is_said(start, inbox):
    vodhook = start("--inbox-max", "1M", inbox=inbox, output="none")
    with vodhook.connect() as client:
        for n in range(600):
            client.send(request(body=upload(n, padding="x" * 3000)))
            assert client.answer().status == 200
    wait_until(lambda: ask(inbox, "SELECT count(*) FROM event")[0][0] < 300, "old events are gone")
    low, high, n = ask(inbox, "SELECT min(id), max(id), count(*) FROM event")[0]
    assert (high, n) == (600, 601 - low)
    vodhook.err.find("--inbox-max")


def test_a_newer_or_another_database_is_left_alone(inbox):
    change(inbox, "CREATE TABLE t (a)")
    with pytest.raises(AssertionError, match="another program"):
        Vodhook(inbox=inbox)

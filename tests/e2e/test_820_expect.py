"""Stuck tasks and silence: what did not come is listed, and told of once."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import harness
import inbox as boxes

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fakevod"))
import fakevod  # noqa: E402

FILE = 5285890784000000000


@pytest.fixture
def inbox(tmp_path):
    return str(tmp_path / "inbox.db")


def post(vodhook, event):
    vodhook.post(json.dumps(event).encode())


def upload(file_id, task_id, review=None):
    event = fakevod.upload(file_id)
    event["FileUploadEvent"].update(ProcedureTaskId=task_id, ReviewAudioVideoTaskId=review)
    return event


def stuck(inbox, *options):
    done = subprocess.run([harness.PROGRAM, "events", "--stuck", "--inbox", inbox, "--config", os.devnull, *options],
                          env=harness.environment("/nonexistent"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def age(inbox, seconds):
    """All that is there came that much earlier."""
    boxes.change(inbox, f"UPDATE event SET received = received - {seconds * 10 ** 6}")


def said(vodhook, pattern):
    return [line for line in vodhook.err.seen if pattern in line]


# --- events --stuck ----------------------------------------------------------------------------------------------

def test_what_began_and_did_not_end(start, inbox):
    vodhook = start(inbox=inbox, output="none")
    post(vodhook, upload(FILE, "by-upload", "review"))
    post(vodhook, fakevod.flow("by-status", FILE + 1, "PROCESSING"))
    post(vodhook, fakevod.flow("by-status", FILE + 1, "PROCESSING", Progress=50))
    post(vodhook, upload(FILE + 2, "ended"))
    post(vodhook, fakevod.flow("ended", FILE + 2))
    post(vodhook, fakevod.flow("came-first", FILE + 3))
    post(vodhook, upload(FILE + 3, "came-first"))
    assert stuck(inbox) == "" and stuck(inbox, "--count") == "0\n"
    assert stuck(inbox, "--count", "--expect-within", "0s") == "3\n"
    age(inbox, 7 * 3600)
    lines = stuck(inbox).splitlines()
    assert [line.split()[1:3] for line in lines] == [["task=by-upload", f"file={FILE}"], ["task=review", f"file={FILE}"],
                                                     ["task=by-status", f"file={FILE + 1}"]]
    assert stuck(inbox, "--count") == "3\n" and stuck(inbox, "--count", "--expect-within", "8h") == "0\n"
    first = json.loads(stuck(inbox, "--output", "json").splitlines()[0])
    assert (first["task_id"], first["file_id"], first["type"]) == ("by-upload", str(FILE), "NewFileUpload")
    post(vodhook, fakevod.flow("by-upload", FILE, failed=True))
    assert stuck(inbox, "--count") == "2\n"


# --- --expect-within ---------------------------------------------------------------------------------------------

def test_a_stuck_task_is_told_of_once(start, inbox):
    vodhook = start("--expect-within", "1s", inbox=inbox, output="none")
    post(vodhook, upload(FILE, "t-1"))
    post(vodhook, fakevod.flow("t-1", FILE, "PROCESSING"))
    vodhook.err.find("Task t-1 of file 5285890784000000000 has not ended")
    post(vodhook, fakevod.flow("t-1", FILE, "PROCESSING", Progress=50))
    post(vodhook, upload(FILE + 1, "t-2"))
    vodhook.err.find("Task t-2 ")
    assert len(said(vodhook, "Task t-1 ")) == 1
    post(vodhook, fakevod.flow("t-1", FILE))
    vodhook.err.find("Task t-1 .* has ended after all")
    post(vodhook, fakevod.flow("t-2", FILE + 1))
    vodhook.err.find("Task t-2 .* has ended after all")
    vodhook.stop()
    assert len(said(vodhook, "Task t-1 ")) == 2 and len(said(vodhook, "Task t-2 ")) == 2


def test_also_across_restarts_and_in_two_processes(start, inbox):
    first = start(inbox=inbox, output="none")
    post(first, upload(FILE, "t-1"))
    first.kill()
    age(inbox, 10)
    pair = [start("--expect-within", "2s", inbox=inbox, output="none") for _ in range(2)]
    harness.wait_until(lambda: boxes.ask(inbox, "SELECT said FROM event_began") != [(None,)], "the word")
    for vodhook in pair:
        post(vodhook, fakevod.upload(FILE + 9))
        vodhook.signal(signal.SIGKILL)
        vodhook.wait()
        vodhook.err.rest()
    assert sum(len(said(v, "Task t-1 ")) for v in pair) == 1
    again = start("--expect-within", "2s", inbox=inbox, output="none")
    post(again, upload(FILE + 1, "t-2"))
    again.err.find("Task t-2 ")
    assert said(again, "Task t-1 ") == []
    post(again, fakevod.flow("t-1", FILE))
    again.err.find("Task t-1 .* has ended after all")
    again.stop()


def test_it_needs_an_inbox():
    done = harness.run("listen", "--listen", "127.0.0.1:0", "--inbox", "none", "--expect-within", "1h", "--config", os.devnull)
    assert done.returncode == 78 and "--expect-within" in done.stderr


def test_a_look_reads_no_more_than_what_is_new(start, inbox):
    """An indexed query a minute: 20,000 tasks that were told of, and as many that ended, cost it nothing."""
    start(inbox=inbox, output="none").stop()
    boxes.change(inbox, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
                 "INSERT INTO event (received, source, trust, type, digest, last_seen, body) "
                 "SELECT i, 'push', 'unchecked', 'NewFileUpload', randomblob(32), i, '{}' FROM n",
                 "INSERT INTO event_began (event_id, task_id, ended, said) "
                 "SELECT id, 't-' || id, CASE WHEN id % 2 THEN id END, CASE WHEN id % 2 THEN NULL ELSE 1 END FROM event")
    for query in ("SELECT b.task_id FROM event_began AS b JOIN event ON id = b.event_id "
                  "WHERE b.ended IS NULL AND b.said IS NULL ORDER BY b.event_id",
                  "SELECT b.task_id FROM event_began AS b JOIN event ON id = b.event_id "
                  "WHERE b.said IS NOT NULL AND b.ended IS NOT NULL"):
        plan = boxes.ask(inbox, "EXPLAIN QUERY PLAN " + query)
        assert any("event_began_unsaid" in row[3] or "event_began_over" in row[3] for row in plan), plan


# --- --expect-event-every ----------------------------------------------------------------------------------------

def test_silence_is_told_of_once(start, inbox):
    vodhook = start("--expect-event-every", "1s", inbox=inbox, output="none")
    vodhook.err.find("No event for .*none before")
    post(vodhook, fakevod.upload(FILE))
    vodhook.err.find("Events come again")
    vodhook.err.find("No event for [12] s$")
    vodhook.stop()
    assert len(said(vodhook, "No event for")) == 2
    again = start("--expect-event-every", "1s", inbox=inbox, output="none")
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        again.send(harness.request("GET"))  # which is not an event
    post(again, fakevod.upload(FILE + 1))
    again.err.find("Events come again")
    assert said(again, "No event for") == []
    again.stop()


def test_silence_without_an_inbox(start):
    vodhook = start("--expect-event-every", "1s", output="none")
    vodhook.err.find("No event for")
    post(vodhook, fakevod.upload(FILE))
    vodhook.err.find("Events come again")
    vodhook.stop()


def test_reconciled_events_do_not_end_a_silence(start, inbox, tmp_path):
    with fakevod.FakeVod(rate=10 ** 6) as vod:
        vodhook = start("--expect-event-every", "2s", inbox=inbox, output="none")
        vodhook.err.find("No event for")
        vod.happen(fakevod.flow("t-1", FILE), ago=3600)
        done = harness.run("reconcile", "--endpoint", vod.endpoint, "--inbox", inbox, "--config", os.devnull, "--output",
                           "none", env={"TENCENTCLOUD_SECRET_ID": vod.secret_id, "TENCENTCLOUD_SECRET_KEY": vod.secret_key})
        assert done.returncode == 0, done.stderr
        assert boxes.ask(inbox, "SELECT count(*) FROM event") == [(1,)]
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            vodhook.send(harness.request("GET"))
        vodhook.stop()
        assert said(vodhook, "Events come again") == []

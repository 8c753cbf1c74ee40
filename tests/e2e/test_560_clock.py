"""A clock that leaps makes no event old: age counts only the time that really passed."""

import re

import pytest
from harness import upload, wait_until
from inbox import ask, change
from shims import shim

DAY = 86400


class Clock:
    """A listener whose clock is ahead by what `set` says, from then on."""

    def __init__(self, start, inbox, tmp_path):
        self.start_one, self.inbox, self.file = start, inbox, tmp_path / "offset"
        self.set(0)

    def set(self, seconds):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(self.file)  # at once

    def start(self, *options):
        return self.start_one("--inbox-max=4M", *options, inbox=self.inbox, output="none", env={**shim("clock"), "SHIM_CLOCK": str(self.file)})


@pytest.fixture
def clock(start, inbox, tmp_path):
    return Clock(start, inbox, tmp_path)


def files(inbox):
    return [file_id for file_id, in ask(inbox, "SELECT file_id FROM event_file WHERE file_id <> 'large' ORDER BY event_id")]


def pruned(inbox, vodhook):
    """Lets one event be old whatever the clock says, makes it look by an event that is large beside --inbox-max, and waits
    until the old one is gone: then everything that was due is."""
    change(inbox, "INSERT INTO event (received, source, trust, digest, last_seen, body) SELECT min(received) - 4000000000000000,"
                  " 'push', 'unchecked', zeroblob(32), 0, '' FROM event")
    vodhook.post(upload("large", padding="x" * 70000))
    wait_until(lambda: not ask(inbox, "SELECT 1 FROM event WHERE digest = zeroblob(32)"), "an old event is gone")


def test_a_leap_while_it_runs_empties_nothing_and_is_said(clock, inbox):
    vodhook = clock.start()
    vodhook.post(upload(1))
    clock.set(40 * DAY)
    vodhook.post(upload(2))
    vodhook.err.find(r"The clock has leapt 40 d 0 h 0 min ahead")
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2"]
    vodhook.stop()
    assert sum("leapt" in line for line in vodhook.err.seen) == 1


def test_a_leap_is_not_forgotten_at_a_restart(clock, inbox):
    vodhook = clock.start()
    vodhook.post(upload(1))
    clock.set(40 * DAY)
    vodhook.post(upload(2))
    vodhook.stop()
    vodhook = clock.start()
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2"]
    clock.set(0)  # it was put right
    vodhook.post(upload(3))
    vodhook.err.find(r"leapt 40 d 0 h 0 min back")
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2", "3"]


def test_a_leap_while_nothing_runs_empties_nothing(clock, inbox):
    vodhook = clock.start()
    vodhook.post(upload(1))
    vodhook.stop()
    clock.set(40 * DAY)
    vodhook = clock.start()
    vodhook.post(upload(2))
    vodhook.err.find("leapt 40 d")
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2"]


def test_a_machine_that_starts_with_a_wrong_clock_loses_nothing(clock, inbox):
    """CLOCK_BOOTTIME begins anew, as if the one that was noted were that of an earlier start."""
    vodhook = clock.start()
    vodhook.post(upload(1))
    vodhook.stop()
    (noted,), = ask(inbox, "SELECT value FROM inbox_info WHERE name = 'clock'")
    change(inbox, f"UPDATE inbox_info SET value = '{noted.split()[0]} {10 ** 15}' WHERE name = 'clock'")
    clock.set(40 * DAY)
    vodhook = clock.start()
    vodhook.post(upload(2))
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2"]


def test_real_time_makes_events_old_and_that_is_said(clock, inbox):
    vodhook = clock.start()
    for n in range(3):
        vodhook.post(upload(n))
    vodhook.stop()
    change(inbox, f"UPDATE event SET received = received - {40 * DAY} * 1000000 WHERE id < 3")
    vodhook = clock.start()
    wait_until(lambda: files(inbox) == ["2"], "old events are gone")
    vodhook.err.find(rf"Removed 2 events from the inbox {re.escape(str(inbox))} that were older than")


def test_an_inbox_of_an_older_version_is_not_emptied_by_a_wrong_clock(clock, inbox):
    """It has no note of the clock; its last event tells when it was in use."""
    vodhook = clock.start()
    vodhook.post(upload(1))
    vodhook.stop()
    change(inbox, "DELETE FROM inbox_info WHERE name = 'clock'")
    clock.set(40 * DAY)
    vodhook = clock.start()
    vodhook.post(upload(2))
    pruned(inbox, vodhook)
    assert files(inbox) == ["1", "2"]

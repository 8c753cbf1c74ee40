"""vodhook-reconcile.timer and .service on a real systemd, beside the listener on one inbox."""

import sys

import pytest

from box import TREE, rows, wait_for

sys.path.insert(0, str(TREE / "tests/fakevod"))
import fakevod  # noqa: E402

SERVICE, TIMER = "vodhook-reconcile.service", "vodhook-reconcile.timer"
FIRST = 5285890784000000000
HOUR = 3600


@pytest.fixture(scope="module", autouse=True)
def uploads_are_told(vod):
    vod.config["UploadMediaCompleteEventSwitch"] = "ON"


def test_the_service_records_what_never_came(box, vod):
    for i in range(5):
        vod.happen(fakevod.upload(FIRST + i), ago=HOUR)
        vod.happen(fakevod.flow(f"t-{i}", FIRST + i), ago=HOUR)
    box.systemctl("start", SERVICE)  # which ends with the run
    assert box.property(SERVICE, "Result") == "success"
    assert rows(box, "SELECT source, count(*) FROM event GROUP BY source") == [("reconcile", 10)]
    entry, = box.journal("VOD_TASK_ID=t-0", unit=SERVICE)
    assert entry["VOD_SOURCE"] == "reconcile" and entry["VOD_TRUST"] == "verified"
    messages = [str(e.get("MESSAGE")) for e in box.journal(unit=SERVICE)]
    assert any("10 events were missing and are recorded" in m for m in messages)
    assert not any(vod.secret_key in m for m in messages)
    vod.calls.clear()
    box.systemctl("start", SERVICE)
    assert vod.calls == {"DescribeEventConfig": 1, "SearchMedia": 1, "DescribeTasks": 1}


def test_the_timer_starts_it_every_quarter_of_an_hour(box, vod):
    box.systemctl("start", TIMER)
    shown = box.property(TIMER, "TimersCalendar")
    assert "*:00/15" in shown or "*:0/15" in shown, shown
    assert box.property(TIMER, "RandomizedDelayUSec") == "10min"
    box.systemctl("stop", TIMER)
    box.drop_in(TIMER, "soon", "[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\n")
    vod.happen(fakevod.flow("by-timer", FIRST), ago=15 * 60)
    box.systemctl("start", TIMER)
    wait_for("the run", lambda: rows(box, "SELECT count(*) FROM event WHERE task_id = 'by-timer'") == [(1,)])
    box.systemctl("stop", TIMER)


def test_a_failure_is_seen(box, vod):
    vod.rights = {"DescribeTasks", "SearchMedia", "DescribeEventConfig"}
    vod.happen(fakevod.flow("not-allowed", FIRST), ago=15 * 60)
    try:
        assert box.systemctl("start", SERVICE, check=False).returncode != 0
        assert box.property(SERVICE, "Result") == "exit-code"
        assert any("vod:DescribeTaskDetail" in str(e.get("MESSAGE")) for e in box.journal(unit=SERVICE))
    finally:
        vod.rights = None
        box.systemctl("reset-failed", SERVICE)

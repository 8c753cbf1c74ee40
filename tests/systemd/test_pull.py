"""vodhook-pull.service on a real systemd, beside the listener on one inbox."""

import json
import sys

from box import TREE, rows, wait_for
from client import post

sys.path.insert(0, str(TREE / "tests/fakevod"))
import fakevod  # noqa: E402

UNIT = "vodhook-pull.service"
FIRST = 5285890784000000000


def test_pulls_with_credentials_into_the_shared_inbox(box, vod):
    vod.put(fakevod.upload(FIRST + i) for i in range(40))
    box.systemctl("start", UNIT)
    assert vod.wait_until(lambda: len(vod.confirmed) == 40, 60)
    assert box.property(UNIT, "ActiveState") == "active"
    entry, = box.journal(f"VOD_FILE_ID={FIRST}", unit=UNIT)
    assert entry["VOD_SOURCE"] == "pull" and entry["VOD_TRUST"] == "verified"
    body = json.dumps(fakevod.upload(FIRST)).encode()
    post(box.connect(), body)
    assert rows(box, f"SELECT seen FROM event JOIN event_file ON event.id = event_id "
                     f"WHERE file_id = '{FIRST}'") == [(2,)]
    everything = "\n".join(str(e.get("MESSAGE")) for e in box.journal(unit=UNIT))
    assert vod.secret_key not in everything


def test_stop_in_mid_batch_loses_nothing(box, vod):
    before = len(vod.confirmed)
    vod.put(fakevod.upload(FIRST + 1000 + i) for i in range(2000))
    box.systemctl("start", UNIT)
    assert vod.wait_until(lambda: len(vod.confirmed) >= before + 160, 60)
    box.systemctl("stop", UNIT)
    assert box.property(UNIT, "Result") == "success"
    recorded = {name for name, in rows(box, "SELECT file_id FROM event_file")}
    confirmed = set(vod.confirmed)
    assert len(confirmed) < before + 2000
    assert confirmed == {name for name in recorded if int(name) >= FIRST}
    box.systemctl("start", UNIT)
    vod.advance(31)
    assert vod.wait_until(lambda: vod.waiting() == 0, 120)
    assert rows(box, "SELECT count(*), count(DISTINCT file_id) FROM event_file "
                     f"WHERE CAST(file_id AS INTEGER) >= {FIRST + 1000}") == [(2000, 2000)]


def test_without_a_key_it_stays_down(box, vod):
    box.systemctl("stop", UNIT)
    store = box.root / "etc/credstore"
    (store / "vodhook.secret-key").rename(store / "away")
    try:
        box.systemctl("start", UNIT, check=False)
        wait_for("the end", lambda: box.property(UNIT, "ActiveState") == "failed")
        assert box.property(UNIT, "ExecMainStatus") == "78"
        assert box.property(UNIT, "NRestarts") == "0"
    finally:
        (store / "away").rename(store / "vodhook.secret-key")
        box.systemctl("reset-failed", UNIT)

"""vodhook-forward@.service on a real systemd: its own settings, credentials, state and sandbox."""

import json
import os
import subprocess
import sys

import pytest
from box import TREE, set_netns, wait_for
from client import post, upload

sys.path.insert(0, str(TREE / "tests/e2e"))
import forward  # noqa: E402

UNIT = "vodhook-forward@shop.service"
SERVICE = TREE / "systemd/vodhook-forward@.service"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def service(box):
    """A service in the box's network, and the settings to hand on to it."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        set_netns(box.netns)
        one = forward.Service()
    finally:
        set_netns(own)
        os.close(own)
    folder = box.root / "etc/vodhook/forward"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.conf").write_text(f"target = http {one.url}\nfrom = start\n")
    store = box.root / "etc/credstore"
    store.mkdir(exist_ok=True)
    key = store / "vodhook-forward.shop.sign-key"
    key.touch(mode=0o600)
    key.write_text(KEY + "\n")
    yield one
    one.close()


def test_exposure():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=11", str(SERVICE)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_hands_on_signed_and_shows_how_it_is(box, service):
    for n in range(3):
        post(box.connect(), upload(str(n)))
    box.systemctl("start", UNIT)
    service.wait_for(3)
    assert all(p.headers["webhook-signature"].startswith("v1,") for p in service.posts)
    assert "running; 3 handed on" in wait_for("the status", lambda: (
        lambda text: text if "3 handed on" in text else None)(box.property(UNIT, "StatusText")))
    told = json.loads(box.run("vodhook", "forward", "--status", "shop", "--output", "json").stdout)
    assert told["state"] == "running" and told["handed_on"] == 3 and told["cursor"] == 3
    mode = box.run("stat", "-c", "%U:%G %a", "/var/lib/vodhook/forward/shop.db").stdout.strip()
    assert mode == "vodhook:vodhook 640"


def test_a_kill_loses_nothing_and_a_pause_holds(box, service):
    before = len(service.posts)
    pid = box.property(UNIT, "MainPID")
    box.run("kill", "-9", pid)
    post(box.connect(), upload("after-the-kill"))
    service.wait_for(before + 1)
    box.run("vodhook", "forward", "--pause", "shop")
    wait_for("the pause", lambda: "paused" in box.property(UNIT, "StatusText"))
    post(box.connect(), upload("while-paused"))
    box.run("vodhook", "forward", "--resume", "shop")
    service.wait_for(before + 2)


def test_wrong_settings_are_said_and_not_tried_again(box, service):
    (box.root / "etc/vodhook/forward/wrong.conf").write_text("target = gopher x\n")
    box.run("systemctl", "start", "vodhook-forward@wrong", check=False)
    assert box.property("vodhook-forward@wrong.service", "ExecMainStatus") == "78"
    entries = box.journal(unit="vodhook-forward@wrong.service")
    assert any("/etc/vodhook/forward/wrong.conf:1:" in str(e.get("MESSAGE")) for e in entries)


def test_the_output_of_a_program_is_in_the_journal_with_the_event(box, service):
    (box.root / "etc/vodhook/forward/run.conf").write_text('target = exec sh -c "echo got it"\nfrom = start\n')
    box.systemctl("start", "vodhook-forward@run")
    wait_for("the lines", lambda: len([e for e in box.journal("VOD_FILE_ID=1", unit="vodhook-forward@run.service")
                                       if e.get("MESSAGE") == "got it"]) == 1)
    entry = [e for e in box.journal("VOD_FILE_ID=1", unit="vodhook-forward@run.service")][0]
    assert len(entry["VOD_ID"]) == 64

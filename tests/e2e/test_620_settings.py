"""vodhook settings: what the console shows and changes, from a shell."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fakevod"))
import fakevod  # noqa: E402

URL = "http://192.0.2.1:8080"


@pytest.fixture
def vod():
    with fakevod.FakeVod(long_poll=0.2, rate=10 ** 6) as service:
        yield service


@pytest.fixture
def settings(vod, tmp_path):
    def run(*options, answer=""):
        return subprocess.run(
            [harness.PROGRAM, "settings", "--endpoint", vod.endpoint, *options], input=answer, text=True,
            capture_output=True, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TENCENTCLOUD_SECRET_ID": vod.secret_id,
                 "TENCENTCLOUD_SECRET_KEY": vod.secret_key})
    return run


def test_shows_what_is_set(vod, settings):
    vod.put([fakevod.upload(1), fakevod.upload(2)])
    vod.config.update(Mode="PUSH", NotificationUrl=URL, UploadMediaCompleteEventSwitch="ON")
    done = settings()
    assert done.returncode == 0, done.stderr
    for word in ("push", URL, "2 events"):
        assert word in done.stdout
    assert json.loads(settings("--output", "json").stdout) == {
        "mode": "push", "url": URL, "upload": "on", "delete": "off", "persistence": "off", "events_waiting": 2}
    assert vod.modified == []


def test_sends_what_was_given_and_nothing_else(vod, settings, tmp_path):
    vod.config.update(Mode="PUSH", NotificationUrl=URL)
    assert settings("--upload", "on").returncode == 0
    assert settings("--delete", "on", "--persistence", "off").returncode == 0
    assert settings("--url", URL).returncode == 0
    key = tmp_path / "key"
    key.write_text("Abc123\n")
    key.chmod(0o600)
    done = settings("--sign-key-file", str(key), "--sub-app-id", "1500000001")
    assert done.returncode == 0 and "Abc123" not in done.stdout + done.stderr
    assert vod.modified == [
        {"UploadMediaCompleteEventSwitch": "ON"},
        {"DeleteMediaCompleteEventSwitch": "ON", "PersistenceCompleteEventSwitch": "OFF"},
        {"NotificationUrl": URL},
        {"SignKey": "Abc123", "SubAppId": 1500000001}]


@pytest.mark.parametrize("answer, changed", [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_asks_before_it_replaces(vod, settings, answer, changed):
    vod.config.update(Mode="PUSH", NotificationUrl="http://192.0.2.99:8080")
    done = settings("--url", URL, answer=answer)
    assert "http://192.0.2.99:8080" in done.stdout + done.stderr and URL in done.stdout + done.stderr
    assert (done.returncode == 0) == changed
    assert bool(vod.modified) == changed


def test_yes_does_not_ask(vod, settings):
    done = settings("--mode", "push", "--url", URL, "--yes", "--output", "json")
    assert done.returncode == 0, done.stderr
    change = json.loads(done.stdout)
    assert change["before"]["mode"] == "pull" and change["before"]["url"] is None
    assert change["after"]["mode"] == "push" and change["after"]["url"] == URL


@pytest.mark.parametrize("options", [("--mode", "sideways"), ("--url", ""), ("--url", "ftp://x"), ("--upload", "maybe")])
def test_a_wrong_value_is_wrong_usage(vod, settings, options):
    assert settings(*options).returncode == 2
    assert vod.modified == []


def test_an_error_of_the_api_is_said(vod, settings):
    vod.misbehave("error", "UnauthorizedOperation", action="ModifyEventConfig")
    done = settings("--upload", "on")
    assert done.returncode == 1
    assert "UnauthorizedOperation" in done.stderr and "vod:ModifyEventConfig" in done.stderr

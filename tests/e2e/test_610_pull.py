"""vodhook pull against a VOD of our own: what is confirmed is recorded, and nothing is recorded twice."""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fakevod"))
import fakevod  # noqa: E402

LONG = os.environ.get("VODHOOK_LONG") == "1"
FIRST = 5285890784000000000
WAIT = 60


@pytest.fixture
def vod(tmp_path):
    with fakevod.FakeVod(long_poll=0.2, rate=10 ** 6, inbox=str(tmp_path / "inbox.db")) as service:
        yield service


class Puller:
    """vodhook pull, running. What it says on stderr is read as it comes, so that it never waits for a reader."""

    def __init__(self, vod, folder, *options, environment=None, output="none"):
        keys = {"TENCENTCLOUD_SECRET_ID": vod.secret_id, "TENCENTCLOUD_SECRET_KEY": vod.secret_key}
        self.process = subprocess.Popen(
            [harness.PROGRAM, "pull", "--endpoint", vod.endpoint, "--inbox", str(folder / "inbox.db"),
             "--output", output, "--rate", "100", *options],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **keys, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said, self.shown, self.changed = [], [], threading.Condition()
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.shown), (self.process.stderr, self.said))]
        for reader in self.readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.end()

    def read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line)
                self.changed.notify_all()

    def saw(self, pattern, seconds=WAIT):
        """Waits for a line on stderr that has the pattern. Returns whether it came."""
        with self.changed:
            return self.changed.wait_for(lambda: any(re.search(pattern, line) for line in self.said), seconds)

    def end(self, seconds=WAIT):
        """Waits for its own end. Returns (status, stdout, stderr)."""
        try:
            status = self.process.wait(seconds)
        finally:
            self.process.kill()
            for reader in self.readers:
                reader.join(10)
        return status, "".join(self.shown), "".join(self.said)

    def stop(self, number=signal.SIGTERM, seconds=10):
        self.process.send_signal(number)
        return self.end(seconds)


def rows(inbox, query="SELECT count(*), coalesce(sum(seen), 0) FROM event"):
    with contextlib.closing(sqlite3.connect(f"file:{inbox}?mode=ro", uri=True, timeout=20)) as db:
        return db.execute(query).fetchall()


def once(vod, folder, *options, **more):
    return Puller(vod, folder, "--once", *options, **more).end()


# --- The ordinary day --------------------------------------------------------------------------------------------

def test_once_empties_the_queue(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i, "動物世界.mp4") for i in range(40))
    status, out, err = once(vod, tmp_path, output="json")
    assert status == 0, err
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["file_id"] for r in records] == [str(FIRST + i) for i in range(40)]
    assert {(r["source"], r["kind"], r["trust"]) for r in records} == {("pull", "event", "verified")}
    assert "EventHandle" in records[0]["event"]
    assert vod.waiting() == 0 and len(vod.confirmed) == 40 and vod.early == []
    assert rows(tmp_path / "inbox.db") == [(40, 40)]
    assert vod.calls["ConfirmEvents"] == 3
    assert vod.secret_key not in out + err


@pytest.mark.parametrize("answer", ["ResourceNotFound", '{"Response":{"EventSet":null,"RequestId":"x"}}',
                                    '{"Response":{"EventSet":[],"RequestId":"x"}}'])
def test_an_empty_queue_is_no_failure(vod, tmp_path, answer):
    if answer.startswith("{"):
        vod.misbehave("text", answer)
    status, _, err = once(vod, tmp_path)
    assert status == 0, err


def test_no_busy_loop_on_a_server_that_answers_at_once(vod, tmp_path):
    vod.long_poll = 0
    puller = Puller(vod, tmp_path)
    assert vod.wait_until(lambda: vod.calls["PullEvents"] >= 3, WAIT)
    began, before = time.monotonic(), vod.calls["PullEvents"]
    vod.wait_until(lambda: vod.calls["PullEvents"] >= before + 20, 3)
    rate = (vod.calls["PullEvents"] - before) / (time.monotonic() - began)
    assert puller.stop()[0] == 0
    assert rate <= 5


def test_a_rate_that_is_given_is_kept(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(16 * 6))
    began = time.monotonic()
    assert once(vod, tmp_path, "--rate", "10")[0] == 0
    assert time.monotonic() - began >= (max(vod.calls.values()) - 1) / 10 - 0.2


def test_an_event_that_cannot_be_understood_is_kept_and_confirmed(vod, tmp_path):
    vod.put([{"Odd": {"TaskId": "odd-1"}}, fakevod.upload(FIRST)])
    status, out, err = once(vod, tmp_path, output="json")
    assert status == 0, err
    odd, event = map(json.loads, out.splitlines())
    assert odd["unreadable"] is True and odd["kind"] == "request" and "odd-1" in odd["body"]
    assert event["kind"] == "event"
    assert vod.waiting() == 0
    assert rows(tmp_path / "inbox.db") == [(2, 2)]


def test_https_is_verified(tmp_path):
    with fakevod.FakeVod(tls_dir=str(tmp_path), long_poll=0.2, rate=10 ** 6) as vod:
        vod.put([fakevod.upload(FIRST)])
        with Puller(vod, tmp_path) as puller:
            assert puller.saw("certificate|SSL|TLS")
        assert vod.waiting() == 1
        for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            status, _, err = once(vod, tmp_path, environment={name: vod.certificate})
            assert status == 0, err
        assert vod.waiting() == 0


def test_plain_http_goes_to_this_machine_only(vod, tmp_path):
    vod.endpoint = "http://192.0.2.1:80"
    status, _, err = once(vod, tmp_path)
    assert status in (2, 78) and "http" in err


# --- Keys --------------------------------------------------------------------------------------------------------

def test_keys_from_credentials_and_from_a_file(vod, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "secret-id").write_text(vod.secret_id + "\n")
    (folder / "secret-key").write_text(vod.secret_key + "\n")
    nothing = {"TENCENTCLOUD_SECRET_ID": "", "TENCENTCLOUD_SECRET_KEY": ""}
    assert once(vod, tmp_path, environment={**nothing, "CREDENTIALS_DIRECTORY": str(folder)})[0] == 0
    keys = tmp_path / "keys"
    keys.write_text(f"secret-id = {vod.secret_id}\nsecret-key = {vod.secret_key}\n")
    keys.chmod(0o600)
    assert once(vod, tmp_path, "--credentials", str(keys), environment=nothing)[0] == 0
    keys.chmod(0o644)
    status, _, err = once(vod, tmp_path, "--credentials", str(keys), environment=nothing)
    assert status == 78 and "chmod 600" in err
    status, _, err = once(vod, tmp_path, environment=nothing)
    assert status == 78 and "TENCENTCLOUD_SECRET_ID" in err


def test_a_session_token_is_sent(vod, tmp_path):
    vod.token = "the-token"
    status, _, err = once(vod, tmp_path)
    assert status == 1 and "token" in err
    assert once(vod, tmp_path, environment={"TENCENTCLOUD_SESSION_TOKEN": "the-token"})[0] == 0


@pytest.mark.parametrize("code, hint", [("AuthFailure.SecretIdNotFound", "AKIDfake"),
                                        ("AuthFailure.SignatureFailure", "secret key"),
                                        ("UnauthorizedOperation", "vod:PullEvents"),
                                        ("InvalidParameterValue", "--sub-app-id")])
def test_an_error_that_lasts_says_what_to_do(vod, tmp_path, code, hint):
    vod.misbehave("error", code, times=5)
    status, out, err = once(vod, tmp_path)
    assert status == 1
    line, = (line for line in err.splitlines() if code in line)
    assert hint in line
    assert vod.secret_key not in out + err
    assert vod.calls["PullEvents"] == 1


def test_a_clock_that_is_off_is_named(vod, tmp_path):
    vod.skew = 1000
    status, _, err = once(vod, tmp_path)
    assert status == 1
    assert re.search(r"clock is (9|10)\d\d s slow", err), err


def test_a_missing_application_is_named(vod, tmp_path):
    vod.sub_app_id = 1500000001
    status, _, err = once(vod, tmp_path)
    assert status == 1 and "--sub-app-id" in err
    assert once(vod, tmp_path, "--sub-app-id", "1500000001")[0] == 0


# --- Trouble -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, value", [("error", "InternalError"), ("error", "RequestLimitExceeded"), ("status", 502),
                                         ("cut", 20), ("text", "<html>"), ("text", ""), ("length", 100), ("huge", 40_000_000)])
def test_trouble_that_passes_is_waited_out(vod, tmp_path, kind, value):
    vod.put(fakevod.upload(FIRST + i) for i in range(3))
    vod.misbehave(kind, value, action="PullEvents")
    puller = Puller(vod, tmp_path)
    assert puller.saw("PullEvents")
    vod.advance(60)
    assert vod.wait_until(lambda: len(vod.confirmed) == 3, WAIT)
    status, _, err = puller.stop()
    assert status == 0, err
    assert rows(tmp_path / "inbox.db")[0][0] == 3 and vod.early == []


def test_a_handle_that_is_refused_keeps_no_other(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(3))
    vod.misbehave("error", "InvalidParameterValue", action="ConfirmEvents", times=2)
    puller = Puller(vod, tmp_path)
    assert puller.saw("deliver (it|them) again")
    assert vod.wait_until(lambda: len(vod.confirmed) == 2, WAIT)
    vod.advance(31)
    assert vod.wait_until(lambda: len(vod.confirmed) == 3, WAIT)
    assert puller.stop()[0] == 0
    assert rows(tmp_path / "inbox.db") == [(3, 4)]


def test_a_confirm_that_fails_does_no_harm(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(3))
    vod.misbehave("error", "InvalidParameterValue", action="ConfirmEvents", times=4)  # together, and each by itself
    puller = Puller(vod, tmp_path)
    assert puller.saw("deliver them again")
    vod.advance(31)
    assert vod.wait_until(lambda: len(vod.confirmed) == 3, WAIT)
    assert puller.stop()[0] == 0
    assert rows(tmp_path / "inbox.db") == [(3, 6)]


def happening(kind, **payload):
    """An event of a type that has no task, so that the same may truly happen again."""
    return {"EventType": kind, f"{kind}Event": payload}


def test_what_happens_again_is_another_event(vod, tmp_path):
    """A cast that goes on, off and on again, in one answer; and once more when those are confirmed."""
    inbox = tmp_path / "inbox.db"
    cast = [happening("MediaCastStatusChanged", CastId="c", Status=status) for status in ("Working", "Idle", "Working")]
    vod.put(cast)
    assert once(vod, tmp_path)[0] == 0
    assert rows(inbox) == [(3, 3)]
    vod.put(cast[:1])
    assert once(vod, tmp_path)[0] == 0
    assert rows(inbox) == [(4, 4)]


def test_what_was_not_confirmed_comes_again_and_is_no_other_event(vod, tmp_path):
    inbox = tmp_path / "inbox.db"
    restored = happening("RestoreMediaComplete", FileId="1")
    vod.put([restored])
    vod.misbehave("error", "InvalidParameterValue", action="ConfirmEvents", times=1)
    with Puller(vod, tmp_path) as puller:
        assert puller.saw("deliver them again")
        vod.advance(31)
        assert vod.wait_until(lambda: len(vod.confirmed) == 1, WAIT)
        assert puller.stop()[0] == 0
    assert rows(inbox) == [(1, 2)]
    vod.put([restored])  # restored once more
    assert once(vod, tmp_path)[0] == 0
    assert rows(inbox) == [(2, 3)]


def test_nobody_listens(vod, tmp_path):
    vod.put([fakevod.upload(FIRST)])
    vod.close()
    puller = Puller(vod, tmp_path)
    assert puller.saw("PullEvents .* failed")
    with fakevod.FakeVod(long_poll=0.2, rate=10 ** 6, port=vod.port) as again:
        again.put([fakevod.upload(FIRST)])
        assert again.wait_until(lambda: again.confirmed, WAIT)
        assert puller.stop()[0] == 0


def test_a_silent_call_ends_and_a_stop_in_it_is_quick(vod, tmp_path):
    vod.misbehave("silence", 60, action="PullEvents")
    puller = Puller(vod, tmp_path)
    assert vod.wait_until(lambda: vod.calls["PullEvents"] >= 1, WAIT)
    began = time.monotonic()
    assert puller.stop()[0] == 0
    assert time.monotonic() - began < 10


def test_a_stop_in_the_middle_confirms_what_it_has(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(16))
    vod.misbehave("delay", 1.0, action="ConfirmEvents")
    puller = Puller(vod, tmp_path)
    assert vod.wait_until(lambda: vod.calls["PullEvents"] >= 1, WAIT)
    status, _, err = puller.stop()
    assert status == 0, err
    recorded = rows(tmp_path / "inbox.db")[0][0]
    assert recorded == len(vod.confirmed) and recorded in (0, 16)


def key_file(folder, vod, key=None):
    path = folder / "key"
    path.write_text(f"secret-id = {vod.secret_id}\nsecret-key = {key or vod.secret_key}\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("where", ["file", "credentials"])
def test_a_rotated_key_is_read_again(vod, tmp_path, where):
    """The old key is disabled while the program runs; it goes on with the new one by itself."""
    environment, options = {"TENCENTCLOUD_SECRET_ID": "", "TENCENTCLOUD_SECRET_KEY": ""}, []
    if where == "file":
        options = ["--credentials", key_file(tmp_path, vod)]
    else:
        environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
        (tmp_path / "secret-id").write_text(vod.secret_id)
        (tmp_path / "secret-key").write_text(vod.secret_key)
    vod.put([fakevod.upload(FIRST)])
    puller = Puller(vod, tmp_path, *options, environment=environment)
    assert vod.wait_until(lambda: len(vod.confirmed) == 1, WAIT)
    key_file(tmp_path, vod, "the-new-key")
    (tmp_path / "secret-key").write_text("the-new-key")
    vod.secret_key = "the-new-key"
    vod.put([fakevod.upload(FIRST + 1)])
    assert vod.wait_until(lambda: len(vod.confirmed) == 2, WAIT)
    assert puller.saw("The API key has changed")
    status, out, err = puller.stop()
    assert status == 0 and "the-new-key" not in out + err


@pytest.mark.skipif(not LONG, reason="three minutes; VODHOOK_LONG=1")
def test_a_key_of_the_environment_ends_the_program_so_that_systemd_starts_it_anew(vod, tmp_path):
    puller = Puller(vod, tmp_path)
    assert vod.wait_until(lambda: vod.calls["PullEvents"] >= 1, WAIT)
    vod.secret_key = "the-new-key"
    status, _, err = puller.end(300)
    assert status == 1 and "only a new start can bring another one" in err


def test_once_waits_for_what_a_failing_server_took_out(vod, tmp_path):
    """The answer of a pull is lost behind a 502; its events come back after 30 s."""
    vod.put([fakevod.upload(FIRST)])
    vod.misbehave("lost", 502, action="PullEvents")
    puller = Puller(vod, tmp_path, "--once")
    assert puller.saw("delivers them again within")
    vod.advance(31)
    status, _, err = puller.end()
    assert status == 0, err
    assert rows(tmp_path / "inbox.db") == [(1, 1)]


# --- The proofs --------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own, that can be filled."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        yield None
        return
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    ballast = folder / "ballast"
    fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, bytes(65536))
    os.close(fd)
    return ballast


def test_ten_thousand_events_through_everything(tmp_path):
    """Killed, cut off, silent and full: in the end every event is there once, and none was confirmed before."""
    events, kills = 10_000, 30 if LONG else 3
    dice = random.Random(1)
    with small_disk(tmp_path / "disk", "100m") as disk:
        folder = disk or tmp_path
        inbox = folder / "inbox.db"
        assert once_on(folder) == 0  # makes the inbox, for the look into it at each confirm
        with fakevod.FakeVod(long_poll=0.2, rate=10 ** 6, inbox=str(inbox)) as vod:
            vod.put(fakevod.upload(FIRST + i) for i in range(events))
            vod.misbehave("cut", 300, action="PullEvents", times=2)
            vod.misbehave("cut", 10, action="ConfirmEvents")
            vod.misbehave("silence", 20, action="ConfirmEvents")
            for _ in range(kills):
                goal = len(vod.confirmed) + dice.randint(0, events // (kills + 2) - 1)
                with Puller(vod, folder) as puller:
                    assert vod.wait_until(lambda: len(vod.confirmed) >= goal, WAIT)
                    puller.process.kill()
                vod.advance(31)
            with Puller(vod, folder) as puller:
                if disk:
                    ballast = fill(folder)
                    assert puller.saw("cannot|Failed|recorded", WAIT)
                    ballast.unlink()
                while not vod.wait_until(lambda: len(vod.confirmed) == events, 5):
                    vod.advance(31)
                assert puller.stop()[0] == 0
            assert vod.early == []
            assert sorted(vod.confirmed) == [str(FIRST + i) for i in range(events)]
        assert rows(inbox, "SELECT count(*), count(DISTINCT file_id) FROM event_file") == [(events, events)]
        assert rows(inbox, "SELECT count(*) FROM event") == [(events,)]
        assert rows(inbox, "PRAGMA integrity_check") == [("ok",)]


def once_on(folder):
    with fakevod.FakeVod(long_poll=0.1, rate=10 ** 6) as empty:
        return once(empty, folder)[0]


def test_two_pullers_on_one_inbox(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(600))
    pullers = [Puller(vod, tmp_path), Puller(vod, tmp_path)]
    while not vod.wait_until(lambda: len(vod.confirmed) == 600, 10):
        vod.advance(31)
    for puller in pullers:
        assert puller.stop()[0] == 0
    assert rows(tmp_path / "inbox.db", "SELECT count(*) FROM event") == [(600,)]
    assert vod.early == []


def test_half_of_the_events_arrive_both_ways(vod, tmp_path):
    vod.put(fakevod.upload(FIRST + i) for i in range(200))
    listener = subprocess.Popen(
        [harness.PROGRAM, "--listen", "127.0.0.1:0", "--inbox", str(tmp_path / "inbox.db"), "--output", "text"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = listener.stdout.readline().split()[-1]
    reader = threading.Thread(target=listener.stdout.read, daemon=True)
    reader.start()
    puller = Puller(vod, tmp_path)
    for i in range(100, 300):
        body = json.dumps(fakevod.upload(FIRST + i), ensure_ascii=False, indent=1).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", body, timeout=WAIT) as answer:
            assert answer.status == 200
    while not vod.wait_until(lambda: len(vod.confirmed) == 200, 10):
        vod.advance(31)
    assert puller.stop()[0] == 0
    listener.terminate()
    assert listener.wait(10) == 0
    reader.join(10)
    assert rows(tmp_path / "inbox.db", "SELECT count(*) FROM event") == [(300,)]
    assert rows(tmp_path / "inbox.db", "SELECT count(*) FROM event WHERE seen >= 2")[0][0] >= 100

"""The service on a real systemd: start, stop, restarts and kills under load, a bad configuration, a stuck loop."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest
from box import wait_for
from client import Load, every, head, post, recorded, upload

pytestmark = pytest.mark.usefixtures("box")


def settled(box):
    """A service that is up, with its start counter forgotten, so that tests do not add up to the start limit."""
    box.systemctl("reset-failed", "vodhook.service", "vodhook.socket", check=False)
    box.systemctl("start", "vodhook.service")
    return box.main_pid()


def assert_all_recorded_once(box, load):
    found = {file_id: n for file_id, n in recorded(box).items() if int(file_id) >= load.first}
    lost = load.acknowledged - found.keys()
    assert not lost, f"{len(lost)} acknowledged events are not in the journal"
    assert not [file_id for file_id, n in found.items() if n != 1], "an event is in the journal twice"


def test_enabling_starts_service_and_socket(box):
    for unit in "vodhook.service", "vodhook.socket":
        assert box.systemctl("is-active", unit).stdout == "active\n"
        assert box.systemctl("is-enabled", unit).stdout == "enabled\n"
    assert box.main_pid() > 1
    assert post(box.connect(), upload(100)) == 200


def test_ready_only_when_it_accepts(box):
    """start returns at READY=1; a request right after it is answered by the same process."""
    box.systemctl("stop", "vodhook.socket", "vodhook.service")
    box.systemctl("start", "vodhook.service")
    pid = box.main_pid()
    assert post(box.connect(), b"", method="GET") == 200
    assert box.main_pid() == pid
    start = int(box.property("vodhook.service", "ExecMainStartTimestampMonotonic"))
    ready = int(box.property("vodhook.service", "ActiveEnterTimestampMonotonic"))
    print(f"exec to READY: {(ready - start) / 1000:.1f} ms")
    assert ready - start < 5_000_000


def test_status_counts(box):
    settled(box)
    box.systemctl("restart", "vodhook.service")
    post(box.connect(), upload(200))
    post(box.connect(), upload(201))
    status = wait_for("a status with both events",
                      lambda: (s := box.property("vodhook.service", "StatusText")).startswith("2 ") and s)
    assert re.search(r"2 events, 0 of them failed, 0 refused, the last at \d\d:\d\d:\d\d", status), status


def test_start_and_stop_are_explained(box):
    settled(box)
    box.systemctl("restart", "vodhook.service")
    shown = box.run("journalctl", "-x", "--no-pager", "--unit=vodhook.service", "--lines=50").stdout
    assert "Subject: vodhook has started" in shown and "Subject: vodhook has stopped" in shown
    assert "Every event is recorded in /var/lib/vodhook/inbox.db before it is answered" in shown


def test_another_port(box):
    """The drop-in of the README, and the one command that puts it in force."""
    settled(box)
    box.drop_in("vodhook.socket", "port", "[Socket]\nListenStream=\nListenStream=9090\n")
    try:
        box.systemctl("restart", "vodhook.socket", "vodhook.service")
        assert post(box.connect(9090), upload(250)) == 200
        with pytest.raises(ConnectionRefusedError):
            box.connect()
    finally:
        box.drop_in("vodhook.socket", "port", "")
        box.systemctl("restart", "vodhook.socket", "vodhook.service")


def test_stop_means_both_units(box):
    """Stopping the service alone leaves the socket, which starts it again; stopping the socket stops both."""
    settled(box)
    box.systemctl("stop", "vodhook.service")
    assert post(box.connect(), upload(300)) == 200
    assert box.systemctl("is-active", "vodhook.service").stdout == "active\n"
    box.systemctl("stop", "vodhook.socket", "vodhook.service")
    assert box.systemctl("is-active", "vodhook.service", check=False).stdout == "inactive\n"
    with pytest.raises(ConnectionRefusedError):
        box.connect()
    assert box.property("vodhook.service", "Result") == "success"
    settled(box)


def test_stop_answers_what_is_under_way(box):
    settled(box)
    body = upload(400)
    s = box.connect()
    s.sendall(head(body) + body[:10])
    wait_for("the connection", lambda: "8080" in box.run("ss", "-tnH", "state", "established").stdout)
    box.systemctl("--no-block", "stop", "vodhook.service")
    wait_for("stopping", lambda: box.property("vodhook.service", "SubState") == "stop-sigterm")
    s.sendall(body[10:])
    assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    s.close()
    wait_for("the end", lambda: box.property("vodhook.service", "ActiveState") == "inactive")
    assert recorded(box)["400"] == 1
    settled(box)


def test_ten_restarts_under_load_lose_nothing(box):
    settled(box)
    with Load(box, 10_000, threads=4) as load:
        every(0.5, 10, lambda: box.systemctl("restart", "vodhook.service"))
    print(f"restarts: {dict(load.outcomes)}")
    assert set(load.outcomes) == {200} and load.outcomes[200] > 100
    assert_all_recorded_once(box, load)


def test_keep_alive_client_over_restarts(box):
    """It may have to repeat a request of which not one byte was answered, and nothing else."""
    settled(box)
    stop = time.monotonic() + 3
    repeated = sent = 0
    connection = None
    with Load(box, 20_000, threads=1):
        while time.monotonic() < stop:
            if sent % 50 == 0:
                box.systemctl("--no-block", "restart", "vodhook.service")
            body = upload(30_000 + sent)
            for attempt in range(2):
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1")
                    connection.sock = box.connect()
                try:
                    connection.request("POST", "/", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    break
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    connection.close()
                    connection = None
                    repeated += 1
                    assert attempt == 0
            assert answer.status == 200
            if answer.will_close:
                connection.close()
                connection = None
            sent += 1
    print(f"keep-alive: {sent} sent, {repeated} repeated")
    found = recorded(box)
    assert all(found[str(30_000 + i)] >= 1 for i in range(sent))


def test_eight_kills_refuse_nobody(box):
    settled(box)
    pids = set()

    def kill():
        pid = wait_for("a main process", lambda: box.main_pid())
        pids.add(pid)
        box.run("kill", "-9", str(pid))

    with Load(box, 40_000, threads=2) as load:
        every(10 / 8, 8, kill)
    print(f"kills: {dict(load.outcomes)}")
    assert len(pids) == 8
    assert box.systemctl("is-active", "vodhook.socket").stdout == "active\n"
    assert "ConnectionRefusedError" not in load.outcomes
    # A process that is killed takes the connections along that it had accepted: two clients have one each.
    assert load.outcomes.total() - load.outcomes[200] <= 8 * 2
    wait_for("the service", lambda: box.property("vodhook.service", "SubState") == "running")
    lost = load.acknowledged - recorded(box).keys()
    assert not lost


def test_bad_configuration_stops_and_says_how_to_go_on(box):
    settled(box)
    conf = box.root / "etc/vodhook.conf"
    before = conf.read_text()
    conf.write_text("max-bdoy = 8M\n")
    try:
        box.systemctl("restart", "vodhook.service", check=False)
        wait_for("failure", lambda: box.property("vodhook.service", "ActiveState") == "failed")
        assert box.property("vodhook.service", "ExecMainStatus") == "78"
        assert box.property("vodhook.service", "NRestarts") == "0"
        assert [e for e in box.journal() if "/etc/vodhook.conf:1: " in e["MESSAGE"]]

        # A connection that waits makes systemd try again, until it gives up within seconds.
        with box.connect():
            wait_for("the end of trying", lambda: box.property("vodhook.socket", "ActiveState") == "failed")
    finally:
        conf.write_text(before)
    box.systemctl("reset-failed", "vodhook.service", "vodhook.socket")
    box.systemctl("start", "vodhook")
    assert post(box.connect(), upload(500)) == 200


def test_usage_error_is_not_restarted(box):
    settled(box)
    box.drop_in("vodhook.service", "usage", "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook --no-such\n")
    try:
        box.systemctl("restart", "vodhook.service", check=False)
        wait_for("failure", lambda: box.property("vodhook.service", "ActiveState") == "failed")
        assert box.property("vodhook.service", "NRestarts") == "0"
    finally:
        box.drop_in("vodhook.service", "usage", "")
    settled(box)


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_watchdog_restarts_a_stuck_loop(box):
    """A disk that does not come back from a sync holds the inbox up, and with it the loop."""
    settled(box)
    box.drop_in("vodhook.service", "watchdog", "[Service]\nWatchdogSec=1s\n")
    box.systemctl("restart", "vodhook.service")
    pid = box.main_pid()
    trace = subprocess.Popen(box.inside("strace", f"--attach={pid}", "--trace=fsync,fdatasync",
                                            "--inject=fsync,fdatasync:delay_enter=4000000"),
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in trace.stderr.readline()
        began = time.monotonic()
        with box.connect() as s:
            body = upload(600)
            s.sendall(head(body) + body)
            wait_for("the watchdog", lambda: "watchdog" in (box.property("vodhook.service", "Result"),
                                                            box.property("vodhook.service", "SubState").split("-")[-1]))
            print(f"watchdog of 1 s: noticed after {time.monotonic() - began:.1f} s")
        wait_for("another process", lambda: box.main_pid() not in (0, pid) and
                 box.property("vodhook.service", "SubState") == "running")
        assert post(box.connect(), upload(601)) == 200
    finally:
        trace.terminate()
        trace.communicate()
        box.drop_in("vodhook.service", "watchdog", "")
        box.systemctl("restart", "vodhook.service")


def test_sighup_is_no_reload(box):
    pid = settled(box)
    box.run("kill", "-HUP", str(pid))
    wait_for("the line", lambda: [e for e in box.journal(f"_PID={pid}") if "SIGHUP" in e["MESSAGE"]])
    assert box.main_pid() == pid


def test_sign_key_is_a_credential(box):
    """The example drop-in as it is, with a key that root alone can read."""
    settled(box)
    (box.root / "etc/vodhook").mkdir(mode=0o755)
    key = box.root / "etc/vodhook/sign-key"
    key.touch(mode=0o600)
    key.write_text("mysignkey\n")
    example = box.root / "usr/local/share/doc/vodhook/examples/sign-key.conf.example"
    box.drop_in("vodhook.service", "sign-key", example.read_text())
    try:
        box.systemctl("restart", "vodhook.service")
        signed = json.loads(upload(700))
        signed |= {"Sign": "46473246a29cede666bca8dafd731005", "T": 1764000600}
        post(box.connect(), json.dumps(signed).encode())
        post(box.connect(), upload(701))
        (late,), (unsigned,) = box.journal("VOD_FILE_ID=700"), box.journal("VOD_FILE_ID=701")
        assert late["VOD_TRUST"] == unsigned["VOD_TRUST"] == "refused"
        # The first one's signature is right but of the past; only the key can tell that.
        assert "expired" in late["VOD_REASON"].lower() and "expired" not in unsigned["VOD_REASON"].lower()
    finally:
        box.drop_in("vodhook.service", "sign-key", "")
        key.unlink()
        key.parent.rmdir()
        box.systemctl("restart", "vodhook.service")


def test_group_reads_the_state(box):
    settled(box)
    post(box.connect(), upload(800))
    box.run("useradd", "--groups=vodhook", "operator-in")
    box.run("useradd", "operator-out")
    state = box.root / "var/lib/vodhook"
    assert state.stat().st_mode & 0o7777 == 0o750
    assert (state / "inbox.db").stat().st_mode & 0o7777 == 0o640
    look = ["/usr/local/bin/vodhook", "events", "--file-id", "800", "--output", "json"]
    assert '"800"' in box.run("runuser", "-u", "operator-in", "--", *look).stdout
    conf = box.root / "etc/vodhook.conf"
    assert conf.stat().st_mode & 0o7777 == 0o640
    denied = box.run("runuser", "-u", "operator-out", "--", *look, check=False)
    assert denied.returncode != 0 and "group vodhook" in denied.stderr
    box.systemctl("stop", "vodhook.socket", "vodhook.service")
    assert '"800"' in box.run("runuser", "-u", "operator-in", "--", *look).stdout
    settled(box)


def test_sandbox_holds(box):
    """What the program itself could do: it runs as vodhook, without capabilities, alone in a network of its own."""
    pid = settled(box)
    status = (box.root / f"proc/{pid}/status").read_text()
    assert re.search(r"^CapBnd:\t0+$", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M) and re.search(r"^Seccomp:\t2$", status, re.M)
    assert box.run("ps", "-o", "user=", "-p", str(pid)).stdout.strip() == "vodhook"
    own = os.readlink(box.root / f"proc/{pid}/ns/net")
    assert own != os.readlink(box.root / "proc/1/ns/net")
    soft = re.search(r"^Max open files +(\d+)", (box.root / f"proc/{pid}/limits").read_text(), re.M).group(1)
    assert int(soft) >= 1024 + 100


def test_ipv6_and_ipv4(box):
    settled(box)
    assert post(box.connect(family=socket.AF_INET), upload(900)) == 200
    if os.path.exists("/proc/net/if_inet6"):
        assert post(box.connect(family=socket.AF_INET6), upload(901)) == 200
        (four,), (six,) = box.journal("VOD_FILE_ID=900"), box.journal("VOD_FILE_ID=901")
        assert four["VOD_REMOTE"].startswith("127.0.0.1:") and six["VOD_REMOTE"].startswith("[::1]:")

"""Sockets that systemd passes: which are served, which are refused, and what happens without one."""

import socket

import pytest
from box import wait_for
from client import answer, head, post, recorded, upload

pytestmark = pytest.mark.usefixtures("bare_box")


@pytest.fixture
def units(bare_box):
    """Lays drop-ins over socket and service, and takes everything back afterwards."""
    laid = []

    def lay(unit, text):
        bare_box.drop_in(unit, "test", text)
        laid.append(unit)

    yield lay
    bare_box.systemctl("stop", "vodhook.socket", "vodhook.service", check=False)
    for unit in laid:
        bare_box.drop_in(unit, "test", "")
    bare_box.systemctl("reset-failed")


def failure(box, *command):
    """Starts the service, which must fail; returns its exit status and what it said."""
    before = len(box.journal())
    box.systemctl("start", "vodhook.service", check=False)
    wait_for("failure", lambda: box.property("vodhook.service", "ActiveState") == "failed")
    # By its place: journald may be too late to read the invocation of a process that ended at once.
    said = [e["MESSAGE"] for e in box.journal()[before:]]
    return int(box.property("vodhook.service", "ExecMainStatus")), "\n".join(map(str, said))


NO_RESTART = "[Service]\nRestart=no\n"


def test_several_sockets_at_once(bare_box, units):
    units("vodhook.socket", "[Socket]\nListenStream=\nListenStream=0.0.0.0:9090\nListenStream=[::1]:9091\n"
                            "ListenStream=/run/vodhook-test.sock\n")
    bare_box.systemctl("start", "vodhook.service")
    assert post(bare_box.connect(9090), upload(1)) == 200
    assert post(bare_box.connect(9091, socket.AF_INET6), upload(2)) == 200
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{bare_box.root}/run/vodhook-test.sock")
        assert post(s, upload(3)) == 200
    remote = {e["VOD_FILE_ID"]: e["VOD_REMOTE"] for e in bare_box.journal("VOD_EVENT_TYPE=NewFileUpload")}
    assert remote["1"].startswith("127.0.0.1:") and remote["2"].startswith("[::1]:") and remote["3"] == "unix"


def test_the_first_connection_starts_it(bare_box, units):
    bare_box.systemctl("start", "vodhook.socket")
    assert bare_box.property("vodhook.service", "ActiveState") == "inactive"
    assert post(bare_box.connect(), upload(10)) == 200
    assert bare_box.property("vodhook.service", "ActiveState") == "active"
    assert recorded(bare_box)["10"] == 1


def test_passed_sockets_win_over_listen(bare_box, units):
    units("vodhook.service", "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook listen --listen 127.0.0.1:9191\n")
    bare_box.systemctl("start", "vodhook.service")
    assert post(bare_box.connect(), upload(20)) == 200
    with pytest.raises(ConnectionRefusedError):
        bare_box.connect(9191)
    warnings = [e["MESSAGE"] for e in bare_box.journal("PRIORITY=4")]
    assert any("listen (command line)" in w for w in warnings), warnings


@pytest.mark.parametrize("kind", ["ListenDatagram=8080", "ListenSequentialPacket=/run/vodhook-test.seq",
                                  "ListenFIFO=/run/vodhook-test.fifo", "ListenDatagram=/run/vodhook-test.dgram"])
def test_wrong_kind_is_refused(bare_box, units, kind):
    units("vodhook.socket", f"[Socket]\nListenStream=\n{kind}\n")
    units("vodhook.service", NO_RESTART)
    status, said = failure(bare_box)
    assert status in (1, 78), said
    assert "socket" in said and "stream" in said, said


def test_no_socket_in_a_network_of_its_own(bare_box, units):
    """Started without the socket unit: listening there would wait for nobody."""
    unit = bare_box.root / "etc/systemd/system/lonely.service"
    text = bare_box.run("systemctl", "cat", "vodhook.service").stdout
    unit.write_text("\n".join(line for line in text.splitlines()
                              if not line.startswith(("Requires=", "After=", "Restart=", "Also="))))
    bare_box.systemctl("daemon-reload")
    try:
        bare_box.systemctl("start", "lonely.service", check=False)
        assert bare_box.property("lonely.service", "ExecMainStatus") == "78"
        said = "\n".join(str(e["MESSAGE"]) for e in bare_box.journal(unit="lonely.service"))
        assert "systemctl restart vodhook.socket vodhook.service" in said, said
    finally:
        unit.unlink()
        bare_box.systemctl("daemon-reload")


def test_its_own_socket_without_a_network_of_its_own(bare_box, units):
    """The way to go without the socket unit."""
    unit = bare_box.root / "etc/systemd/system/direct.service"
    unit.write_text("[Service]\nType=notify\nExecStart=/usr/local/bin/vodhook --listen 127.0.0.1:0 --inbox none\n")
    bare_box.systemctl("daemon-reload")
    try:
        bare_box.systemctl("start", "direct.service")
        lines = [str(e["MESSAGE"]) for e in bare_box.journal(unit="direct.service")]
        port = next(int(line.rsplit(":", 1)[-1].rsplit(" ", 1)[-1]) for line in lines if "Started httpserver" in line)
        body = upload(30)
        with bare_box.connect(port) as s:
            s.sendall(head(body) + body)
            assert answer(s).startswith(b"HTTP/1.1 200 ")
    finally:
        bare_box.systemctl("stop", "direct.service")
        unit.unlink()
        bare_box.systemctl("daemon-reload")


def test_forgotten_restart_of_the_socket(bare_box, units):
    """The port was changed and only the service restarted: systemd passes no socket then. The service stays down, once,
    and says how to go on."""
    bare_box.systemctl("start", "vodhook.service")
    units("vodhook.socket", "[Socket]\nListenStream=\nListenStream=9090\n")
    bare_box.systemctl("restart", "vodhook.service", check=False)
    if bare_box.property("vodhook.service", "ActiveState") == "failed":
        assert bare_box.property("vodhook.service", "NRestarts") == "0"
        assert bare_box.property("vodhook.service", "ExecMainStatus") == "78"
        said = "\n".join(str(e["MESSAGE"]) for e in bare_box.journal("PRIORITY=3"))
        assert "systemctl restart vodhook.socket vodhook.service" in said, said
    else:  # a systemd that keeps the old socket
        assert post(bare_box.connect(), upload(40)) == 200
    bare_box.systemctl("reset-failed", "vodhook.service", check=False)
    bare_box.systemctl("restart", "vodhook.socket", "vodhook.service")
    assert post(bare_box.connect(9090), upload(41)) == 200


def test_listen_in_the_file_names_the_socket_unit(bare_box, units):
    conf = bare_box.root / "etc/vodhook.conf"
    before = conf.read_text()
    conf.write_text("listen = :9090\n")
    try:
        bare_box.systemctl("start", "vodhook.service")
        assert post(bare_box.connect(), upload(50)) == 200
        said = "\n".join(str(e["MESSAGE"]) for e in bare_box.journal("PRIORITY=4"))
        assert "/etc/vodhook.conf:1" in said and "systemctl edit vodhook.socket" in said
        assert "systemctl restart vodhook.socket vodhook.service" in said, said
    finally:
        conf.write_text(before)

"""A stranger starts it without any option, opens the address in a browser, and has an event posted."""

import ctypes
import errno
import fcntl
import os
import platform
import re
import socket
import struct

import pytest
from harness import FILE_ID, Client, request, upload

CLONE_NEWNET = 0x40000000


@pytest.fixture
def port_8080():
    """A network of its own, in which port 8080 is free. What is started meanwhile lives in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace in which port 8080 is free")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    try:
        loopback_up()
        yield 8080
    finally:
        assert libc.setns(before, CLONE_NEWNET) == 0
        os.close(before)


def loopback_up():
    siocsifflags, up, running = 0x8914, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, siocsifflags, struct.pack("16sh14x", b"lo", up | running))


@pytest.mark.parametrize("command", [(), ("listen",)], ids=["vodhook", "vodhook listen"])
def test_without_options_it_is_the_tutorials_receiver(start, port_8080, command):
    vodhook = start(command=command, listen=None, output=None, inbox=None, config=None)
    assert vodhook.out.seen == ["Started httpserver on port 8080"]
    vodhook.port = port_8080
    vodhook.post(upload())
    with Client(("::1", port_8080)) as browser:
        assert browser.send(request("GET", "/")).answer().status == 200
    event, visit = vodhook.text()
    assert re.match(r"[\d-]{10}T[\d:.]{12}[+-]\d\d:\d\d NewFileUpload file=" + FILE_ID, event[0])
    assert f'            "FileId": "{FILE_ID}",' in event
    assert " GET / 0 bytes" in visit[0]
    assert "    Host: receiver.example.com" in visit


def test_both_families_on_one_port(start):
    vodhook = start(listen=":0")
    for host in "127.0.0.1", "::1":
        with Client((host, vodhook.port)) as client:
            assert client.send(request(body=upload())).answer().status == 200
            assert vodhook.record()["remote"] == client.name


def without_ipv6():
    """Makes socket(AF_INET6) fail in this process as on a kernel that has none."""
    number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0), (equal, 0, 3, number),              # the system call: socket?
               (load, 0, 0, 16), (equal, 0, 1, socket.AF_INET6),    # its first argument
               (give, 0, 0, 0x00050000 | errno.EAFNOSUPPORT), (give, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filtering = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filtering, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="a seccomp filter for another machine")
def test_ipv4_alone_where_the_kernel_has_no_ipv6(start):
    vodhook = start(listen=":0", preexec=without_ipv6)
    vodhook.post(upload())
    assert vodhook.record()["remote"].startswith("127.0.0.1:")
    with pytest.raises(ConnectionRefusedError):
        Client(("::1", vodhook.port))


@pytest.mark.parametrize("output", ["text", "json", "none", "journal"])
def test_the_banner_is_on_stdout_with_text_else_on_stderr(start, output):
    vodhook = start(output=output)
    banner = f"Started httpserver on port {vodhook.port}"
    vodhook.stop()
    out, err = vodhook.out.seen + vodhook.out.rest(), vodhook.err.seen + vodhook.err.rest()
    assert (banner in out, banner in err) == ((True, False) if output == "text" else (False, True))
    assert output == "text" or out == []


def test_the_start_line_says_who_can_post_and_what_a_200_means(start):
    vodhook = start()
    said = vodhook.err.find("Anyone who reaches the port can post events")
    assert "--sign-key-file" in said.string and "path" in said.string
    assert any("200 means received" in line for line in vodhook.err.seen)


def test_the_start_line_names_the_inbox(start, tmp_path):
    vodhook = start(inbox=str(tmp_path / "some.db"))
    assert vodhook.err.find(re.escape(str(tmp_path / "some.db")))
    vodhook.post(upload())
    assert vodhook.record()["file_id"] == FILE_ID
    assert (tmp_path / "some.db").stat().st_size > 0


def test_the_inbox_has_a_place_of_its_own_by_default(start):
    vodhook = start(inbox=None)
    vodhook.post(upload())
    assert vodhook.record()["file_id"] == FILE_ID
    with open(f"{vodhook.folder.name}/state/vodhook/inbox.db", "rb") as inbox:
        assert inbox.read(15) == b"SQLite format 3"


def test_diagnostics_have_priorities_where_systemd_reads_them(start):
    vodhook = start(journal_stream=True)
    vodhook.signal()
    assert vodhook.wait() == 0
    vodhook.err.rest()
    assert vodhook.err.seen and all(re.match(r"<[0-7]>", line) for line in vodhook.err.seen), vodhook.err.seen


def test_without_systemd_diagnostics_say_whose_they_are(vodhook):
    vodhook.stop()
    vodhook.err.rest()
    for line in vodhook.err.seen:
        assert line.startswith(("vodhook: ", "Started httpserver on ")), line

"""Time is limited from the connection to the request line, from there to the last byte, and between requests, however
slowly bytes drip."""

import os
import socket
import time

import pytest
from harness import FILE_ID, WAIT, chunked, request, upload

LONG = os.environ.get("VODHOOK_LONG") == "1"
LINE = b"POST /" + b"x" * 5000
HEAD = b"POST / HTTP/1.1\r\nX: " + b"x" * 5000
BODY = b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"
CHUNKS = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("at_once, dripped", [
    (b"", LINE), (b"", b"\r\n" * 5000), (HEAD[:22], HEAD[22:]), (BODY, b"x" * 5000), (CHUNKS, chunked(b"x" * 5000, 1)),
], ids=["line", "empty lines", "head", "body", "chunks"])
def test_a_drip_is_cut(start, at_once, dripped):
    vodhook = start("--request-timeout=500ms")
    with vodhook.connect() as client:
        seconds, sent = client.send(at_once).drip(dripped, 0.02)
        assert client.ended() == b""
    assert 0.4 < seconds < WAIT and sent < len(dripped)
    vodhook.err.find("127.0.0.1:.*it took too long")
    assert vodhook.stop()["broken"] == 1


@pytest.mark.parametrize("data", [b"", b"G", BODY, BODY + b"x"], ids=["nothing", "a byte", "head", "body"])
def test_silence_is_cut(start, data):
    vodhook = start("--request-timeout=300ms")
    with vodhook.connect() as client:
        assert client.send(data).ended() == b""


def test_each_part_has_its_own_time(start):
    """A client that is slow, but not too slow, with its request line and again with the rest."""
    vodhook = start("--request-timeout=8s")
    data = request(body=upload(), headers=["Connection: close"])
    line_end = data.index(b"\r\n") + 2
    with vodhook.connect() as client:
        first, _ = client.drip(data[:line_end], 4.5 / line_end)
        second, _ = client.drip(data[line_end:], 4.5 / (len(data) - line_end))
        assert client.answer().status == 200
    assert first + second > 8
    assert vodhook.record()["file_id"] == FILE_ID


def test_a_kept_connection_may_be_idle_for_longer(start):
    vodhook = start("--request-timeout=300ms")
    with vodhook.connect() as kept, vodhook.connect() as silent:
        assert kept.send(request("GET", "/healthz")).answer().status == 200
        assert silent.ended() == b""
        with vodhook.connect() as other:
            assert other.ended() == b""
        assert kept.send(request(body=upload())).answer().status == 200


@pytest.mark.skipif(not LONG, reason="a minute; VODHOOK_LONG=1")
@pytest.mark.parametrize("drips", [False, True], ids=["quiet", "drips"])
def test_a_kept_connection_is_closed_after_60_s(start, drips):
    """Counted from the answer on."""
    vodhook = start("--request-timeout=1h")
    began = time.monotonic()
    with vodhook.connect() as client:
        assert client.send(request(body=upload())).answer().status == 200
        client.socket.settimeout(90)
        if drips:
            client.drip(LINE, 0.1)
        assert client.ended() == b"" and 59 < time.monotonic() - began < 80
    vodhook.post(upload())
    if not drips:
        assert vodhook.stop()["broken"] == 0
        assert not [line for line in vodhook.err.seen if "127.0.0.1:" in line], "it is no stranger's doing"


def test_a_client_that_does_not_read_its_answers(start):
    """It sends requests and never reads: its connection goes, others do not wait."""
    vodhook = start("--request-timeout=500ms", output="none")
    with vodhook.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.socket.settimeout(0.2)
        data = request("GET", "/") * 1000
        try:
            for _ in range(100):
                client.socket.sendall(data)
        except OSError:
            pass
        vodhook.post(upload())
        client.socket.settimeout(30)
        client.ended()

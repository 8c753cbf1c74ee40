"""How it ends: what is under way is answered, what is quiet is closed, and it does not take long."""

import re
import signal
import time

import pytest
from harness import FILE_ID, Client, chunked, request, upload


def stopping(vodhook, number=signal.SIGTERM):
    vodhook.signal(number)
    vodhook.err.find("Stopping on SIG")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_once_where_there_is_nothing_to_wait_for(vodhook, number):
    vodhook.post(upload())
    began = time.monotonic()
    vodhook.signal(number)
    assert vodhook.wait() == 0 and time.monotonic() - began < 3
    assert vodhook.err.find("Stopping on (SIGTERM|SIGINT)")[1] == number.name


@pytest.mark.parametrize("inbox", ["none", None], ids=["no inbox", "inbox"])
@pytest.mark.parametrize("first, rest", [
    (request(body=upload())[:-10], request(body=upload())[-10:]),
    (request(body=upload())[:30], request(body=upload())[30:]),
    (request(headers=["Transfer-Encoding: chunked"], length=False), chunked(upload())),
], ids=["body", "head", "chunks"])
def test_a_request_under_way_gets_its_200(start, first, rest, inbox):
    vodhook = start(inbox=inbox)
    with vodhook.connect() as client:
        client.send(first)
        wait_until_accepted(vodhook)
        stopping(vodhook)
        answer = client.send(rest).answer()
        assert answer.status == 200 and answer.headers["connection"].lower() == "close"
        assert client.ended() == b""
    assert vodhook.record()["file_id"] == FILE_ID
    assert vodhook.wait() == 0


def wait_until_accepted(vodhook):
    """A later connection that is answered came after all that were made before."""
    vodhook.send(request("GET", "/healthz"))


def test_a_kept_connection_gets_its_next_answer_with_close(vodhook):
    with vodhook.connect() as client:
        answer = client.send(request(body=upload(1))).answer()
        assert answer.headers.get("connection", "").lower() != "close"
        stopping(vodhook)
        answer = client.send(request(body=upload(2))).answer()
        assert answer.status == 200 and answer.headers["connection"].lower() == "close"
        assert client.ended() == b""
    assert vodhook.wait() == 0
    assert [vodhook.record()["file_id"] for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("data", [b"", request("GET", "/healthz")], ids=["new", "kept"])
def test_a_quiet_connection_is_closed_after_a_second(vodhook, data):
    with vodhook.connect() as client:
        if data:
            client.send(data).answer()
        wait_until_accepted(vodhook)
        began = time.monotonic()
        stopping(vodhook)
        assert client.ended() == b""
        assert 0.8 < time.monotonic() - began < 4
        assert vodhook.wait() == 0


def test_no_new_connections(vodhook):
    with vodhook.connect() as quiet, vodhook.connect() as busy:
        wait_until_accepted(vodhook)
        stopping(vodhook)
        assert busy.send(request("GET", "/healthz")).answer().headers["connection"].lower() == "close"
        with pytest.raises((ConnectionError, AssertionError, TimeoutError)):
            with vodhook.connect() as late:
                late.socket.settimeout(3)
                late.send(request(body=upload("late"))).answer()
        quiet.ended()
    assert vodhook.wait() == 0
    assert vodhook.out.rest() == []


def test_connections_that_wait_to_be_accepted_are_served(vodhook):
    """They are there already when the signal comes: the program is stopped meanwhile, so that it sees both at once."""
    vodhook.signal(signal.SIGSTOP)
    clients = [vodhook.connect().send(request(body=upload(i))) for i in range(50)]
    vodhook.signal(signal.SIGTERM)
    vodhook.signal(signal.SIGCONT)
    for client in clients:
        with client:
            assert client.answer().status == 200
    assert vodhook.wait() == 0
    assert {vodhook.record()["file_id"] for _ in range(50)} == {str(i) for i in range(50)}


def test_a_request_that_never_ends_does_not_keep_it(vodhook):
    with vodhook.connect() as client:
        client.send(request(body=upload())[:-1])
        wait_until_accepted(vodhook)
        began = time.monotonic()
        stopping(vodhook)
        assert vodhook.wait() == 0
        assert 1 < time.monotonic() - began < 8
        assert client.ended() == b""


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM),
                                           (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_it_at_once(vodhook, first, second):
    with vodhook.connect() as client:
        client.send(request(body=upload())[:-1])
        wait_until_accepted(vodhook)
        began = time.monotonic()
        stopping(vodhook, first)
        vodhook.signal(second)
        assert vodhook.wait() == 0
        assert time.monotonic() - began < 4


def test_hangup_is_no_reload(vodhook):
    vodhook.signal(signal.SIGHUP)
    assert vodhook.err.find("SIGHUP.*[Rr]estart")
    vodhook.signal(signal.SIGHUP)
    assert vodhook.err.find("SIGHUP.*[Rr]estart")
    assert vodhook.shown(upload())["file_id"] == FILE_ID


def test_under_load(start):
    """Whatever is answered has been written, and nothing that was begun is dropped."""
    vodhook = start()
    clients = [vodhook.connect() for _ in range(50)]
    for i, client in enumerate(clients):
        client.send(request(body=upload(i))[:-1])
    wait_until_accepted(vodhook)
    stopping(vodhook)
    for client in clients:
        client.send(b"}")
    for client in clients:
        with client:
            assert client.answer().status == 200
    assert vodhook.wait() == 0
    lines = vodhook.out.rest()
    assert len(lines) == 50
    assert int(re.search(r"Stopped after (\d+) events", "\n".join(vodhook.err.rest()))[1]) == 50


def test_a_passing_look_at_a_stopped_port(vodhook):
    vodhook.stop()
    with pytest.raises(ConnectionRefusedError):
        Client(vodhook.address)

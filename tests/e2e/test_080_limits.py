"""Bodies, heads and connections have limits, and a stranger at a limit does not hold up anyone."""

import contextlib
import json
import resource
import socket
import time

import pytest
from harness import FILE_ID, SANITIZED, WAIT, chunked, request, upload, wait_until, wait_until_read
from inbox import ask

MB = 1 << 20


def memory(vodhook, what="VmHWM"):
    """Bytes of memory that it has, or had at most."""
    with open(f"/proc/{vodhook.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))


def is_cut(record, size):
    """Whether it is an event that was cut: kept as its head, and flagged."""
    return record["kind"] == "request" and record["unreadable"] and record["truncated"] \
        and record["body_bytes"] == size and "large" in record["reason"]


# --- Bodies ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_of_8m_is_kept(start, framing, limit=8 * MB):
    vodhook = start()
    for size, fits in (limit - 1, True), (limit, True), (limit + 1, False), (limit + 1000, False):
        body = upload(name="")
        body = upload(name="x" * (size - len(body)))
        assert len(body) == size
        data = request(body=body) if framing == "length" else \
            request(headers=["Transfer-Encoding: chunked"], length=False) + chunked(body, 60000)
        assert vodhook.send(data).status == 200
        record = vodhook.record()
        assert record["file_id"] == FILE_ID if fits else is_cut(record, size), size
    assert vodhook.stop()["unreadable"] == 2


def test_the_head_of_a_large_body_is_kept(start, tmp_path):
    inbox = tmp_path / "inbox.db"
    vodhook = start(inbox=inbox)
    body = upload(name="x" * 9 * MB)
    record = vodhook.shown(body)
    assert is_cut(record, len(body)) and record["body"] == body[:16384].decode()
    assert ask(inbox, "SELECT body FROM event") == [(body[:65536],)]


def test_a_body_past_64m_has_its_connection_closed(start):
    vodhook = start()
    piece = b"x" * MB
    with vodhook.connect() as client:
        client.send(request(headers=[f"Content-Length: {100 * MB}"], length=False))
        for _ in range(64):
            client.send(piece)
        for _ in range(36):
            client.offer(piece)
        assert client.ended() == b""
    record = vodhook.record()
    assert record["truncated"] and record["body_bytes"] > 64 * MB and record["body"] == "x" * 16384
    vodhook.err.find("127.0.0.1:")
    if not SANITIZED:
        assert memory(vodhook) < 48 * MB
    vodhook.post(upload())
    assert vodhook.record()["file_id"] == FILE_ID


def test_a_body_of_63m_is_answered(start):
    vodhook = start()
    body = b'{"EventType":"' + b"x" * 63 * MB
    assert is_cut(vodhook.shown(body), len(body))


def test_an_announced_length_takes_no_memory(vodhook):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(vodhook.connect())
            client.send(request(headers=[f"Content-Length: {8 * MB}"], length=False) + b"{")
        vodhook.post(upload())
        if not SANITIZED:
            assert memory(vodhook) < 32 * MB


# --- Memory ------------------------------------------------------------------------------------------------------

def test_eight_drippers_do_not_delay_a_good_event(vodhook):
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(vodhook.connect())
            client.send(request(headers=[f"Content-Length: {8 * MB}"], length=False) + b"x" * (8 * MB - 1))
        began = time.monotonic()
        assert vodhook.shown(upload())["file_id"] == FILE_ID
        body = upload(name="x" * 60000)
        assert vodhook.shown(body)["event"] == json.loads(body)
        assert time.monotonic() - began < 9
        if not SANITIZED:
            assert memory(vodhook) < 100 * MB


def test_max_memory(start):
    """Past it, what grows past 64K is closed without an answer; what is smaller is not, and neither is what had its memory
    before."""
    vodhook = start("--max-memory=1M")
    first = upload("first", name="x" * 900000)
    large = upload("large", name="x" * 100000)
    with vodhook.connect() as client:
        client.send(request(body=first)[:-1])
        wait_until_read(client)
        with vodhook.connect() as other:
            assert other.offer(request(body=large)).ended() == b""
        small = upload("small", name="x" * 60000)
        assert vodhook.shown(small)["event"] == json.loads(small)
        assert client.send(first[-1:]).answer().status == 200
        assert vodhook.record()["event"] == json.loads(first)
    assert vodhook.shown(large)["event"] == json.loads(large), "the memory is free again"


# --- Heads -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("head", [
    ("GET", "/" + "x" * 20 * 1024, []),
    ("GET", "/", ["X-Long: " + "x" * 20 * 1024]),
    ("GET", "/", [f"X-{i:03}: some value" for i in range(200)]),
    ("GET", "/?" + "&".join(f"a{i}={i}" for i in range(2000)), []),
    ("POST", "/" + "x" * 10000, ["X-Long: " + "x" * 10000]),
], ids=["long line", "long field", "200 fields", "2,000 arguments", "both"])
def test_a_large_head_passes(vodhook, head):
    method, target, headers = head
    assert vodhook.send(request(method, target, b"a=b", headers)).status == 200
    record = vodhook.record()
    assert record["target"] == target
    assert all(record["headers"][line.split(": ")[0]] == line.split(": ")[1] for line in headers)


@pytest.mark.parametrize("data", [
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 100000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
], ids=["line", "field", "fields"])
def test_a_head_that_is_too_large_does_no_harm(start, data):
    vodhook = start("--request-timeout=1s")
    with vodhook.connect() as client:
        answer = client.offer(data).ended()
        assert answer == b"" or answer.split(b" ")[1] in (b"413", b"414", b"431")
    vodhook.err.find("127.0.0.1:")
    assert vodhook.shown(upload())["file_id"] == FILE_ID
    assert vodhook.stop()["broken"] == 1


# --- Connections -------------------------------------------------------------------------------------------------

@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"needs a limit of 4096 open files, has {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def closed(sockets):
    """How many of them the server has closed."""
    count = 0
    for s in sockets:
        s.setblocking(False)
        try:
            count += s.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionResetError:
            count += 1
    return count


def slow_clients(stack, vodhook, n, data=b"POST / HTTP/1.1\r\nHos"):
    clients = []
    for _ in range(n):
        clients.append(stack.enter_context(socket.create_connection(vodhook.address, WAIT)))
        clients[-1].sendall(data)
    return clients


@pytest.mark.parametrize("data", [b"", b"POST / HTTP/1.1\r\nHos", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"],
                         ids=["connected", "head", "body"])
def test_1500_slow_clients_do_not_keep_a_good_one_waiting(start, many_descriptors, data):
    vodhook = start("--request-timeout=60s")
    with contextlib.ExitStack() as stack:
        clients = slow_clients(stack, vodhook, 1500, data)
        for i in range(5):
            began = time.monotonic()
            assert vodhook.shown(upload(i))["file_id"] == str(i)
            assert time.monotonic() - began < WAIT
        wait_until(lambda: closed(clients) >= 1500 - 1024, "room for new ones")
        assert closed(clients) <= 1500 - 1024 + 5


def test_the_oldest_without_a_complete_request_goes(start):
    vodhook = start("--max-connections=10")
    with contextlib.ExitStack() as stack:
        oldest, *others = slow_clients(stack, vodhook, 10)
        vodhook.post(upload())
        assert oldest.recv(1) == b""
        assert closed(others) == 0
        # Those that were kept open go as well, when they are the oldest.
        kept = stack.enter_context(vodhook.connect())
        assert kept.send(request(body=upload())).answer().status == 200
        slow_clients(stack, vodhook, 10)
        assert kept.ended() == b""
        assert vodhook.shown(upload())["kind"] == "event"


def test_the_soft_limit_of_open_files_is_raised(start, many_descriptors):
    def lower():
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    vodhook = start(preexec=lower)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(vodhook.connect()) for _ in range(300)]
        for client in clients:
            assert client.send(request("GET", "/healthz")).answer().status == 200
    assert not [line for line in vodhook.err.seen if "open files" in line]


def test_a_hard_limit_that_is_too_low_is_said_and_lived_with(start):
    vodhook = start("--request-timeout=60s", preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)))
    assert any("limit of open files is 300" in line for line in vodhook.err.seen)
    with contextlib.ExitStack() as stack:
        slow_clients(stack, vodhook, 400)
        vodhook.post(upload())
    assert vodhook.record()["kind"] == "event"

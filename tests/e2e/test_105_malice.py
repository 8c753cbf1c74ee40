"""Strangers with time and malice, and a system that lacks what a connection needs, cost no event and no room."""

import contextlib
import json
import os
import resource
import select
import signal
import time

import pytest
from harness import FILE_ID, request, upload, wait_until, wait_until_read
from inbox import ask, locked

SECRET = "/a-secret-path"


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def deleted(n):
    """An event that names that many files."""
    ids = [str(5285890784000000000 + i) for i in range(n)]
    return json.dumps({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": ids}}).encode()


def secret(tmp_path):
    """The configuration of one who believes only what is posted to SECRET."""
    path = tmp_path / "vodhook.conf"
    path.write_text(f"path = {SECRET}\n")
    path.chmod(0o600)
    return path


def files(inbox):
    return {row[0] for row in ask(inbox, "SELECT file_id FROM event_file")}


# --- Accepting goes on -------------------------------------------------------------------------------------------

def post_all(stack, addresses, n):
    """Posts n events, each on a connection of its own, without waiting for the answers."""
    clients = [stack.enter_context(vodhook.connect(address)) for i in range(n)
               for vodhook, address in [addresses[i % len(addresses)]]]
    for i, client in enumerate(clients):
        client.send(request(body=upload(i)))
    return clients


@pytest.mark.parametrize("n", [20, 83, 84, 85, 200])
def test_more_connections_than_allowed_while_nothing_can_be_recorded(start, inbox, n):
    """Those that find no room wait in the kernel, and get their turn when others have been answered."""
    vodhook = start("--max-connections=20", inbox=inbox, output="none")
    with contextlib.ExitStack() as stack:
        with locked(inbox):
            clients = post_all(stack, [(vodhook, None)], n)
            vodhook.err.find("is locked by another program")
        for client in clients:
            assert client.answer().status == 200
            client.socket.close()
    vodhook.post(upload("later"))
    assert files(inbox) == {*map(str, range(n)), "later"}


def test_two_sockets_share_the_descriptors(start, inbox, many_descriptors):
    limit = 300
    vodhook = start("--listen=127.0.0.1:0", inbox=inbox, output="none",
                    preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    other = int(vodhook.err.find(r"Started httpserver on port (\d+)")[1])
    with contextlib.ExitStack() as stack:
        with locked(inbox):
            clients = post_all(stack, [(vodhook, vodhook.address), (vodhook, ("127.0.0.1", other))], 400)
            vodhook.err.find("is locked by another program")
        for client in clients:
            assert client.answer().status == 200
            client.socket.close()
    assert len(files(inbox)) == 400
    assert not [line for line in vodhook.err.seen if "Too many open files" in line]


def last_descriptor(vodhook):
    """The number of the next one that it would get, once none comes or goes."""
    def taken():
        return set(map(int, os.listdir(f"/proc/{vodhook.process.pid}/fd")))
    before = taken()
    select.select([], [], [], 0.05)
    return before == taken() and min(set(range(len(before) + 1)) - before)


def processor_time(vodhook):
    with open(f"/proc/{vodhook.process.pid}/stat") as stat:
        return sum(map(int, stat.read().rsplit(")")[-1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_it_waits_and_goes_on(start):
    vodhook = start()
    pid = vodhook.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with vodhook.connect() as client:
        client.send(request(body=upload()))
        vodhook.err.find("Too many open files")
        used, began = processor_time(vodhook), time.monotonic()
        assert not select.select([client.socket], [], [], 1)[0]
        assert processor_time(vodhook) - used < (time.monotonic() - began) / 2
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert client.answer().status == 200
    vodhook.err.find("accepted again")
    assert vodhook.record()["file_id"] == FILE_ID
    assert vodhook.stop()["broken"] == 0
    assert len([line for line in vodhook.err.seen if "Too many" in line or "libmicrohttpd" in line]) == 1


def test_without_descriptors_the_oldest_unfinished_one_makes_room(start):
    vodhook = start()
    pid = vodhook.process.pid
    with vodhook.connect() as slow:
        slow.send(b"POST / HTTP/1.1\r\nHos")
        with vodhook.connect() as looks:
            looks.send(request("GET", "/healthz", headers=["Connection: close"])).ended()
        limit = wait_until(lambda: last_descriptor(vodhook), "a quiet table of descriptors")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        vodhook.post(upload())
        assert slow.ended() == b""
        vodhook.err.find("Too many open files")


def test_half_closed_requests_that_were_held_are_all_answered(start, inbox):
    vodhook = start(inbox=inbox, output="none")
    with contextlib.ExitStack() as stack:
        with locked(inbox):
            clients = post_all(stack, [(vodhook, None)], 10)
            for client in clients:
                client.half_close()
            vodhook.err.find("is locked by another program")
        for client in clients:
            assert client.ended().startswith(b"HTTP/1.1 200 ")
    assert files(inbox) == set(map(str, range(10)))


# --- The loop is not held ----------------------------------------------------------------------------------------

def test_large_bodies_for_a_wrong_path_do_not_hold_the_loop(start, inbox, tmp_path):
    vodhook = start(config=secret(tmp_path), inbox=inbox, output="none")
    body = deleted(350000)
    data = request(target="/guess", body=body)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(vodhook.connect()).send(data[:-1]) for _ in range(6)]
        for client in clients:
            client.send(data[-1:])
        began = time.monotonic()
        vodhook.post(upload("honest"), target=SECRET)
        assert time.monotonic() - began < 2
        for client in clients:
            assert client.answer().status == 200
    assert files(inbox) == {"honest"}


def test_a_round_ends_in_time_whatever_is_complete(start):
    """Many bodies that are complete at once are not all read before others get their turn."""
    vodhook = start(output="none")
    body = upload(name="x" * 1000000)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(vodhook.connect()).send(request(body=body)[:-1]) for _ in range(50)]
        for client in clients:
            wait_until_read(client)
        vodhook.signal(signal.SIGSTOP)
        for client in clients:
            client.send(b"}")
        with vodhook.connect() as looks:
            looks.send(request("GET", "/healthz"))
            vodhook.signal(signal.SIGCONT)
            assert looks.answer().status == 200
            answered = len(select.select([client.socket for client in clients], [], [], 0)[0])
        for client in clients:
            assert client.answer().status == 200
    assert answered < len(clients)
    assert vodhook.stop()["events"] == len(clients)


# --- Memory ------------------------------------------------------------------------------------------------------

def test_bodies_for_a_wrong_path_use_up_no_memory(start, tmp_path):
    vodhook = start("--max-memory=16M", config=secret(tmp_path))
    large = upload(name="x" * 8000000)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(vodhook.connect()).send(request(target="/guess", body=large)[:-1])
                   for _ in range(8)]
        honest = upload(name="x" * 200000)
        vodhook.post(honest, target=SECRET)
        assert vodhook.record()["event"] == json.loads(honest)
        for client in clients:
            assert client.send(b"}").answer().status == 200
        for _ in clients:
            record = vodhook.record()
            assert record["trust"] == "refused" and record["truncated"] and record["body_bytes"] == len(large)


def test_want_of_memory_closes_without_an_answer(start):
    vodhook = start("--max-memory=1M")
    with vodhook.connect() as client, vodhook.connect() as other:
        client.send(request(body=upload("first", name="x" * 900000))[:-1])
        assert other.offer(request(body=upload("second", name="x" * 900000))).ended() == b"" or client.ended() == b""
    assert vodhook.err.find(r"from 127\.0\.0\.1:\d+ .* no memory .* no answer, as 0 before: \"POST /\"")
    assert vodhook.shown(upload())["file_id"] == FILE_ID
    assert vodhook.stop()["unreadable"] == 0


# --- The log -----------------------------------------------------------------------------------------------------

def test_refused_events_are_limited_and_kept(start, inbox, tmp_path):
    vodhook = start("--log-requests=1", config=secret(tmp_path), inbox=inbox)
    began = time.monotonic()
    with vodhook.connect() as client:
        for i in range(300):
            client.send(request(target="/guess", body=upload(i)))
            assert client.answer().status == 200
    vodhook.post(upload("honest"), target=SECRET)
    seconds = time.monotonic() - began
    vodhook.err.find("left out of the log")
    assert vodhook.stop()["refused"] == 300
    records = [json.loads(line) for line in vodhook.out.rest()]
    assert records[-1]["file_id"] == "honest"
    assert 10 <= len(records) - 1 <= 10 + seconds + 1
    assert ask(inbox, "SELECT count(*) FROM event WHERE trust = 'refused'") == [(300,)]


def test_a_large_refused_event_is_shown_cut_and_kept_whole(start, inbox, tmp_path):
    vodhook = start(config=secret(tmp_path), inbox=inbox)
    body = upload(name="x" * 60000)
    vodhook.post(body, target="/guess")
    line = vodhook.line()
    record = json.loads(line)
    assert record["trust"] == "refused" and record["truncated"] and len(line) < 40000
    assert record["body"] == body[:16384].decode() and "NewFileUpload" in record["summary"]
    assert ask(inbox, "SELECT body FROM event") == [(body,)]


# --- The start ---------------------------------------------------------------------------------------------------

def test_a_full_pipe_does_not_hold_up_the_start(start, tmp_path):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    address = f"{tmp_path}/socket"
    vodhook = start(listen=f"unix:{address}", output="text", stdout=writing)
    with vodhook.connect(address) as client:
        assert client.send(request(body=upload())).answer().status == 200
    os.close(reading)
    os.close(writing)

"""Ten thousand requests of every kind at once, and not one lost; and one client that never pauses."""

import collections
import contextlib
import json
import signal
import socket
import threading

import pytest
from harness import SANITIZED, WAIT, chunked, request, upload

THREADS = 8
EACH = 400 if SANITIZED else 1250


def one(vodhook, n, client, file_id):
    """One event in one of several ways; returns the connection to go on with."""
    body = upload(file_id, name="x" * (n * 37 % 5000))
    way = n % 5
    if way == 0 or client is None:  # a connection of its own
        assert vodhook.send(request(body=body, headers=["Connection: close"])).status == 200
        return client or vodhook.connect()
    if way == 1:
        data = request(headers=["Transfer-Encoding: chunked"], length=False) + chunked(body, 700)
    elif way == 2:  # in pieces
        data = request(body=body)
        client.send(data[:100])
        data = data[100:]
    else:
        data = request("POST" if way == 3 else "PUT", f"/{n}?x", body)
    assert client.send(data).answer().status == 200
    return client


def run(vodhook, thread, errors):
    client = None
    try:
        for n in range(0, EACH, 10):
            for i in range(n, n + 5):
                client = one(vodhook, i, client, f"{thread}-{i}")
            client.send(b"".join(request(body=upload(f"{thread}-{i}")) for i in range(n + 5, n + 10)))
            assert [client.answer().status for _ in range(5)] == [200] * 5
        client.socket.close()
    except BaseException as error:
        errors.append(error)


@pytest.mark.parametrize("output, inbox", [("json", "none"), ("text", None)], ids=["json", "text and inbox"])
def test_no_loss(start, output, inbox):
    vodhook = start(output=output, inbox=inbox)
    errors = []
    threads = [threading.Thread(target=run, args=(vodhook, thread, errors)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    if output == "json":
        assert vodhook.stop()["events"] == THREADS * EACH
        ids = [json.loads(line)["file_id"] for line in vodhook.out.rest()]
    else:
        ids = [record[0].split(" file=")[1].split()[0] for record in vodhook.text()]
    assert collections.Counter(ids) == collections.Counter(f"{t}-{i}" for t in range(THREADS) for i in range(EACH))


@contextlib.contextmanager
def never_pausing(vodhook, ready):
    """A client that sends as fast as it can and reads the answers, so that there always is a request to be read."""
    many = request("OPTIONS") * 1000
    done = threading.Event()

    def send():
        with contextlib.suppress(OSError):
            while not done.is_set():
                client.sendall(many)

    def read():
        with contextlib.suppress(OSError):
            received = 0
            while data := client.recv(1 << 20):
                received += len(data)
                if received > 1 << 20:
                    ready.set()

    with socket.create_connection(vodhook.address) as client:
        threads = [threading.Thread(target=each) for each in (send, read)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def test_a_client_that_never_pauses_holds_up_nothing_else(start):
    vodhook = start(output="json")
    ready = threading.Event()
    with never_pausing(vodhook, ready):
        assert ready.wait(WAIT)
        vodhook.post(upload("7"))
        while vodhook.record()["file_id"] != "7":  # what is written out has its turn
            pass
        vodhook.signal(signal.SIGTERM)  # and so have signals
        assert vodhook.wait() == 0

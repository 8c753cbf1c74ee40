"""Every HTTP/1.x request is answered 200, whatever it is, and shown as what it was."""

import json

import pytest
from harness import FILE_ID, LIBRARY, chunked, request, upload

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "BREW", "get", "X-1", "M" * 300]


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_every_method(vodhook, version):
    for method in METHODS:
        answer = vodhook.send(request(method, "/some/path?a=1", version=version), has_body=method != "HEAD")
        assert answer.status == 200, method
        record = vodhook.record()
        assert (record["kind"], record["method"], record["target"]) == ("request", method, "/some/path?a=1")
    assert vodhook.stop()["requests"] == len(METHODS)


def test_connect_has_an_authority_as_its_target(vodhook):
    assert vodhook.send(request("CONNECT", "example.com:443")).status == (200 if LIBRARY < (1,) else 501)
    assert vodhook.record()["target"] == "example.com:443"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "GET"])
def test_an_event_is_one_whatever_the_method(vodhook, method):
    assert vodhook.send(request(method, body=upload())).status == 200
    assert vodhook.record()["kind"] == "event"


def test_a_post_gets_an_empty_body(vodhook):
    for body in b"", b"anything", upload():
        answer = vodhook.send(request(body=body))
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_a_browser_gets_a_short_plain_page(vodhook):
    answer = vodhook.send(request("GET", "/", headers=["Accept: text/html"]))
    assert answer.headers["content-type"].startswith("text/plain")
    assert 10 < len(answer.body) < 200 and b"up" in answer.body
    assert vodhook.send(request("GET", "/favicon.ico")).body == answer.body


def test_head_gets_a_head_alone(vodhook):
    with vodhook.connect() as client:
        client.send(request("HEAD", "/", headers=["Connection: close"]))
        answer = client.answer(has_body=False)
        assert answer.status == 200 and int(answer.headers["content-length"]) > 0
        assert client.ended() == b""


TARGETS = ["/", "//", "/a/../b", "/%00%ff%zz", "/callback?x=1&y=%41;z", "/?", "/?=&&", "*", "/a b".replace(" ", "%20"),
           "http://receiver.example.com/vod?x=1", "/" + "long/" * 1000, "/ünïcode/動物", "/a#b", "/\\", "no-slash"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:20])
def test_every_target(vodhook, target):
    assert vodhook.send(request("GET", target)).status == 200
    assert vodhook.record()["target"] == target
    assert vodhook.send(request("POST", target, upload())).status == 200
    assert vodhook.record()["file_id"] == FILE_ID


TYPES = ["application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded",
         "multipart/form-data; boundary=x", "application/octet-stream", "nonsense", ""]


@pytest.mark.parametrize("content_type", TYPES)
def test_every_content_type(vodhook, content_type):
    assert vodhook.shown(upload(), headers=[f"Content-Type: {content_type}"])["kind"] == "event"
    record = vodhook.shown(b"a=1&b=2", headers=[f"Content-Type: {content_type}"])
    assert (record["kind"], record["body"], record["body_bytes"]) == ("request", "a=1&b=2", 7)
    assert record["headers"]["Content-Type"] == content_type


@pytest.mark.parametrize("size", [1, 7, 1000, 100000])
def test_chunked(vodhook, size):
    body = upload(name="x" * 5000)
    assert vodhook.send(request(headers=["Transfer-Encoding: chunked"], length=False) + chunked(body, size)).status == 200
    assert vodhook.record()["event"] == json.loads(body)


@pytest.mark.parametrize("extension", [b"", pytest.param(b";name=value", marks=pytest.mark.skipif(
    (1, 0, 0) <= LIBRARY <= (1, 0, 1), reason="libmicrohttpd 1.0.1 counts the bytes of a chunk with extensions wrongly"))],
    ids=["", "extension"])
def test_chunked_with_extensions_and_trailers(vodhook, extension):
    body = upload()
    chunk = b"%x%b\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body), extension, body)
    assert vodhook.send(request(headers=["Transfer-Encoding: chunked"], length=False) + chunk).status == 200
    assert vodhook.record()["file_id"] == FILE_ID


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_expect_100_continue(vodhook, framing):
    body = upload()
    with vodhook.connect() as client:
        if framing == "length":
            client.send(request(headers=["Expect: 100-continue", f"Content-Length: {len(body)}"], length=False))
        else:
            client.send(request(headers=["Expect: 100-continue", "Transfer-Encoding: chunked"], length=False))
        assert client.answer().status == 100
        client.send(body if framing == "length" else chunked(body))
        assert client.answer().status == 200
    assert vodhook.record()["file_id"] == FILE_ID


def test_expect_100_continue_of_one_who_does_not_wait(vodhook):
    with vodhook.connect() as client:
        client.send(request(body=upload(), headers=["Expect: 100-continue"]))
        answer = client.answer()
        assert (client.answer() if answer.status == 100 else answer).status == 200


HOSTS = {"missing": [], "empty": ["Host:"], "two": ["Host: a.example.com", "Host: b.example.com"],
         "odd": ["Host: a b/c?d"], "port": ["Host: 1.2.3.4:8080"]}


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("hosts", HOSTS.values(), ids=HOSTS)
def test_any_host(vodhook, hosts, version):
    lines = "".join(f"{line}\r\n" for line in hosts)
    body = upload()
    head = f"POST / {version}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    assert vodhook.send(head + body).status == 200
    assert vodhook.record()["file_id"] == FILE_ID


def test_line_ends_without_cr_and_folded_headers(vodhook):
    assert vodhook.send(b"GET /lf HTTP/1.1\nHost: a\n\n").status == 200
    assert vodhook.record()["target"] == "/lf"
    assert vodhook.send(b"GET /fold HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n two\r\n\r\n").status == 200
    assert vodhook.record()["target"] == "/fold"


def test_a_request_is_shown_with_everything(vodhook):
    record = vodhook.shown(b"hello \xe4\xb8\x96\n", target="/x?y=1", method="PUT",
                           headers=["X-One: 1", "X-Two: a, b", "x-one: 2", "Empty:"])
    assert record["kind"] == "request" and record["body"] == "hello 世\n" and record["body_bytes"] == 10
    assert (record["truncated"], record["unreadable"]) == (False, False)
    headers = {name.lower(): value for name, value in record["headers"].items()}
    assert headers == {"host": "receiver.example.com", "connection": "close", "x-one": "1, 2", "x-two": "a, b",
                       "empty": "", "content-length": "10"}


def test_keep_alive(vodhook):
    with vodhook.connect() as client:
        for i in range(50):
            answer = client.send(request(body=upload(i))).answer()
            assert answer.status == 200 and answer.headers.get("connection", "").lower() != "close"
            assert vodhook.record()["file_id"] == str(i)


def test_keep_alive_of_http_1_0(vodhook):
    with vodhook.connect() as client:
        for i in range(3):
            answer = client.send(request(body=upload(i), version="HTTP/1.0", headers=["Connection: Keep-Alive"])).answer()
            assert answer.status == 200
    with vodhook.connect() as client:
        client.send(request(body=upload(3), version="HTTP/1.0"))
        assert client.answer().status == 200 and client.ended() == b""


def test_connection_close_is_heard(vodhook):
    with vodhook.connect() as client:
        client.send(request(body=upload(), headers=["Connection: close"]))
        assert client.answer().headers["connection"].lower() == "close"
        assert client.ended() == b""


def test_one_connection_a_request(vodhook):
    for i in range(100):
        vodhook.post(upload(i))
    assert [vodhook.record()["file_id"] for _ in range(100)] == [str(i) for i in range(100)]


@pytest.mark.parametrize("inbox", ["none", None], ids=["no inbox", "inbox"])
def test_twenty_in_one_write(start, inbox):
    vodhook = start(inbox=inbox)
    with vodhook.connect() as client:
        client.send(b"".join(request(body=upload(i)) for i in range(20)))
        assert [client.answer().status for _ in range(20)] == [200] * 20
    assert [vodhook.record()["file_id"] for _ in range(20)] == [str(i) for i in range(20)]


@pytest.mark.parametrize("inbox", ["none", None], ids=["no inbox", "inbox"])
def test_pipelined_of_every_kind(start, inbox):
    vodhook = start(inbox=inbox)
    chunks = request(headers=["Transfer-Encoding: chunked"], length=False) + chunked(upload(2), 10)
    with vodhook.connect() as client:
        client.send(request("GET", "/healthz") + request("HEAD", "/h") + request(body=upload(1)) + chunks
                    + request("GET", "/g") + request("DELETE", "/d", headers=["Connection: close"]))
        assert client.answer().status == 200
        assert client.answer(has_body=False).status == 200
        assert [client.answer().status for _ in range(4)] == [200] * 4
        assert client.ended() == b""
    shown = [vodhook.record() for _ in range(5)]
    assert [record["file_id"] or record["target"] for record in shown] == ["/h", "1", "2", "/g", "/d"]


@pytest.mark.parametrize("inbox", ["none", None], ids=["no inbox", "inbox"])
@pytest.mark.parametrize("n", [1, 20])
def test_a_client_that_half_closes_gets_its_answers(start, inbox, n):
    vodhook = start(inbox=inbox)
    for _ in range(10):
        with vodhook.connect() as client:
            client.send(b"".join(request(body=upload(i)) for i in range(n))).half_close()
            assert client.ended().count(b"HTTP/1.1 200 ") == n
    with vodhook.connect() as client:
        client.send(request("GET", "/healthz")).half_close()
        assert client.ended().startswith(b"HTTP/1.1 200 ")


def test_a_byte_at_a_time(vodhook):
    data = request(body=upload(), headers=["Connection: close"])
    with vodhook.connect() as client:
        for i in range(len(data)):
            client.send(data[i:i + 1])
        assert client.answer().status == 200
    assert vodhook.record()["file_id"] == FILE_ID


def test_a_client_that_leaves_before_its_answer(vodhook):
    for i in range(20):
        with vodhook.connect() as client:
            client.send(request(body=upload(i)))
    assert {vodhook.record()["file_id"] for _ in range(20)} == {str(i) for i in range(20)}


def test_a_large_body_is_taken_in_at_once(vodhook):
    """Within a second of its last byte; the deadline leaves room for a machine that is busy."""
    body = upload(name="x" * (1 << 20))
    with vodhook.connect() as client:
        client.socket.settimeout(10)
        assert client.send(request(body=body)).answer().status == 200
    assert vodhook.record()["event"] == json.loads(body)

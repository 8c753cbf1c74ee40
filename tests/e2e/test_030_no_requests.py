"""What is no HTTP/1.x is refused, counted and logged; what is nothing is neither."""

import pytest
from harness import LIBRARY, request, upload, wait_until_read

REFUSED = {
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3": b"GET / HTTP/3\r\n\r\n",
    "lower case": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "bad length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "large head": b"GET / HTTP/1.1\r\nX: " + b"x" * 60000 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)) + b"\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "text": b"hello\r\n\r\n",
    "bytes": bytes(range(256)) * 4 + b"\n\n",
}
if LIBRARY < (1,):  # later it takes no offence
    REFUSED["no colon"] = b"GET / HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n"


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refused_counted_and_logged(vodhook, data):
    with vodhook.connect() as client:
        answer = client.offer(data).half_close().ended()
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413", b"431", b"501", b"505")
        assert vodhook.err.find("from " + client.name.replace(".", r"\.") + r"\b")
    vodhook.post(upload())
    assert vodhook.record()["kind"] == "event"
    counts = vodhook.stop()
    assert counts["broken"] == 1 and counts["requests"] == 0 and counts["events"] == 1
    assert vodhook.out.rest() == []


def test_the_log_says_why(vodhook):
    """What libmicrohttpd says is passed on; it does not say of which connection."""
    with vodhook.connect() as client:
        client.offer(REFUSED["HTTP/2"]).ended()
        assert vodhook.err.find(r"libmicrohttpd says \".* 505 ")
        assert vodhook.err.find(r"from 127\.0\.0\.1:\d+ .*libmicrohttpd refused it")
    with vodhook.connect() as client:
        client.offer(REFUSED["bad length"]).ended()
        assert vodhook.err.find(r"libmicrohttpd says \".* 400 ")
        assert vodhook.err.find(r"from 127\.0\.0\.1:\d+ .*libmicrohttpd refused it")


def test_a_kept_connection_that_goes_astray(vodhook):
    with vodhook.connect() as client:
        assert client.send(request(body=upload())).answer().status == 200
        assert vodhook.record()["kind"] == "event"
        client.offer(REFUSED["HTTP/2"]).ended()
        assert vodhook.err.find("libmicrohttpd refused it")
    assert vodhook.stop()["broken"] == 1


def test_tls_is_named(vodhook):
    with vodhook.connect() as client:
        assert client.offer(REFUSED["TLS"]).ended() == b""
    vodhook.err.find(r"from 127\.0\.0\.1:\d+ .*speaks TLS: use http:// in the callback URL or a TLS proxy")
    with vodhook.connect() as client:
        client.send(b"\x16")
        assert client.ended() == b"", "at once, without a whole line"
    assert vodhook.stop()["broken"] == 2


def test_nobody_is_accused_of_what_another_did(start):
    """Both end in the same round: the one that was refused, and the one that took too long."""
    vodhook = start("--request-timeout=100ms")
    with vodhook.connect() as innocent, vodhook.connect() as refused:
        innocent.send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        refused.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        refused.ended(), innocent.ended()
        vodhook.err.find("from " + innocent.name.replace(".", r"\.") + " was cut short .* it took too long")
        assert not [line for line in vodhook.err.seen if innocent.name in line and "400" in line]


def test_clients_that_leave_together_are_told_by_their_own_words(start):
    """What a line quotes is there also when the library has let go of the request."""
    vodhook = start(output="none")
    clients = [vodhook.connect().send(request(target="/upload", headers=("Content-Length: 5000",), length=False) + b"x" * 100)
               for _ in range(8)]
    wait_until_read(clients[-1])
    for client in clients:
        client.socket.close()
    for _ in clients:
        vodhook.err.find(r'cut short after 100 bytes of its body: the client ended it: "POST /upload"$')


FORGED = "/x from 10.0.0.1:1 was cut short after 0 bytes of its body: it took too long"


@pytest.mark.parametrize("target, shown", [
    (FORGED, FORGED), ('/" from 10.0.0.1:1 was cut', '/\\" from'), ("/\x1b[31m x", "31m x"), ("/\u00a0a\u00a0b", "/\u00a0a"),
    ("/" + "9" * 300, "/9999"), ("\x00", "POST ")], ids=["spaces", "quote", "escape", "nbsp", "digits", "NUL"])
def test_a_target_cannot_pass_for_words_of_the_log(start, target, shown):
    vodhook = start("--request-timeout=100ms")
    with vodhook.connect() as client:
        client.send(request(target=target, headers=["Content-Length: 9"], length=False) + b"abc").ended()
    line = vodhook.err.find(r"^vodhook: A request from 127\.0\.0\.1:\d+ was cut short after 3 bytes of its body: "
                            r"it took too long: (\".*\")$")
    assert shown in line[1] and line[1].count('"') - line[1].count('\\"') == 2
    assert len(line[1]) < 300


@pytest.mark.parametrize("line", [b"GET " + b"9" * 300 + b" HTTP/1.1", b"GET / HTTP/" + b"1" * 300,
                                  b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 300], ids=["target", "version", "length"])
def test_a_number_of_300_digits(vodhook, line):
    with vodhook.connect() as client:
        client.offer(line + b"\r\n\r\n").half_close().ended()
    assert vodhook.shown(upload())["kind"] in ("event", "request")


@pytest.mark.parametrize("data", [
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"EventType\":",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le",
], ids=["length", "chunk", "head"])
def test_a_request_that_is_cut_short(start, data):
    vodhook = start("--request-timeout=1s")
    with vodhook.connect() as client:
        client.send(data)
        assert client.half_close().ended() == b""
    assert vodhook.err.find(r"from 127\.0\.0\.1:\d+ was cut short")
    counts = vodhook.stop()
    assert (counts["broken"], counts["events"], counts["requests"], counts["unreadable"]) == (1, 0, 0, 0)
    assert vodhook.out.rest() == []
    assert len([line for line in vodhook.err.seen if "127.0.0.1" in line or "libmicrohttpd" in line]) == 1


def test_healthz_is_neither_logged_nor_counted(vodhook):
    for _ in range(3):
        assert vodhook.send(request("GET", "/healthz")).status == 200
    assert vodhook.send(request("GET", "/healthz?from=balancer")).status == 200
    with vodhook.connect() as client:
        for _ in range(3):
            assert client.send(request("GET", "/healthz")).answer().status == 200
    counts = vodhook.stop()
    assert vodhook.out.rest() == []
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("method, target", [("GET", "/healthz/"), ("GET", "/Healthz"), ("POST", "/healthz")])
def test_what_is_no_healthz(vodhook, method, target):
    assert vodhook.send(request(method, target)).status == 200
    assert vodhook.record()["target"] == target


def test_a_connection_without_a_byte_is_not_logged(vodhook):
    for _ in range(3):
        with vodhook.connect():
            pass
        with vodhook.connect() as client:
            assert client.half_close().ended() == b""
    vodhook.post(upload())
    assert vodhook.record()["kind"] == "event"
    assert vodhook.stop()["broken"] == 0
    assert not [line for line in vodhook.err.seen if "127.0.0.1:" in line]


def test_a_connection_that_ends_between_requests_is_not_logged(vodhook):
    with vodhook.connect() as client:
        assert client.send(request("GET", "/")).answer().status == 200
    assert vodhook.stop()["broken"] == 0
    assert not [line for line in vodhook.err.seen if "127.0.0.1:" in line]

"""Strangers cannot fill the log: what they send is limited and counted. Events are never left out."""

import json
import re
import time

from harness import FILE_ID, request, upload

LEFT_OUT = r"(\d+) requests that are refused or no events were left out of the log in the last \d+\.\d s"


def left_out(vodhook, pattern, expected):
    """Waits until the lines that count have counted that many."""
    total = 0
    while total < expected:
        total += int(vodhook.err.find(pattern)[1])
    return total


def many(vodhook, n, one):
    """One request after the other on a kept connection."""
    with vodhook.connect() as client:
        for _ in range(n):
            assert client.send(one).answer().status == 200


def test_requests_are_limited_by_default(vodhook):
    began = time.monotonic()
    many(vodhook, 1000, request("GET", "/scan"))
    vodhook.post(upload())
    seconds = time.monotonic() - began
    shown = 0
    while vodhook.record()["kind"] == "request":
        shown += 1
    assert 200 <= shown <= 200 + 20 * seconds + 1
    assert left_out(vodhook, LEFT_OUT, 1000 - shown) == 1000 - shown
    counts = vodhook.stop()
    assert (counts["events"], counts["requests"]) == (1, 1000)


def test_the_limit_is_an_option_and_events_are_never_left_out(start):
    vodhook = start("--log-requests=1")
    began = time.monotonic()
    with vodhook.connect() as client:
        for i in range(300):
            assert client.send(request("GET", "/scan")).answer().status == 200
            assert client.send(request(body=upload(i))).answer().status == 200
    seconds = time.monotonic() - began
    left_out(vodhook, LEFT_OUT, 300 - 10 - int(seconds) - 1)
    counts = vodhook.stop()
    records = [json.loads(line) for line in vodhook.out.rest()]
    events = [record["file_id"] for record in records if record["kind"] == "event"]
    assert events == [str(i) for i in range(300)]
    assert 10 <= len(records) - 300 <= 10 + seconds + 1
    assert counts["events"] == counts["requests"] == 300


def test_the_limit_recovers(start):
    vodhook = start("--log-requests=5")
    many(vodhook, 300, request("GET", "/scan"))
    left_out(vodhook, LEFT_OUT, 1)
    vodhook.post(b"a=b", target="/later")
    vodhook.stop()
    assert json.loads(vodhook.out.rest()[-1])["target"] == "/later"


def test_unreadable_bodies_have_a_limit_of_their_own(start):
    vodhook = start("--log-requests=0")
    began = time.monotonic()
    many(vodhook, 50, request("GET", "/scan"))
    many(vodhook, 400, request(body=b'{"EventType":'))
    vodhook.post(upload())
    seconds = time.monotonic() - began
    unreadable = left_out(vodhook, r"(\d+) unreadable requests were left out of the log", 300 - 100 * int(seconds + 1))
    counts = vodhook.stop()
    records = [json.loads(line) for line in vodhook.out.rest()]
    shown = [record for record in records if record["unreadable"]]
    assert 100 <= len(shown) <= 100 + 100 * seconds + 1 and len(shown) + unreadable == 400
    assert sum(record["kind"] == "request" for record in records) == len(shown)
    assert counts["unreadable"] == 400 and counts["events"] == 1


def test_unreadable_bodies_are_limited_to_100(vodhook):
    began = time.monotonic()
    many(vodhook, 400, request(body=b"{"))
    seconds = time.monotonic() - began
    vodhook.post(upload())
    shown = 0
    while vodhook.record()["unreadable"]:
        shown += 1
    assert 100 <= shown <= 100 + 100 * seconds + 1


def test_what_is_no_http_is_limited_too(start):
    vodhook = start("--log-requests=1")
    began = time.monotonic()
    for _ in range(40):
        with vodhook.connect() as client:
            client.offer(b"GET / HTTP/2.0\r\n\r\n").ended()
    vodhook.post(upload())
    seconds = time.monotonic() - began
    counted = left_out(vodhook, LEFT_OUT, 2 * 40 - 10 - int(seconds) - 2)
    assert vodhook.stop()["broken"] == 40
    lines = [line for line in vodhook.err.seen if re.search(r"127\.0\.0\.1:\d+|libmicrohttpd says", line)]
    assert 10 <= len(lines) <= 10 + seconds + 1
    assert counted + len(lines) >= 2 * 40


def test_refused_events_are_limited_like_requests(start, tmp_path):
    """A stranger who guesses the shape of an event is shown as refused as long as the limit allows; all are counted."""
    key = tmp_path / "key"
    key.write_text("secret")
    vodhook = start(f"--sign-key-file={key}", "--log-requests=1")
    began = time.monotonic()
    many(vodhook, 30, request(body=upload()))
    seconds = time.monotonic() - began
    assert vodhook.stop()["refused"] == 30
    records = [json.loads(line) for line in vodhook.out.rest()]
    assert {record["trust"] for record in records} == {"refused"} and 10 <= len(records) <= 10 + seconds + 1
    assert FILE_ID not in "".join(vodhook.err.seen)

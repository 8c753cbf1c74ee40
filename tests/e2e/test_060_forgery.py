"""A client can neither forge nor break a line."""

import json
import re

import pytest
from harness import request, upload

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
FORGED = "2026-11-24T11:37:05.123+08:00 NewFileUpload file=1 name=forged result=ok"

EVIL = {
    "line end": b"a\n" + FORGED.encode(),
    "CR": b"a\r" + FORGED.encode(),
    "CRLF": b"a\r\n" + FORGED.encode(),
    "escape": b"a\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "C1": "a\u0085b\u009b31mred".encode(),
    "raw C1": b"a\x9b31m\x85b",
    "backspace": b"a\x08\x08b\x7f",
    "NUL": b"a\0b",
    "separators": f"a\u2028{FORGED}\u2029b".encode(),
    "bidi": "a\u202egnp.exe\u202c\u2066b\u2069\u200f\u061c".encode(),
    "mark": "a\ufeffb".encode(),
    "bad UTF-8": b"a\xff\xfe\xc3(\xe2\x28\xa1\xf0\x9f\x98",
    "surrogates": b"a\xed\xa0\x80\xed\xb0\x80b",
    "overlong": b"a\xc0\x8a\xe0\x80\x8ab",
    "past Unicode": b"a\xf4\x90\x80\x80\xfbb",
    "quotes": b'a" result=ok name="b\\',
}
IN_A_LINE = {name: evil for name, evil in EVIL.items() if not re.search(rb"[\r\n\0]", evil)}


def json_escaped(raw):
    return b"".join(b"\\u%04x" % byte if byte < 0x20 else b"\\" + bytes([byte]) if byte in b'"\\' else bytes([byte])
                    for byte in raw)


def in_name(evil):
    return request(body=upload(name="NAME").replace(b"NAME", evil.replace(b"\\", b"\\\\").replace(b'"', b'\\"')))


def in_escaped_name(evil):
    return request(body=upload(name="NAME").replace(b"NAME", json_escaped(evil)))


def in_member(evil):
    return request(body=upload(MEMBER=1).replace(b"MEMBER", json_escaped(evil)))


def in_type(evil):
    return request(body=b'{"EventType":"' + json_escaped(evil) + b'","E":{"TaskId":"' + json_escaped(evil) + b'"}}')


def in_body(evil):
    return request(body=evil)


def in_broken_body(evil):
    return request(body=b'{"EventType":"' + evil)


def in_target(evil):
    return b"GET /" + evil.replace(b" ", b"+") + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def in_header(evil):
    return b"GET / HTTP/1.1\r\nHost: a\r\nX-Evil: " + evil + b"\r\n\r\n"


def in_header_name(evil):
    return b"GET / HTTP/1.1\r\nHost: a\r\nX-" + re.sub(rb"[ :;]", b"-", evil) + b": 1\r\n\r\n"


def in_method(evil):
    return evil.replace(b" ", b"-") + b" / HTTP/1.1\r\nHost: a\r\n\r\n"


PLACES = [(place, EVIL) for place in (in_name, in_escaped_name, in_member, in_type, in_body, in_broken_body)] + \
         [(place, IN_A_LINE) for place in (in_target, in_header, in_header_name, in_method)]


def send_all(vodhook, place, evils):
    """Each on a connection of its own, and a good event after it; returns how many were answered."""
    answered = 0
    for evil in evils.values():
        with vodhook.connect() as client:
            answer = client.offer(place(evil)).half_close().ended()
        assert answer[9:12] in (b"200", b"400", b""), answer
        answered += answer[9:12] == b"200"
        vodhook.post(upload(name="between"))
    return answered


@pytest.mark.parametrize("place, evils", PLACES, ids=[place.__name__ for place, _ in PLACES])
def test_json(vodhook, place, evils):
    answered = send_all(vodhook, place, evils)
    vodhook.stop()
    lines = vodhook.out.rest()
    assert len(lines) == answered + len(evils)
    assert answered == len(evils) or place in (in_header_name, in_method, in_target)
    for line in lines:
        assert not UNSAFE.search(line), ascii(line)
        record = json.loads(line)
        assert not UNSAFE.search(record["summary"]) and "\n" not in record["summary"]
    assert not any(UNSAFE.search(line) for line in vodhook.err.seen)
    assert sum(json.loads(line)["name"] == "between" for line in lines) == len(evils)


@pytest.mark.parametrize("place, evils", PLACES, ids=[place.__name__ for place, _ in PLACES])
def test_text(start, place, evils):
    vodhook = start(output="text")
    answered = send_all(vodhook, place, evils)
    records = vodhook.text()
    assert len(records) == answered + len(evils)
    for line in (line for record in records for line in record):
        assert not UNSAFE.search(line), ascii(line)
    assert sum(" name=between " in record[0] for record in records) == len(evils)
    for head, *_ in records:
        assert " name=forged " not in re.sub(r'"(?:[^"\\]|\\.)*"', "quoted", head)


def test_diagnostics(start):
    """What was cut short is named in a line on stderr."""
    vodhook = start("--request-timeout=300ms")
    for evil in IN_A_LINE.values():
        with vodhook.connect() as client:
            client.send(b"POST /" + evil.replace(b" ", b"+") + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
            client.half_close().ended()
        vodhook.err.find(r" was cut short | ended without a request")
    vodhook.stop()
    assert not any(UNSAFE.search(line) for line in vodhook.err.seen + vodhook.err.rest())


def test_a_body_of_text_cannot_pass_for_a_record(start):
    vodhook = start(output="text")
    vodhook.post(f"\n{FORGED}\r\n\r\n{FORGED}\n".encode())
    record, = vodhook.text()
    assert f"    {FORGED}" in record


def test_a_sign_is_not_shown_where_it_could_be_good(vodhook):
    for body in upload(Sign="0123456789abcdef", T=1), upload(Sign="0123456789abcdef")[:-1]:
        vodhook.post(body)
        line = vodhook.line()
        assert "0123456789abcdef" not in line and "***" in line

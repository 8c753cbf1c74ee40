"""JSON that is none is kept and flagged; what only bends the rules is an event."""

import gzip
import json
import subprocess

import pytest
from harness import FILE_ID, event_text, request, upload
from inbox import ask

BROKEN = {
    "trailing garbage": upload() + b" x",
    "two objects": upload() + upload(),
    "trailing NUL": upload() + b"\0",
    "leading zero": b'{"EventType":"NewFileUpload","n":01}',
    "no fraction": b'{"EventType":"NewFileUpload","n":1.}',
    "no integer part": b'{"EventType":"NewFileUpload","n":.5}',
    "plus": b'{"EventType":"NewFileUpload","n":+1}',
    "no exponent": b'{"EventType":"NewFileUpload","n":1e}',
    "hexadecimal": b'{"EventType":"NewFileUpload","n":0x10}',
    "NaN": b'{"EventType":"NewFileUpload","n":NaN}',
    "unknown escape": b'{"EventType":"NewFileUpload","s":"\\x41"}',
    "short escape": b'{"EventType":"NewFileUpload","s":"\\u12"}',
    "escaped line end": b'{"EventType":"NewFileUpload","s":"\\\n"}',
    "open string": b'{"EventType":"NewFileUpload","s":"',
    "open object": b'{"EventType":"NewFileUpload"',
    "open array": b"[1,2",
    "wrong bracket": b'{"EventType":"NewFileUpload"]',
    "trailing comma": b'{"EventType":"NewFileUpload",}',
    "no comma": b'{"EventType":"NewFileUpload" "n":1}',
    "no colon": b'{"EventType" "NewFileUpload"}',
    "no quotes": b"{EventType:1}",
    "single quotes": b"{'EventType':'NewFileUpload'}",
    "comment": b'{"EventType":"NewFileUpload"/* */}',
    "literal": b'{"EventType":"NewFileUpload","b":tru}',
    "capital literal": b'{"EventType":"NewFileUpload","b":True}',
    "vertical tab": b'{"EventType":"NewFileUpload",\x0b"n":1}',
    "NUL between": b'{"EventType":"NewFileUpload",\0"n":1}',
    "bad UTF-8 between": b'{"EventType":"NewFileUpload",\xff"n":1}',
    "no-break space": '{"EventType":"NewFileUpload",\u00a0"n":1}'.encode(),
    "too deep": b'{"EventType":"NewFileUpload","n":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "just a brace": b"{",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_unreadable(vodhook, body):
    record = vodhook.shown(body)
    assert (record["kind"], record["unreadable"], record["body_bytes"]) == ("request", True, len(body))
    assert record["reason"] and " unreadable" in record["summary"]
    assert record["event"] is None and record["type"] is None
    assert record["truncated"] == (len(body) > 16384)
    assert record["body"].startswith(body[:100].decode("utf-8", "replace"))
    counts = vodhook.stop()
    assert (counts["unreadable"], counts["events"], counts["requests"]) == (1, 0, 0)


def test_only_a_post_is_unreadable(vodhook):
    for method in "GET", "PUT":
        vodhook.send(request(method, body=b'{"EventType":'))
        assert vodhook.record()["unreadable"] is False


def test_only_a_post_to_the_right_path_is_unreadable(start, tmp_path):
    config = tmp_path / "config"
    config.write_text("path = /right\n")
    vodhook = start(config=str(config))
    assert vodhook.shown(b'{"EventType":', target="/wrong")["unreadable"] is False
    assert vodhook.shown(b'{"EventType":', target="/right")["unreadable"] is True


def named(raw):
    """An upload whose name is these raw bytes."""
    return upload(name="NAME").replace(b"NAME", raw)


BENT = {
    "mark": (b"\xef\xbb\xbf" + named(b"n"), "n", "n"),
    "space around": (b" \r\n\t" + named(b"n") + b"\n\n", "n", "n"),
    "bad UTF-8": (named(b"a\xffb"), "a\ufffdb", "a\ufffdb"),
    "overlong": (named(b"a\xc0\xafb"), "a\ufffd\ufffdb", "a\ufffd\ufffdb"),
    "raw tab": (named(b"a\tb"), "a\tb", "a\\u0009b"),
    "raw line end": (named(b"a\nb"), "a\nb", "a\\u000ab"),
    "raw escape": (named(b"a\x1bb"), "a\x1bb", "a\\u001bb"),
    "raw NUL": (named(b"a\0b"), "a\ufffdb", "a\\u0000b"),
    "escaped NUL": (named(b"a\\u0000b"), "a\ufffdb", "a\\u0000b"),
    "lone surrogate": (named(b"a\\ud800b"), "a\ufffdb", "a\\ufffdb"),
    "pair": (named(b"a\\ud83d\\ude00b"), "a\U0001F600b", "a\\ud83d\\ude00b"),
    "escapes": (named(b'\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9'), '"\\/\b\f\n\r\té', '\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9'),
}


@pytest.mark.parametrize("body, name, raw", BENT.values(), ids=BENT)
def test_what_bends_the_rules_is_an_event(vodhook, body, name, raw):
    vodhook.post(body)
    line = vodhook.line()
    record = json.loads(line)
    assert (record["kind"], record["file_id"]) == ("event", FILE_ID)
    assert raw.lower() in event_text(line).lower()
    assert record["name"] == name
    subprocess.run(["jq", "-e", "."], input=line, text=True, check=True, stdout=subprocess.DEVNULL)


def test_nesting_that_is_deep_but_fine(vodhook):
    body = upload(deep=0).replace(b'"deep": 0', b'"deep": ' + b"[" * 300 + b"]" * 300)
    assert vodhook.shown(body)["kind"] == "event"


def test_16k_of_a_body_are_shown(vodhook):
    record = vodhook.shown(b"x" * 16383 + "動".encode())
    assert (record["body"], record["truncated"]) == ("x" * 16383, True)
    record = vodhook.shown(b"x" * 16384)
    assert (record["body"], record["truncated"]) == ("x" * 16384, False)
    record = vodhook.shown(b"x" * 20000)
    assert (len(record["body"]), record["body_bytes"], record["truncated"]) == (16384, 20000, True)


NOT_UNDERSTOOD = {
    "a new key": b'{"NewThing":{"FileId":"1"}}',
    "an array": b'[{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"1"}}]',
    "UTF-16": upload().decode().encode("utf-16"),
    "gzip": gzip.compress(upload()),
    "a form": b"a=b",
}


@pytest.mark.parametrize("body", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_what_must_be_vods_and_is_not_understood_is_kept(start, tmp_path, body):
    """Where a path or a sign key marks what is VOD's; elsewhere it is a request like any other."""
    key, config, inbox = tmp_path / "key", tmp_path / "vodhook.conf", tmp_path / "inbox.db"
    key.write_text("secret")
    config.write_text("path = /a-secret-path\n")
    config.chmod(0o600)
    for n, (options, more) in enumerate([([], {"config": config}), ([f"--sign-key-file={key}"], {})]):
        vodhook = start(*options, inbox=inbox, **more)
        record = vodhook.shown(body, target="/a-secret-path")
        assert record["unreadable"] and record["reason"]
        assert not vodhook.shown(body, target="/a-secret-path", method="PUT")["unreadable"]
        assert not vodhook.shown(b"", target="/a-secret-path")["unreadable"]
        vodhook.stop()
        assert ask(inbox, "SELECT body FROM event WHERE type IS NULL ORDER BY id DESC LIMIT 1") == [(body,)]
    assert not start().shown(body)["unreadable"]

"""Who is believed: a secret path, a signature. A stranger learns nothing."""

import hashlib
import json
import os
import time

import pytest
from harness import FILE_ID, request, upload

SECRET = "/a-long-random-word"
KEY = "Xz4ZgayTr7rMgWQrH"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file that only its owner reads; returns its name."""
    def write(text):
        path = tmp_path / "vodhook.conf"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)
    return write


@pytest.fixture
def key_file(tmp_path):
    def write(text=KEY):
        path = tmp_path / "sign-key"
        path.write_text(text)
        path.chmod(0o600)
        return f"--sign-key-file={path}"
    return write


@pytest.fixture
def credentials(tmp_path):
    """The environment in which systemd passes credentials."""
    def write(**files):
        folder = tmp_path / "credentials"
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("_", "-")).write_text(text)
        return {"CREDENTIALS_DIRECTORY": str(folder)}
    return write


def verdict(record):
    return record["kind"], record["trust"], record["reason"]


# --- The path ----------------------------------------------------------------------------------------------------

RIGHT = [SECRET, SECRET + "?", SECRET + "?x=1&y=/other", "http://receiver.example.com" + SECRET]
WRONG = ["/", SECRET + "/", SECRET[:-1], SECRET + "x", SECRET.upper(), "/x" + SECRET, "/?path=" + SECRET,
         SECRET.replace("-", "%2D"), "/." + SECRET, "/" + SECRET, "*", "//receiver.example.com" + SECRET]


@pytest.mark.parametrize("by", ["file", "credential", "command line"])
def test_only_the_path_counts(start, config, credentials, by):
    if by == "file":
        vodhook = start(config=config(f"path = {SECRET}\n"))
    elif by == "credential":
        vodhook = start(env=credentials(path=SECRET + "\n"))
    else:
        vodhook = start(f"--path={SECRET}")
    for target in RIGHT:
        assert verdict(vodhook.shown(upload(), target=target)) == ("event", "unchecked", None), target
    for target in WRONG:
        record = vodhook.shown(upload(), target=target)
        assert verdict(record) == ("event", "refused", "wrong path"), target
        assert "trust=refused" in record["summary"]
    warned = any("command line" in line and "secret" in line for line in vodhook.err.seen)
    assert warned == (by == "command line")
    assert not any("Anyone who reaches the port" in line for line in vodhook.err.seen)
    assert any("believes events to the secret path." in line for line in vodhook.err.seen) or \
        vodhook.err.find(r"believes events to the secret path\.")
    counts = vodhook.stop()
    assert (counts["events"], counts["refused"]) == (len(RIGHT), len(WRONG))


@pytest.mark.parametrize("output", ["json", "text"])
def test_the_path_is_never_shown(start, config, output):
    vodhook = start("--request-timeout=500ms", config=config(f"path = {SECRET}\n"), output=output)
    for target in [*RIGHT, SECRET + "/x", "/x" + SECRET, "/?path=" + SECRET]:
        vodhook.post(upload(), target=target)
        vodhook.post(b"a=b", target=target)
        vodhook.post(b"{", target=target)
        vodhook.send(request("GET", target, headers=[f"Referer: http://receiver.example.com{SECRET}?x=1"]))
    with vodhook.connect() as client:
        client.send(request("POST", SECRET, headers=["Content-Length: 5"], length=False) + b"abc").ended()
    vodhook.err.find("was cut short")
    vodhook.stop()
    shown = "\n".join(vodhook.out.rest() + vodhook.err.rest() + vodhook.out.seen + vodhook.err.seen)
    assert SECRET[1:] not in shown and "***" in shown


def test_the_mask_stands_for_the_path_alone(start, config):
    vodhook = start(config=config(f"path = {SECRET}\n"))
    assert vodhook.shown(b"a=b", target=SECRET + "?x=1")["target"] == "***?x=1"
    assert vodhook.shown(b"a=b", target="/elsewhere")["target"] == "/elsewhere"


def test_the_root_can_be_the_path(start, config):
    vodhook = start(config=config("path = /\n"))
    assert vodhook.shown(upload(), target="/")["trust"] == "unchecked"
    record = vodhook.shown(upload(), target="/other")
    assert verdict(record) == ("event", "refused", "wrong path")


def test_a_request_for_the_wrong_path_is_refused_too(start, config):
    vodhook = start(config=config(f"path = {SECRET}\n"))
    assert verdict(vodhook.shown(b"a=b", target="/other")) == ("request", "refused", "wrong path")
    assert verdict(vodhook.shown(b"", target=SECRET)) == ("request", "unchecked", None)


def test_a_stranger_learns_nothing(start, config, key_file):
    """Every answer is the same, but for the date."""
    vodhook = start(key_file(), config=config(f"path = {SECRET}\n"))
    answers = set()
    for target in SECRET, "/other":
        for body in upload(), signed(), signed(key="wrong"), b"{", b"a=b", b"":
            with vodhook.connect() as client:
                answer = client.send(request(body=body, target=target, headers=["Connection: close"])).ended()
            answers.add(b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date:")))
    assert len(answers) == 1 and answers.pop().startswith(b"HTTP/1.1 200 ")


# --- The signature -------------------------------------------------------------------------------------------------

def signed(key=KEY, expires=86400, as_text=False, change=lambda sign: sign, **more):
    """An event with Sign and T."""
    t = int(time.time()) + expires
    sign = hashlib.md5(f"{key}{t}".encode()).hexdigest()
    return upload(**{"Sign": change(sign), "T": str(t) if as_text else t, **more})


GOOD = {
    "number": signed(),
    "text": signed(as_text=True),
    "upper case": signed(change=str.upper),
    "mixed case": signed(change=lambda s: s[:16].upper() + s[16:]),
    "first": b'{"Sign":"' + hashlib.md5(f"{KEY}99999999999".encode()).hexdigest().encode() + b'","T":99999999999,'
             + upload()[1:],
}
BAD = {
    "no Sign": (upload(), "no Sign"),
    "no Sign but T": (upload(T=99999999999), "no Sign"),
    "null": (upload(Sign=None, T=99999999999), "no Sign"),
    "other key": (signed(key="another"), "wrong Sign"),
    "cut": (signed(change=lambda s: s[:-1]), "wrong Sign"),
    "longer": (signed(change=lambda s: s + "0"), "wrong Sign"),
    "empty": (signed(change=lambda s: ""), "wrong Sign"),
    "no T": (signed(T=None), "wrong Sign"),
    "other T": (signed(T=99999999999), "wrong Sign"),
    "T with a space": (signed(T=" 99999999999"), "wrong Sign"),
    "a while ago": (signed(expires=-2), "expired"),
    "long ago": (signed(expires=-86400 * 365), "expired"),
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_a_good_signature(start, key_file, body):
    vodhook = start(key_file())
    assert verdict(vodhook.shown(body)) == ("event", "verified", None)
    counts = vodhook.stop()
    assert (counts["events"], counts["refused"]) == (1, 0)


@pytest.mark.parametrize("body, reason", BAD.values(), ids=BAD)
def test_a_bad_signature(start, key_file, body, reason):
    vodhook = start(key_file())
    record = vodhook.shown(body)
    assert (record["kind"], record["trust"]) == ("event", "refused") and reason in record["reason"]
    assert "trust=refused" in record["summary"] and reason in record["summary"]
    counts = vodhook.stop()
    assert (counts["events"], counts["refused"]) == (0, 1)


@pytest.mark.parametrize("text", [KEY, KEY + "\n", KEY + "\r\n"], ids=["bare", "newline", "CRLF"])
def test_the_final_newline_is_no_part_of_the_key(start, key_file, text):
    assert start(key_file(text)).shown(signed())["trust"] == "verified"


def test_the_key_as_a_credential(start, credentials):
    vodhook = start(env=credentials(sign_key=KEY + "\n"))
    assert vodhook.shown(signed())["trust"] == "verified"
    assert vodhook.shown(upload())["trust"] == "refused"


def test_the_published_vector(start, key_file):
    vodhook = start(key_file())
    body = upload(Sign="a2dabb362a9b811c0e26953a6276a41c", T=1588040109)
    assert verdict(vodhook.shown(body)) == ("event", "refused", "expired"), "right, but of 2020"


def test_path_and_signature(start, config, key_file):
    vodhook = start(key_file(), config=config(f"path = {SECRET}\n"))
    assert verdict(vodhook.shown(signed(), target=SECRET)) == ("event", "verified", None)
    assert verdict(vodhook.shown(signed(), target="/other")) == ("event", "refused", "wrong path")
    assert verdict(vodhook.shown(upload(), target=SECRET)) == ("event", "refused", "no Sign")


@pytest.mark.parametrize("output", ["json", "text"])
def test_a_signature_is_never_shown(start, key_file, output):
    vodhook = start(key_file(), output=output)
    bodies = [*GOOD.values(), signed(change=lambda s: s + "\\"), signed()[:-1],
              json.dumps(json.loads(signed()), indent=2).encode()]
    signs = {json.loads(body)["Sign"] for body in GOOD.values()}
    for body in bodies:
        vodhook.post(body)
    vodhook.stop()
    shown = "\n".join(vodhook.out.rest() + vodhook.err.rest())
    assert not any(sign in shown for sign in signs) and shown.count("***") == len(bodies)


def test_an_event_without_a_check_is_unchecked(vodhook):
    for body in upload(), signed():
        assert verdict(vodhook.shown(body)) == ("event", "unchecked", None)


def test_secrets_that_others_can_read_are_warned_of(start, config, tmp_path):
    path = config(f"path = {SECRET}\n")
    os.chmod(path, 0o644)
    vodhook = start(config=path)
    assert any("chmod" in line for line in vodhook.err.seen)
    key = tmp_path / "open-key"
    key.write_text(KEY)
    key.chmod(0o644)
    vodhook = start(f"--sign-key-file={key}")
    assert any("chmod" in line for line in vodhook.err.seen)


def test_the_file_id_is_there_for_refused_events(start, key_file):
    assert start(key_file()).shown(upload())["file_id"] == FILE_ID

"""Programs that others wrote take what is handed on: Debian's webhook, nginx, the library of Standard Webhooks."""

import base64
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import time

import pytest
from forward import Forwarder, Service, command, status
from harness import upload, wait_until

TESTS = pathlib.Path(__file__).resolve().parents[1]
LIBRARY = "standardwebhooks@1.0.0"
KEYS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(port, *arguments):
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            def answers():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return True
                assert process.poll() is None, f"{arguments[0]} ended"

            wait_until(answers, f"{arguments[0]} to listen")
            yield process
        finally:
            process.terminate()


@pytest.mark.skipif(not shutil.which("webhook"), reason="no webhook (make deps)")
def test_webhook_runs_a_command_for_each_event(start, inbox, tmp_path):
    port = free_port()
    script = tmp_path / "hook.sh"
    script.write_text(f'#!/bin/sh\necho "$1 $2" >>{tmp_path}/ran\n')
    script.chmod(0o755)
    (tmp_path / "hooks.json").write_text(json.dumps([{
        "id": "vod", "execute-command": str(script),
        "pass-arguments-to-command": [{"source": "payload", "name": "file_id"}, {"source": "header", "name": "Webhook-Id"}],
        "trigger-rule": {"match": {"type": "value", "value": "NewFileUpload",
                                   "parameter": {"source": "header", "name": "Vodhook-Type"}}}}]))
    vodhook = start(inbox=inbox, output="none")
    for n in range(20):
        vodhook.post(upload(str(n)))
    with running(port, "webhook", "-hooks", str(tmp_path / "hooks.json"), "-ip", "127.0.0.1", "-port", str(port)):
        done = command(inbox, "http", f"http://127.0.0.1:{port}/hooks/vod", "--from", "start", "--once", "--name", "t")
        assert done.returncode == 0, done.stderr
        ran = wait_until(lambda: (tmp_path / "ran").exists() and len((tmp_path / "ran").read_text().splitlines()) == 20 and
                         (tmp_path / "ran").read_text().splitlines(), "all commands")
    assert {line.split()[0] for line in ran} == {str(n) for n in range(20)}
    assert all(len(line.split()[1]) == 64 for line in ran)


@contextlib.contextmanager
def nginx(folder, port, server):
    folder.mkdir(exist_ok=True)
    temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error; events {{}}\n"
        f"http {{ access_log off; {temp} client_max_body_size 20m; server {{ {server} }} }}\n")
    with running(port, "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error")) as process:
        yield process


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx (make deps)")
def test_nginx_killed_and_started_again(start, inbox, tmp_path, ending):
    port = free_port()
    vodhook = start(inbox=inbox, output="none")
    for n in range(300):
        vodhook.post(upload(str(n)))
    server = f"listen 127.0.0.1:{port}; location / {{ return 204; }}"
    forwarder = ending(Forwarder(inbox, "http", f"http://127.0.0.1:{port}/", "--from", "start", "--retry",
                                 ",".join(["100ms"] * 60)))
    for round_ in range(3):
        with nginx(tmp_path / "nginx", port, server) as process:
            time.sleep(0.05 if round_ < 2 else 0)  # then it dies, whatever it is at
            if round_ < 2:
                process.kill()
            else:
                wait_until(lambda: status(inbox)["handed_on"] == 300, "every event", 30)
    assert status(inbox)["dead"] == 0
    forwarder.stop()


@pytest.mark.skipif(not shutil.which("nginx") or not shutil.which("openssl"), reason="no nginx or openssl (make deps)")
def test_tls_is_verified_and_a_certificate_shown(start, inbox, tmp_path):
    port = free_port()

    def make(name, *more):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", tmp_path / f"{name}.key",
                        "-out", tmp_path / f"{name}.pem", "-subj", f"/CN={name}", *more], check=True, stderr=subprocess.DEVNULL)

    make("server", "-addext", "subjectAltName=IP:127.0.0.1")
    make("client")
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("1"))
    server = (f"listen 127.0.0.1:{port} ssl; ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.key; "
              f"ssl_client_certificate {tmp_path}/client.pem; ssl_verify_client on; location / {{ return 204; }}")

    def hand_on(name, *options):
        return command(inbox, "http", f"https://127.0.0.1:{port}/", "--from", "start", "--once", "--retry", "1h", "--name", name,
                       *options)

    trusted = ["--ca-file", str(tmp_path / "server.pem")]
    shown = ["--cert-file", str(tmp_path / "client.pem"), "--key-file", str(tmp_path / "client.key")]
    with nginx(tmp_path / "nginx", port, server):
        assert hand_on("stranger", *shown).returncode == 1
        assert "certificate" in status(inbox, "stranger")["last_error"]
        assert hand_on("nobody", *trusted).returncode == 1
        assert "400" in status(inbox, "nobody")["last_error"]
        done = hand_on("both", *trusted, *shown)
        assert done.returncode == 0, status(inbox, "both")["last_error"]


@pytest.fixture(scope="session")
def library():
    """The folder that npm put Standard Webhooks' own library into; kept between runs."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed, so the library of Standard Webhooks cannot be tried")
    folder = TESTS.parent / "build" / "npm"
    if not (folder / "node_modules/standardwebhooks").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, LIBRARY],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {LIBRARY}: {done.stderr[-300:]}")
    return folder


VERIFY = """
const { Webhook } = require("standardwebhooks");
const posts = JSON.parse(require("fs").readFileSync(0));
for (const [key, headers, body] of posts) {
    let good = true;
    try { new Webhook(key).verify(Buffer.from(body, "base64").toString(), headers); } catch (e) { good = e.message; }
    console.log(JSON.stringify(good));
}
"""


def test_signatures_verify_with_the_library_of_standard_webhooks(start, inbox, tmp_path, library, ending):

    service = ending(Service())
    vodhook = start(inbox=inbox, output="none")
    vodhook.post(upload("1", name="ä \u2028 plain"))
    vodhook.post(upload("2", SourceContext="x" * 200_000))
    keys = tmp_path / "keys"
    keys.write_text("\n".join(KEYS) + "\n")
    keys.chmod(0o600)
    assert command(inbox, "http", service.url, "--from", "start", "--once", "--sign-key-file", str(keys), "--name", "t").returncode == 0
    posts = []
    for post in service.posts:
        body = base64.b64encode(post.body).decode()
        posts += [[key, post.headers, body] for key in KEYS]
        posts.append([KEYS[0], post.headers, base64.b64encode(post.body + b" ").decode()])
        posts.append([KEYS[0], {**post.headers, "webhook-id": "another"}, body])
        posts.append(["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", post.headers, body])
    done = subprocess.run(["node", "-e", VERIFY], cwd=library, input=json.dumps(posts), stdout=subprocess.PIPE, text=True, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [True, True, *["No matching signature found"] * 3] * 2

"""The command line, the configuration file, and what goes wrong with them."""

import os
import re
import socket
import stat
import subprocess

import pytest
from harness import FILE_ID, PROGRAM, WAIT, Client, environment, request, run, upload


# --- --listen ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address, hosts", [
    ("127.0.0.1:0", ["127.0.0.1"]), ("[::1]:0", ["::1"]), (":0", ["127.0.0.1", "::1"]), ("*:0", ["127.0.0.1", "::1"]),
    ("[::]:0", ["127.0.0.1", "::1"]), ("0.0.0.0:0", ["127.0.0.1"]),
])
def test_addresses(start, address, hosts):
    vodhook = start(listen=address)
    assert vodhook.port > 0
    for host in "127.0.0.1", "::1":
        if host in hosts:
            with Client((host, vodhook.port)) as client:
                assert client.send(request(body=upload())).answer().status == 200
                assert vodhook.record()["remote"] == client.name
        else:
            with pytest.raises(ConnectionRefusedError):
                Client((host, vodhook.port))


def test_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "socket")
    vodhook = start(listen=f"unix:{path}")
    assert vodhook.name == f"unix:{path}" and stat.S_ISSOCK(os.stat(path).st_mode)
    with Client(path) as client:
        assert client.send(request(body=upload())).answer().status == 200
        assert client.send(request(body=upload())).answer().status == 200
    assert vodhook.record()["remote"] == "unix"
    with Client(path) as client:
        client.send(request(body=upload())).half_close()
        assert client.ended().startswith(b"HTTP/1.1 200")
    with Client(path):
        pass
    vodhook.stop()
    assert not os.path.exists(path)
    assert not [line for line in vodhook.err.seen if "libmicrohttpd" in line]


def test_a_unix_socket_that_was_left_behind(start, tmp_path):
    path = str(tmp_path / "socket")
    first = start(listen=f"unix:{path}")
    done = run("listen", f"--listen=unix:{path}", "--inbox=none", f"--config={os.devnull}")
    assert done.returncode == 1 and "in use" in done.stderr
    first.kill()
    second = start(listen=f"unix:{path}")
    with Client(path) as client:
        assert client.send(request(body=upload())).answer().status == 200
    assert second.record()["file_id"] == FILE_ID


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    done = run("--inbox=none", f"--listen=unix:{path}")
    assert done.returncode == 1 and str(path) in done.stderr and path.read_text() == "mine"


def test_several(start, tmp_path):
    path = str(tmp_path / "socket")
    vodhook = start("--listen=[::1]:0", f"--listen=unix:{path}", output="text")
    others = [vodhook.out.next() for _ in range(2)]
    port = int(re.fullmatch(r"Started httpserver on port (\d+)", others[0])[1])
    assert others[1] == f"Started httpserver on unix:{path}"
    assert port != vodhook.port
    for address in vodhook.address, ("::1", port), path:
        with Client(address) as client:
            assert client.send(request(body=upload())).answer().status == 200
    assert len(vodhook.text()) == 3


def test_an_address_in_use(start):
    vodhook = start()
    address = f"127.0.0.1:{vodhook.port}"
    done = run(f"--listen={address}", "--inbox=none", f"--config={os.devnull}")
    assert done.returncode == 1 and "Started" not in done.stdout
    assert address in done.stderr and "in use" in done.stderr and "--listen" in done.stderr
    vodhook.post(upload())


def test_an_address_of_another_machine():
    done = run("--listen=192.0.2.1:8080", "--inbox=none")
    assert done.returncode == 1 and "192.0.2.1:8080" in done.stderr


def test_a_restart_takes_the_port_at_once(start):
    first = start()
    with first.connect() as client:
        assert client.send(request(body=upload())).answer().status == 200
        first.stop()
    second = start(listen=f"127.0.0.1:{first.port}")
    assert second.shown(upload())["file_id"] == FILE_ID


# --- What is printed -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["listen", "--version"]], ids=" ".join)
def test_version(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"vodhook \d+\.\d+\.\d+\n", done.stdout)


OPTIONS = ["listen", "path", "sign-key-file", "output", "log-requests", "inbox", "inbox-keep", "inbox-max", "max-memory",
           "max-connections", "request-timeout"]
RETIRED = {"max-body": "8M", "max-head": "24K", "idle-timeout": "60s", "hold-timeout": "6s", "log-body": "16K",
           "log-requests-burst": "ten times", "log-unreadable": "100", "output-buffer": "4M", "inbox-min-free": "64M",
           "decode-memory": "64M", "when-unrecorded": "not answered"}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["listen", "--help"]], ids=" ".join)
def test_help(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for option in [*OPTIONS, "config", "check", "dump-config", "help", "version"]:
        assert re.search(rf"^  (-., )?--{option}\b", done.stdout, re.M), option
    for default in ":8080", "64M", "1024", "10s", "20", "30d", "4G":
        assert re.search(rf"default[^)]* {re.escape(default)}\b", re.sub(r"\s+", " ", done.stdout)), default
    assert max(map(len, done.stdout.splitlines())) <= 110
    assert not [option for option in RETIRED if f"--{option}" in done.stdout]


@pytest.mark.parametrize("arguments, usage", [
    (["help"], r"vodhook \[listen\]"), (["help", "listen"], r"vodhook \[listen\]"), (["help", "events"], "vodhook events"),
    (["help", "pull"], "vodhook pull"),
], ids=" ".join)
def test_help_is_understood(arguments, usage):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "") and re.match(f"Usage: {usage}", done.stdout)


@pytest.mark.parametrize("arguments", [["help", "nonsense"], ["help", "listen", "pull"], ["version", "x"]], ids=" ".join)
def test_help_is_misunderstood(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and arguments[-1] in done.stderr


@pytest.mark.parametrize("option", RETIRED)
def test_a_retired_option(start, config, option):
    """On the command line a mistake; in a file, which an upgrade finds, passed over with what holds now."""
    done = run(f"--{option}=1")
    assert done.returncode == 2 and f"--{option} " in done.stderr and RETIRED[option] in done.stderr
    path = config(f"# of an older version\n{option} = 1\nmax-connections = 77\n")
    done = run("--check", f"--config={path}")
    assert done.returncode == 0 and "fine" in done.stdout
    assert re.search(rf"{re.escape(path)}:2: {option} .*{re.escape(RETIRED[option])}", done.stderr)
    dump = run("--dump-config", f"--config={path}")
    assert settings(dump.stdout)["max-connections"][0] == "77" and option not in settings(dump.stdout)


@pytest.mark.parametrize("option", ["inbox-keep", "request-timeout"])
def test_a_duration_without_a_unit(config, option):
    done = run(f"--{option}=30", "--check")
    assert done.returncode == 2 and f"--{option}: 30 what? 30d, 30h or 30s" in done.stderr
    path = config(f"{option} = 30\n")
    done = run("--check", f"--config={path}")
    assert done.returncode == 78 and f"{path}:1: {option}: 30 what? 30d, 30h or 30s" in done.stderr
    assert run("--inbox-keep=59min", "--check").returncode == 2


@pytest.mark.parametrize("arguments, what", [
    (["--nonsense"], "--nonsense"), (["--listen"], "--listen"), (["--max-memory=many"], "max-memory"),
    (["--max-memory=1025G"], "max-memory"), (["--max-memory=-1"], "max-memory"), (["--output=xml"], "output"),
    (["--listen=here"], "here"), (["--listen=127.0.0.1:65536"], "65536"), (["--listen=unix:relative"], "relative"),
    (["--request-timeout=soon"], "request-timeout"), (["--max-connections=0"], "max-connections"),
    (["nonsense"], "nonsense"), (["listen", "nonsense"], "nonsense"), (["--check=yes"], "check"), (["-x"], "-x"),
    (["--path=no-slash"], "/"),
    (["--output="], "output"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_usage(arguments, what):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert what in done.stderr and done.stderr.startswith("vodhook: ")
    assert len(done.stderr.splitlines()) <= 2


def test_a_typing_error_is_understood():
    assert "--listen?" in run("--lisen=:1").stderr


def test_an_output_that_cannot_be_printed_to():
    with open("/dev/full", "w") as full:
        for option in "--help", "--version", "--dump-config":
            done = subprocess.run([PROGRAM, option], stdout=full, stderr=subprocess.PIPE, timeout=WAIT, env=environment("/"))
            assert done.returncode in (0, 1)


# --- The configuration ---------------------------------------------------------------------------------------------

@pytest.fixture
def config(tmp_path):
    def write(text, name="vodhook.conf"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)
    return write


FINE = """\
# a comment
; another

listen = 127.0.0.1:0     # where
  output=json
inbox = "none"
max-connections    =   77
request-timeout = 3s
"""


def test_a_configuration_file(start, config):
    vodhook = start(config=config(FINE), listen=None, inbox=None)
    assert vodhook.shown(upload())["kind"] == "event"


def test_the_command_line_wins(config):
    done = run("--dump-config", "--max-connections=78", f"--config={config(FINE)}")
    assert settings(done.stdout)["max-connections"] == ("78", "command line")


def test_check(config):
    path = config(FINE)
    done = run("--check", f"--config={path}")
    assert done.returncode == 0 and "fine" in done.stdout and done.stderr == ""
    done = run("--check")
    assert done.returncode == 0


@pytest.mark.parametrize("line, what", [
    ("max-memory = many", "max-memory"), ("nonsense = 1", "nonsense"), ("max-memory", "name = value"), ("= 1", ""),
    ("max-memory =", "max-memory"), ("output = xml", "output"), ("listen = here", "here"), ('inbox = "none', "quote"),
    ("check = yes", "check"), ("config = /x", "config"), ("max-connections = 99999999999999999999", "max-connections"),
    ("path = no-slash", "path"), ("path = ***", "path"), ("max-memory = 1M\nmax-memory = 2M", "max-memory"),
    ('inbox = "none" more', "quote"), ("\x00", ""),
])
def test_an_error_in_the_configuration(config, line, what):
    path = config(f"# first\n\n{line}\n")
    number = 3 + line.count("\n")
    for arguments in ["--check"], [], ["--dump-config"]:
        done = run(*arguments, f"--config={path}")
        assert done.returncode == 78, arguments
        assert re.search(rf"{re.escape(path)}:{number}: .*{re.escape(what)}", done.stderr), done.stderr
        assert "Started" not in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["start", "--check"])
def test_two_formats_for_one_stdout(arguments):
    done = run("--output=text", "--output=json", "--inbox=none", "--listen=127.0.0.1:0", *arguments)
    assert done.returncode == 2 and done.stdout == "" and "both" in done.stderr


def test_two_formats_in_the_configuration(config):
    path = config("output = text\noutput = json\n")
    for arguments in ["--check"], []:
        done = run(*arguments, f"--config={path}")
        assert done.returncode == 78 and f"{path}:1: " in done.stderr and "both" in done.stderr


def test_every_error_is_shown(config):
    path = config("nonsense = 1\nmax-memory = x\n")
    done = run("--check", f"--config={path}")
    assert done.returncode == 78 and ":1: " in done.stderr and ":2: " in done.stderr


def test_a_configuration_file_that_is_missing(tmp_path):
    done = run(f"--config={tmp_path}/none.conf")
    assert done.returncode == 78 and f"{tmp_path}/none.conf" in done.stderr


@pytest.mark.parametrize("text", ["", "x" * 4097], ids=["empty", "large"])
def test_a_key_that_is_none(config, text):
    path = config(text, "key")
    for arguments in [], ["--check"]:
        done = run(f"--sign-key-file={path}", *arguments, "--listen=127.0.0.1:0", "--inbox=none")
        assert done.returncode == 78 and path in done.stderr


def test_a_key_file_that_is_missing(tmp_path):
    done = run(f"--sign-key-file={tmp_path}/none", "--listen=127.0.0.1:0", "--inbox=none")
    assert done.returncode == 78 and f"{tmp_path}/none" in done.stderr


def settings(text):
    """name -> value and origin, of what --dump-config printed."""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^([a-z-]+) = (.*?)  # (.*)$", text, re.M)}


def test_dump_config(config):
    path = config("max-memory = 1M\npath = /a-secret-word\nlog-requests = 2\n")
    done = run("--dump-config", f"--config={path}", "--log-requests=4", "--listen=:0", "--listen=127.0.0.1:0")
    assert done.returncode == 0 and done.stderr == ""
    found = settings(done.stdout)
    assert found["max-memory"] == ("1M", f"{path}:1")
    assert found["path"] == ("***", f"{path}:2")
    assert found["log-requests"] == ("4", "command line")
    assert found["max-connections"] == ("1024", "default")
    assert found["output"] == ("text", "default") and found["inbox"][0].endswith("/inbox.db")
    assert done.stdout.count("\nlisten = ") + done.stdout.startswith("listen = ") == 2
    assert "a-secret-word" not in done.stdout + done.stderr
    for option in OPTIONS:
        assert re.search(rf"^(# )?{option} ", done.stdout, re.M), option


def test_dump_config_reads_back(config):
    first = run("--dump-config", f"--config={config(FINE)}", "--log-requests=4")
    second = run("--dump-config", f"--config={config(first.stdout, 'dumped')}")
    assert second.returncode == 0, second.stderr
    assert {name: value for name, (value, _) in settings(first.stdout).items()} == \
        {name: value for name, (value, _) in settings(second.stdout).items()}


def test_dump_config_names_credentials(tmp_path):
    (tmp_path / "sign-key").write_text("key")
    (tmp_path / "path").write_text("/a-secret-word")
    done = run("--dump-config", f"--config={os.devnull}", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    found = settings(done.stdout)
    assert found["path"] == ("***", "credential path")
    assert found["sign-key-file"] == (f"{tmp_path}/sign-key", "credential sign-key")


def test_a_secret_on_the_command_line_is_warned_of():
    done = run("--path=/a-secret-word", "--check")
    assert done.returncode == 0 and "command line" in done.stderr and "a-secret-word" not in done.stderr


# --- Sockets that are passed in --------------------------------------------------------------------------------------

def test_a_passed_socket(start, tmp_path):
    """The environment names a process that is not known before it exists, so a shell puts it there."""
    script = tmp_path / "vodhook"
    script.write_text(f'#!/bin/sh\nLISTEN_PID=$$ LISTEN_FDS=1 exec {PROGRAM} "$@" 3<&0 </dev/null\n')
    script.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as server:
        vodhook = start(program=str(script), stdin=server)
        assert vodhook.port == server.getsockname()[1]
        assert any("listen (command line) is not used" in line for line in vodhook.err.seen)
        vodhook.post(upload())
        assert vodhook.record()["file_id"] == FILE_ID
        vodhook.stop()
        # It stays open for the next instance: who connects meanwhile waits.
        with Client(server.getsockname()) as client:
            client.send(request(body=upload("waited")))
            assert start(program=str(script), stdin=server).record()["file_id"] == "waited"
            assert client.answer().status == 200

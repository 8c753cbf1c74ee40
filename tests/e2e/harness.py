"""The program under test, its clients and its output. Everything that is waited for has a deadline, and nothing sleeps."""

import contextlib
import errno
import json
import os
import pathlib
import queue
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("VODHOOK", str(TREE / "build/vodhook"))
SANITIZED = os.environ.get("VODHOOK_SANITIZED") == "1"
LIBRARY = tuple(map(int, subprocess.run(["pkg-config", "--modversion", "libmicrohttpd"], stdout=subprocess.PIPE,
                                        text=True).stdout.strip().split(".")))  # which takes more or less
WAIT = 30  # seconds for what should be there at once, on a machine that has much else to do
FILE_ID = "5285890784246869930"


# --- What is sent ------------------------------------------------------------------------------------------------

def upload(file_id=FILE_ID, name="holiday.mp4", **more):
    """The body of an event; `more` are members beside its payload."""
    return json.dumps({
        "EventType": "NewFileUpload",
        "FileUploadEvent": {
            "FileId": str(file_id),
            "MediaBasicInfo": {"Name": name, "MediaUrl": f"https://1500000001.vod2.example.com/{file_id}/f0.mp4"},
            "MetaData": {"Size": 10556963, "Duration": 60.2}},
        **more}, ensure_ascii=False).encode()


def request(method="POST", target="/", body=b"", headers=(), version="HTTP/1.1", length=True):
    """One request. `headers` are lines; Content-Length is added where there is a body, unless `length` is false."""
    lines = [f"{method} {target} {version}", *(("Host: receiver.example.com",) if version == "HTTP/1.1" else ()), *headers]
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def chunked(body, size=1000):
    """The body in chunks, the last one included."""
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# --- Clients -----------------------------------------------------------------------------------------------------

class Answer:
    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.version, status, _ = first.split(" ", 2)
        self.status = int(status)
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body


class Client:
    """A connection. It is closed at the end of a with statement."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT)
        self.socket.connect(address)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @property
    def name(self):
        """As the program should call it."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, data):
        self.socket.sendall(data)
        return self

    def offer(self, data):
        """Sends as much as the server takes."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the server has closed already
                raise
        return self

    def _until(self, enough, what):
        while not enough():
            more = self.socket.recv(65536)
            assert more, f"closed before {what}, after {self.received[:200]!r}"
            self.received += more

    def answer(self, has_body=True):
        """The next answer; an interim one counts."""
        self._until(lambda: b"\r\n\r\n" in self.received, "the end of an answer's head")
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        length = int(Answer(head, b"").headers.get("content-length", 0)) if has_body else 0
        self._until(lambda: len(self.received) >= length, "the end of an answer")
        body, self.received = self.received[:length], self.received[length:]
        return Answer(head, body)

    def ended(self):
        """Waits until the server closes, and returns what came before."""
        try:
            while more := self.socket.recv(65536):
                self.received += more
        except ConnectionResetError:
            pass
        return self.received

    def drip(self, data, pause):
        """Sends a byte at a time until the server closes or all is sent; returns the seconds that took and how many were
        sent. The pause is the pace of the client, not a wait for the server."""
        began = time.monotonic()
        for i in range(len(data)):
            try:
                self.socket.send(data[i:i + 1])
            except (BrokenPipeError, ConnectionResetError):
                return time.monotonic() - began, i
            if select.select([self.socket], [], [], max(0, began + (i + 1) * pause - time.monotonic()))[0]:
                return time.monotonic() - began, i + 1
        return time.monotonic() - began, len(data)


# --- The program -------------------------------------------------------------------------------------------------

class Lines:
    """Reads a stream in the background, so that its writer never waits, and hands out its lines."""

    def __init__(self, stream, name):
        self.name = name
        self.seen = []
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        try:
            with stream:
                for line in stream:
                    self._queue.put(line)
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that nobody else has open
                raise
        self._queue.put(None)

    def next(self, deadline=WAIT):
        """The next line without its end, or None at the end of the stream. It has to be UTF-8."""
        try:
            line = self._queue.get(timeout=deadline)
        except queue.Empty:
            raise AssertionError(f"no further line on {self.name} after: {self.seen[-5:]}") from None
        if line is None:
            self._queue.put(None)
            return None
        assert line.endswith(b"\n"), f"{self.name} ends within a line: {line!r}"
        self.seen.append(line[:-1].decode("utf-8"))
        return self.seen[-1]

    def find(self, pattern, deadline=WAIT):
        """The match in the next line that has one; the lines before it are taken, too."""
        until = time.monotonic() + deadline
        while (line := self.next(max(0, until - time.monotonic()))) is not None:
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{self.name} ended without {pattern!r}: {self.seen[-20:]}")

    def rest(self):
        """The lines up to the end of the stream."""
        lines = []
        while (line := self.next()) is not None:
            lines.append(line)
        return lines


class Vodhook:
    """A listener that runs, by default on a free port of 127.0.0.1, with JSON lines on stdout and without an inbox."""

    def __init__(self, *options, listen="127.0.0.1:0", output="json", inbox="none", config=os.devnull, command=("listen",),
                 env=None, stdout=subprocess.PIPE, reader=None, journal_stream=False, preexec=None,
                 program=PROGRAM, stdin=subprocess.DEVNULL):
        """A stdout of its own may come with a stream that shows what is written to it."""
        self.folder = tempfile.TemporaryDirectory(prefix="vodhook-e2e-")
        given = {"listen": listen, "output": output, "inbox": inbox, "config": config}
        arguments = [f"--{name}={value}" for name, value in given.items() if value]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(f"{self.folder.name}/notify")
        reading, writing = os.pipe()
        env = {**environment(self.folder.name), "NOTIFY_SOCKET": f"{self.folder.name}/notify", **(env or {})}
        if journal_stream:
            env["JOURNAL_STREAM"] = f"{os.fstat(writing).st_dev}:{os.fstat(writing).st_ino}"
        self.process = subprocess.Popen([program, *command, *arguments, *options], env=env, stdin=stdin,
                                        stdout=stdout, stderr=writing, preexec_fn=preexec)
        os.close(writing)
        self.err = Lines(open(reading, "rb"), "stderr")
        reader = self.process.stdout or reader
        self.out = reader and Lines(reader, "stdout")
        self._wait_until_ready(notify)
        self._notify, self._statuses = notify, queue.Queue()
        notify.settimeout(None)
        threading.Thread(target=self._read_notify, daemon=True).start()
        # The banner is out before the program says that it is ready.
        banners = self.out if output in (None, "text") else self.err
        self.name = banners and banners.find(r"Started httpserver on (.*)$")[1]
        self.port = int(self.name.split()[1]) if self.name and self.name.startswith("port ") else None

    def _wait_until_ready(self, notify):
        notify.settimeout(0.05)
        until = time.monotonic() + WAIT
        while True:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            except socket.timeout:
                if self.process.poll() is None and time.monotonic() < until:
                    continue
                self.kill()
                raise AssertionError(f"not ready, exit status {self.process.returncode}: {self.err.rest()}") from None

    def _read_notify(self):
        with contextlib.suppress(OSError):  # closed, at the end
            while text := self._notify.recv(4096).decode():
                if text.startswith("STATUS="):
                    self._statuses.put(text[len("STATUS="):])

    def status(self, pattern):
        """The match in the next status that systemd would be told and that has one."""
        seen, until = [], time.monotonic() + WAIT
        while True:
            try:
                seen.append(self._statuses.get(timeout=max(0, until - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"no status {pattern!r}: {seen}") from None
            if match := re.search(pattern, seen[-1]):
                return match

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def connect(self, address=None):
        return Client(address or self.address)

    def send(self, data, has_body=True):
        """Sends one request on a connection of its own and returns the answer."""
        with self.connect() as client:
            return client.send(data).answer(has_body)

    def post(self, body=b"", target="/", headers=(), method="POST"):
        """The same for a body, which has to be answered 200."""
        answer = self.send(request(method, target, body, ("Connection: close", *headers)))
        assert answer.status == 200
        return answer

    def line(self):
        """The next line on stdout."""
        line = self.out.next()
        assert line is not None, f"stdout ended; stderr: {self.err.rest()}"
        return line

    def record(self):
        """The next line on stdout as JSON."""
        return json.loads(self.line())

    def shown(self, body, **more):
        """Posts a body and returns the record that becomes of it."""
        self.post(body, **more)
        return self.record()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, deadline=WAIT):
        """Waits until it has ended by itself; returns the exit status."""
        return self.process.wait(deadline)

    def stop(self):
        """Stops it without a drain; returns what it counted: events, failed, refused, unreadable, requests, broken."""
        self.signal()
        self.err.find("Stopping on SIGTERM")
        self.signal()
        assert self.wait() == 0, self.err.rest()
        counts = self.err.find(r"Stopped after (\d+) events \((\d+) failed, (\d+) refused.*\), (\d+) unreadable, "
                               r"(\d+) other requests, (\d+) broken ones$")
        return dict(zip(("events", "failed", "refused", "unreadable", "requests", "broken"), map(int, counts.groups())))

    def text(self):
        """Stops it and returns the records of a text output, each with its lines, the banner left out."""
        self.stop()
        records = []
        for line in self.out.rest():
            if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ", line):
                records.append([line])
            else:
                assert records and (line == "" or line.startswith("    ")), f"a line that belongs to no record: {line!r}"
                records[-1].append(line)
        return records

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self):
        """Ends it where a test did not; it must still have been there, and well."""
        try:
            if self.process.poll() is None:
                self.stop()
            assert self.process.returncode in (0, -signal.SIGKILL), f"{self.process.returncode}: {self.err.rest()}"
        finally:
            self.kill()
            self._notify.shutdown(socket.SHUT_RDWR)
            self._notify.close()
            self.folder.cleanup()


def environment(folder):
    """One in which nothing of the user's own can be read or written."""
    kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
    return {**{name: os.environ[name] for name in kept if name in os.environ},
            "LANG": "C.UTF-8", "HOME": folder, "XDG_STATE_HOME": f"{folder}/state"}


def run(*arguments, env=None):
    """Runs the program to its end; returns it completed, its output as text."""
    with tempfile.TemporaryDirectory(prefix="vodhook-e2e-") as folder:
        return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=WAIT, env={**environment(folder), **(env or {})})


def wait_until(condition, what, deadline=WAIT):
    """The first true value of condition(), for what nobody can be told of: the size of a file, a state in /proc."""
    until = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < until, f"{what}: not within {deadline} s"
        select.select([], [], [], 0.01)
    return value


def wait_until_read(client):
    """Waits until the server has read what the client sent: everything is acknowledged and nothing is left in its queue."""
    port = f":{client.socket.getsockname()[1]:04X}"

    def all_read():
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table if line.split()[1].endswith(port) or line.split()[2].endswith(port)]
        return rows and all(row[4] == "00000000:00000000" for row in rows)
    wait_until(all_read, "an empty queue")


def event_text(line):
    """The text of the member `event` of a JSON line, as it stands there."""
    start = line.index('"event":') + len('"event":')
    _, end = json.JSONDecoder().raw_decode(line, start)
    return line[start:end]


def squeezed(text):
    """JSON text without the white space outside of its strings."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda m: m[1] or "", text)

"""A forwarder that runs, and a service that it posts to."""

import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time

from harness import PROGRAM, WAIT, Lines, environment, wait_until


class Post:
    def __init__(self, headers, body):
        self.time = time.monotonic()
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def json(self):
        return json.loads(self.body)


class Service:
    """Answers what `answer` says for a post: a status, or (status, headers), or None to cut the connection; it may
    wait. Keeps what it was sent: `posts`, and `taken`, those it answered 2xx."""

    def __init__(self, answer=lambda post: 200, port=0):
        self.answer, self.posts, self.taken = answer, [], []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.reply(405, {})

            def do_POST(self):
                post = Post(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
                post.path = self.path
                service.posts.append(post)
                answer = service.answer(post)
                if answer is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                if 200 <= status < 300:
                    service.taken.append(post)
                self.reply(status, headers)

            def reply(self, status, headers):
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def wait_for(self, n, what="posts"):
        wait_until(lambda: len(getattr(self, what)) >= n, f"{n} {what}, of which there are {len(getattr(self, what))}")
        return getattr(self, what)

    def names(self):
        """Of the events that were taken, the names, in the order they came."""
        return [post.json["name"] for post in self.taken]


def command(inbox, *arguments):
    """Runs vodhook forward to its end."""
    folder = os.path.dirname(inbox)
    return subprocess.run([PROGRAM, "forward", *arguments, "--inbox", str(inbox)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=WAIT,
                          env=environment(folder))


def status(inbox, name="t"):
    done = command(inbox, "--status", name, "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Forwarder:
    """One that runs."""

    def __init__(self, inbox, *arguments, name="t", env=None, ready=True, preexec=None):
        folder = os.path.dirname(inbox)
        self.inbox, self.name = inbox, name
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = f"{folder}/notify-{os.getpid()}-{time.monotonic_ns()}"
        notify.bind(path)
        self.process = subprocess.Popen([PROGRAM, "forward", "--name", name, "--inbox", str(inbox), *arguments],
                                        env={**environment(folder), "NOTIFY_SOCKET": path, **(env or {})},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=preexec)
        self.err = Lines(self.process.stderr, "stderr")
        self.notify = notify
        if ready:
            self.wait_ready()

    def wait_ready(self):
        self.notify.settimeout(0.05)
        until = time.monotonic() + WAIT
        while True:
            try:
                if b"READY=1" in self.notify.recv(4096).split(b"\n"):
                    return
            except socket.timeout:
                assert self.process.poll() is None and time.monotonic() < until, f"not ready: {self.err.rest()}"

    def statuses(self):
        """What STATUS= it sent since the last call."""
        lines = []
        self.notify.settimeout(0.01)
        try:
            while True:
                lines += [line[7:].decode() for line in self.notify.recv(4096).split(b"\n") if line.startswith(b"STATUS=")]
        except (socket.timeout, BlockingIOError):
            return lines

    def status(self):
        return status(self.inbox, self.name)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WAIT) == 0, self.err.rest()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.notify.close()

"""The servers that are measured, what they cost, and the client that loads them."""
import contextlib
import glob
import json
import os
import socket
import statistics
import subprocess
import sys
import textwrap
import time

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 20  # seconds for a server to start or to end, before the benchmark gives up
REST = 1  # seconds for a server to come to rest


class Failure(Exception):
    """The benchmark cannot go on; the text says why."""


# --- Cores: the server has one, client and benchmark the other. A child inherits where its parent may run. ---

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


@contextlib.contextmanager
def on_core(core):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- Processes ---

def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def tree(pid):
    """The process and all that came from it and are still there."""
    found = [pid]
    for each in found:
        for children in glob.glob(f"/proc/{each}/task/*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in read(children).split()]
    return found


def cpu_seconds(pid):
    """What the tree has used: its threads to the nanosecond, children that ended already to the clock tick."""
    used = 0.0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            after_name = read(f"/proc/{each}/stat").rpartition(")")[2].split()
            used += (int(after_name[13]) + int(after_name[14])) / TICK
            for thread in glob.glob(f"/proc/{each}/task/*/schedstat"):
                used += int(read(thread).split()[0]) / 1e9
    return used


def resident_bytes(pid):
    total = 0
    for each in tree(pid):
        for line in read(f"/proc/{each}/status").splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def sockets_open(pid):
    found = 0
    for each in tree(pid):
        for fd in glob.glob(f"/proc/{each}/fd/*"):
            with contextlib.suppress(OSError):
                found += os.readlink(fd).startswith("socket:")
    return found


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"waited {PATIENCE} s for {what}")
        time.sleep(0.002)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- Servers ---

class Server:
    """One server in a folder of its own. `name` is for the tables."""
    name = ""
    path = "/"
    connections_max = 10000  # what it can be loaded with

    def __init__(self, folder):
        self.folder = folder
        self.output = os.path.join(folder, "output")
        self.port = free_port()
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def command(self):
        raise NotImplementedError

    def start(self):
        """Returns the seconds from before exec until it had answered a request."""
        with open(self.output, "ab") as out, open(os.path.join(self.folder, "errors"), "ab") as err:
            begun = time.monotonic()
            with on_core(SERVER_CORE):
                self.process = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                                                stderr=err)
        deadline = begun + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.name} did not start: {read(os.path.join(self.folder, 'errors'))[-2000:]}")
        return time.monotonic() - begun

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return s.recv(1024).startswith(b"HTTP/1.")
        return False

    def stop(self):
        if not self.process:
            return
        all_of_it = tree(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in all_of_it:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process.wait()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def cpu_settled(self):
        """The CPU seconds used, once the server has come to rest; one that is still busy after a while, as with pruning,
        has chores of its own."""
        deadline = time.monotonic() + REST
        before, now = -1.0, cpu_seconds(self.process.pid)
        while now - before > 0.0005 and time.monotonic() < deadline:
            time.sleep(0.02)
            before, now = now, cpu_seconds(self.process.pid)
        return now

    def empty_output(self):
        """Nobody reads it, and it would fill the disk."""
        os.truncate(self.output, 0)


class Vodhook(Server):
    name = "vodhook"

    def __init__(self, folder, program, *options):
        super().__init__(folder)
        self.program = program
        self.options = options or ("--output", "json", "--inbox", "none")
        self.configuration = os.path.join(folder, "vodhook.conf")
        with open(self.configuration, "w", encoding="ascii"):
            pass

    def command(self):
        return [self.program, "listen", "--config", self.configuration, "--listen", f"127.0.0.1:{self.port}",
                *self.options]


class Nginx(Server):
    """The cheapest way to have nginx log a body: an upstream that is down makes it read the body first."""
    name = "nginx"
    configuration = """\
        worker_processes 1;
        worker_rlimit_nofile 4096;
        pid FOLDER/pid;
        error_log FOLDER/errors crit;
        events { worker_connections 4000; }
        http {
            client_body_temp_path FOLDER/body;
            proxy_temp_path FOLDER/proxy;
            fastcgi_temp_path FOLDER/fastcgi;
            uwsgi_temp_path FOLDER/uwsgi;
            scgi_temp_path FOLDER/scgi;
            keepalive_requests 1000000000;
            client_body_buffer_size 64k;
            client_max_body_size 8m;
            log_format body escape=json '{"time":"$time_iso8601","remote":"$remote_addr:$remote_port",'
                                        '"method":"$request_method","target":"$request_uri","event":"$request_body"}';
            access_log FOLDER/output body;
            upstream nobody { server 127.0.0.1:1 down; }
            server {
                listen 127.0.0.1:PORT backlog=4096;
                location / {
                    proxy_pass http://nobody;
                    error_page 502 =200 @received;
                }
                location @received { return 200; }
            }
        }
        """

    def command(self):
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(textwrap.dedent(self.configuration).replace("FOLDER", self.folder).replace("PORT", str(self.port)))
        return ["nginx", "-p", self.folder, "-c", path, "-e", os.path.join(self.folder, "errors"), "-g", "daemon off;"]


class Webhook(Server):
    """It answers when the command has ended, so that the rate of answers is that of commands."""
    name = "webhook"
    path = "/hooks/vod"

    def command(self):
        path = os.path.join(self.folder, "hooks.json")
        with open(path, "w", encoding="ascii") as f:
            json.dump([{"id": "vod", "execute-command": "/bin/true", "include-command-output-in-response": True}], f)
        return ["webhook", "-hooks", path, "-ip", "127.0.0.1", "-port", str(self.port)]


class Tutorial(Server):
    """Its queue of connections is 5 long: with more at a time it collapses."""
    name = "python"
    connections_max = 4

    def command(self):
        return [sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "tutorial.py"),
                str(self.port)]


# --- The client ---

class Client:
    def __init__(self, program):
        self.program = program
        self.numbered = 0

    def _command(self, server, body, connections, requests, *options):
        first, self.numbered = self.numbered, self.numbered + requests
        return [self.program, "-P", str(server.port), "-p", server.path, "-c", str(connections), "-n", str(requests),
                "-f", str(first), *options, body]

    def load(self, server, body, connections, requests, keep_alive, seconds=5):
        """Posts the body so many times, or for so long, and returns what came of it: requests, seconds, requests a second;
        p50, p99 and max in milliseconds; and what it cost: µs of the server's CPU a request."""
        before = server.cpu_settled()
        with on_core(CLIENT_CORE):
            done = subprocess.run(self._command(server, body, connections, requests, "-s", str(seconds),
                                                *(["-k"] if keep_alive else [])),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Failure(f"the client of {server.name} failed ({done.returncode}): {done.stderr}")
        cpu = server.cpu_settled() - before
        server.empty_output()
        result = json.loads(done.stdout)
        requests = result["requests"]
        return {"requests": requests, "seconds": result["seconds"], "rate": requests / result["seconds"],
                "cpu": cpu / requests * 1e6, "p50": result["p50"] / 1e3, "p99": result["p99"] / 1e3, "max": result["max"] / 1e3}

    @contextlib.contextmanager
    def hold(self, server, body, connections, used):
        """Holds so many connections, each of which made one request if used, for as long as the context lasts."""
        before = sockets_open(server.process.pid)
        with on_core(CLIENT_CORE):
            holder = subprocess.Popen(self._command(server, body, connections, connections if used else 0, "-H"),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if holder.stdout.readline() != "held\n":
                raise Failure(f"{server.name} does not hold {connections} connections")
            wait_for(f"{server.name} to accept {connections} connections",
                     lambda: sockets_open(server.process.pid) >= before + connections)
            yield
        finally:
            holder.stdin.close()
            holder.wait(PATIENCE)
        wait_for(f"{server.name} to close them", lambda: sockets_open(server.process.pid) <= before)


def merged(results):
    """One result out of those of several rounds: the middle one of each number."""
    return {key: statistics.median(result[key] for result in results) for key in results[0]}

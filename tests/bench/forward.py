"""Inbox to HTTP beside wrk: the same nginx, connections and body; and how soon after its answer an event is at the service."""
import http.server
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import kafka
import servers


class Receiver:
    """A service that notes when each post was there."""

    def __init__(self):
        receiver = self
        self.times, self.came = [], threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.times.append(time.monotonic())
                receiver.came.set()
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Nginx:
    def __init__(self, folder):
        self.port = servers.free_port()
        os.makedirs(folder, exist_ok=True)
        temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{folder}/nginx.conf", "w") as f:
            f.write(f"daemon off; master_process off; pid {folder}/pid; events {{}}\nhttp {{ access_log off; {temp} "
                    f"client_max_body_size 20m; client_body_buffer_size 64k; keepalive_requests 1000000000; "
                    f"server {{ listen 127.0.0.1:{self.port}; location / {{ return 204; }} }} }}\n")
        self.command = ["nginx", "-e", f"{folder}/error", "-p", folder, "-c", f"{folder}/nginx.conf"]

    def __enter__(self):
        with servers.on_core(servers.CLIENT_CORE):
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
        servers.wait_for("nginx", self.answers)
        return self

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Bench(kafka.Bench):
    """Fills and starts as the one for Kafka does."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.events = self.options["forward_events"]
        self.inbox = os.path.join(self.folder, "forward", "inbox.db")
        self.program = os.path.join(self.build, "vodhook")

    def post_all(self, nginx):
        self.n_forwarders += 1
        return kafka.finished([self.program, "forward", "http", f"http://127.0.0.1:{nginx.port}/", "--once", "--from", "start",
                               "--name", f"bench{self.n_forwarders}", "--inbox", self.inbox])

    def wrk(self, nginx, body):
        script = os.path.join(self.folder, "post.lua")
        with open(script, "w") as f:
            f.write(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = string.rep("x", {body})\n')
        with servers.on_core(servers.SERVER_CORE):
            said = subprocess.run(["wrk", "-t1", "-c8", "-d2", "-s", script, f"http://127.0.0.1:{nginx.port}/"], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
        return float(re.search(r"Requests/sec: *([\d.]+)", said)[1])

    def measure(self):
        self.fill()
        event = subprocess.run([self.program, "events", "--inbox", self.inbox, "--output", "json", "--limit", "1"], check=True,
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout
        rounds = []
        with Nginx(os.path.join(self.folder, "forward", "nginx")) as nginx:
            for _ in range(self.options["forward_rounds"]):
                wall, cpu, memory = self.post_all(nginx)
                wrk = self.wrk(nginx, len(event)) if shutil.which("wrk") else float("nan")
                rounds.append({"rate": self.events / wall, "cpu": cpu / self.events * 1e6, "memory": memory, "wrk": wrk,
                               "ratio": self.events / wall / wrk})
        middle = servers.merged(rounds)
        p50, p99 = self.latency()
        self.table(f"Inbox to HTTP: {self.events} events of {len(event) / 1000:.1f} KB over 8 connections to nginx",
                   ("who", "events/s", "CPU µs an event", "memory MB"),
                   [("vodhook forward", f"{middle['rate']:.0f}", f"{middle['cpu']:.1f}", f"{middle['memory']:.1f}"),
                    ("wrk", f"{middle['wrk']:.0f}", "", "")])
        self.table("From the answer 200 to the receipt by the service", ("p50 ms", "p99 ms"), [(f"{p50:.2f}", f"{p99:.2f}")])
        self.goal("events/s to nginx over wrk's", middle["ratio"], 0.5, at_least=True)
        self.goal("ms from 200 to receipt, p50", p50, 10)
        self.goal("forward MB", middle["memory"], 40)

    def latency(self):
        """Each event meets an idle forwarder."""
        receiver = Receiver()
        folder = os.path.join(self.folder, "forward-idle")
        server = servers.Vodhook(folder, self.program, "--output", "none", "--inbox", os.path.join(folder, "inbox.db"))
        times = []
        with server:
            with servers.on_core(servers.SERVER_CORE):
                forwarder = subprocess.Popen([self.program, "forward", "http", receiver.url, "--name", "idle", "--from", "start",
                                              "--inbox", os.path.join(folder, "inbox.db")], stderr=subprocess.DEVNULL)
            try:
                for n in range(self.options["forward_idle_events"]):
                    receiver.came.clear()
                    with socket.create_connection(("127.0.0.1", server.port)) as s:
                        body = b'{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"%d"}}' % n
                        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                        s.recv(4096)
                    answered = time.monotonic()
                    receiver.came.wait(10)
                    times.append((receiver.times[-1] - answered) * 1e3)
                    time.sleep(0.03)  # idle again
            finally:
                forwarder.terminate()
                forwarder.wait()
                receiver.server.shutdown()
        times = sorted(times[5:])
        return times[len(times) // 2], times[int(len(times) * 0.99)]

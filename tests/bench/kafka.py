"""Inbox to Kafka beside kcat: the same bodies, keys and topic, on brokers of their own."""
import os
import subprocess
import sys
import tempfile
import time

import servers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kafka"))

# As vodhook forward sets librdkafka.
PROPERTIES = ("acks=all", "enable.idempotence=true", "linger.ms=5", "compression.codec=lz4",
              "topic.partitioner=murmur2_random")


def largest_memory(process, found):
    """Adds to the list how much memory the process has had at most, MB, as long as it can be asked. What wait4() says
    would be that of the benchmark, which it was forked from."""
    while process.poll() is None:
        try:
            lines = servers.read(f"/proc/{process.pid}/status").splitlines()
        except OSError:
            return
        found += [int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")]
        time.sleep(0.02)


def finished(command):
    """Runs a command. Returns its wall clock and processor seconds and its largest memory in MB."""
    memory = []
    before = os.times()
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        largest_memory(process, memory)
        took = time.monotonic() - began
        if process.wait():
            said.seek(0)
            raise servers.Failure(f"{command[0]} failed: {said.read().decode(errors='replace')[-500:]}")
    after = os.times()
    return (took, after.children_user + after.children_system - before.children_user - before.children_system,
            max(memory, default=0))


class Bench:
    def __init__(self, build, folder, client, body, options, table, goal):
        self.build, self.folder, self.client, self.body = build, folder, client, body
        self.options, self.table, self.goal = options, table, goal
        self.events = options["kafka_events"]
        self.inbox = os.path.join(folder, "kafka", "inbox.db")
        self.n_forwarders = 0

    def fill(self):
        server = servers.Vodhook(os.path.dirname(self.inbox), os.path.join(self.build, "vodhook"), "--output", "none",
                                 "--inbox", self.inbox)
        with server:
            self.client.load(server, self.body, 64, self.events, True)

    def forward(self, cluster, topic, *options):
        """Each time as a new target, which begins at the start."""
        self.n_forwarders += 1
        return finished([os.path.join(self.build, "vodhook"), "forward", "kafka", cluster.servers(), topic, "--once", "--from",
                         "start", "--name", f"bench{self.n_forwarders}", "--inbox", self.inbox, *options])

    def kcat(self, cluster, topic, lines):
        properties = [each for name in PROPERTIES for each in ("-X", name)]
        return finished(["kcat", "-b", cluster.servers(), "-P", "-t", topic, "-K", "\t", *properties, "-l", lines])

    def measure(self):
        import cluster as kafka
        self.fill()
        os.sched_setaffinity(0, set(servers.CORES))  # brokers and librdkafka have threads, which share the machine
        try:
            brokers = kafka.Cluster(self.folder)
        except kafka.Unavailable as why:
            raise servers.Failure(str(why)) from None
        with brokers:
            self.compare(brokers)

    def compare(self, cluster):
        topic = cluster.make_topic("bench")
        lines = os.path.join(self.folder, "lines")
        self.forward(cluster, topic)
        with open(lines, "wb") as f:  # what was handed on is what kcat sends
            f.write(cluster.kcat("-C", "-q", "-e", "-o", "beginning", "-t", topic, "-f", "%k\t%s\n").stdout)
        rounds = []
        for _ in range(self.options["kafka_rounds"]):
            rounds.append((self.forward(cluster, topic), self.kcat(cluster, topic, lines)))
        rows = []
        for who, results in zip(("vodhook forward", "kcat -P"), zip(*rounds)):
            middle = servers.merged([dict(zip(("wall", "cpu", "memory"), each)) for each in results])
            rows.append((who, f"{self.events / middle['wall']:.0f}", f"{middle['cpu'] / self.events * 1e6:.1f}",
                         f"{middle['memory']:.1f}"))
        size = os.path.getsize(lines) / self.events
        self.table(f"Inbox to Kafka: {self.events} events of {size / 1000:.1f} KB, from start to end",
                   ("who", "events/s", "CPU µs an event", "memory MB"), rows)
        self.goal("events/s to Kafka over kcat's", servers.merged([{"r": k[0] / f[0]} for f, k in rounds])["r"], 0.8,
                  at_least=True)

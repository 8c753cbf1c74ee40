"""Three brokers of Apache Kafka on loopback, each also a controller (KRaft), and kcat to look into them.

Maven copies the jars to build/kafka once. Ports are given by the kernel and stay reserved as long as the cluster lives:
a bound socket that does not listen keeps others off, and with SO_REUSEADDR, which Java sets, a broker may listen there.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/e2e"))

from harness import Lines, wait_until  # noqa: E402

BROKERS = 3
HEAP = "-Xmx256m"
PATIENCE = 90  # seconds for three JVMs to start on a machine that has much else to do
FETCH_PATIENCE = 600  # for Maven's registry
USER, PASSWORD = "ckafka-7q2mzx8v#vodhook", "a pass word"  # in CKafka's form: instance#user
# Started for seconds, not for days: no optimizing compiler, no threads for the collector.
JAVA = ["java", HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true"]

Message = collections.namedtuple("Message", "partition offset key headers body")

CONFIGURATION = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
"user_{user}"="{password}";
log.dirs={folder}/data
num.partitions=6
default.replication.factor=3
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
min.insync.replicas=2
message.max.bytes=6000000
replica.fetch.max.bytes=6000000
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000
controller.quorum.fetch.timeout.ms=1500
controller.quorum.election.timeout.ms=500
replica.lag.time.max.ms=3000
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=3
log.cleaner.enable=false
"""

LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %p %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class Unavailable(Exception):
    """There can be no cluster here; the text says why."""


def need_programs():
    missing = [name for name in ("java", "mvn", "kcat") if not shutil.which(name)]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)} (make deps check)")


def jars(cache=TREE / "build/kafka"):
    """The folder with the brokers' jars, named after the pom; the first call has Maven fetch them."""
    pom = TREE / "tests/kafka/pom.xml"
    ready = cache / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if ready.is_dir():
        return ready
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = ["mvn", "-q", "-B", "-ntp", "-Dstyle.color=never", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime",
                   f"-DoutputDirectory={folder}/jars"]
        try:
            fetched = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, timeout=FETCH_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"Maven did not fetch Kafka's jars within {FETCH_PATIENCE} s") from None
        if fetched.returncode:
            said = [line for line in fetched.stdout.splitlines() if "ERROR" in line]
            raise Unavailable(f"Maven cannot fetch Kafka's jars: {(said or ['it does not say why'])[0][:300]}")
        with contextlib.suppress(OSError):  # another run was faster
            os.rename(f"{folder}/jars", ready)
    return ready


def reserve_port():
    """A bound socket. See the top of the file."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    return s


class Broker:
    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node
        self.folder = cluster.folder / f"broker{node}"
        self.folder.mkdir()
        self.sockets = {name: reserve_port() for name in ("plain", "sasl", "controller")}
        self.process = self.lines = None

    def port(self, name):
        return self.sockets[name].getsockname()[1]

    def configure(self, voters):
        (self.folder / "server.properties").write_text(CONFIGURATION.format(
            node=self.node, voters=voters, folder=self.folder, user=USER, password=PASSWORD,
            **{name: self.port(name) for name in self.sockets}))

    def java(self, *command, **more):
        return subprocess.Popen([*JAVA, f"-Dlog4j2.configurationFile={self.cluster.folder}/log4j2.properties", "-cp",
                                 f"{self.cluster.libs}/*", *command], cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)

    def format(self):
        return self.java("kafka.tools.StorageTool", "format", "-t", self.cluster.identity, "-c", "server.properties")

    def start(self):
        """Begins to start; started() waits for the end of it."""
        assert self.process is None
        self.process = self.java("kafka.Kafka", "server.properties")
        self.lines = Lines(self.process.stdout, f"broker {self.node}")
        return self

    def started(self):
        self.lines.find("Kafka Server started", PATIENCE)

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        for each in self.sockets.values():
            each.close()


class Cluster:
    """A context: everything that it started and wrote is gone at its end."""

    def __init__(self, folder=None):
        need_programs()
        self.libs = jars()
        self._temporary = tempfile.TemporaryDirectory(prefix="vodhook-kafka-", dir=folder)
        self.folder = pathlib.Path(self._temporary.name)
        self.identity = "dm9kaG9vay10ZXN0cy0xMA"
        self.brokers = []

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            (self.folder / "log4j2.properties").write_text(LOGGING)
            for node in range(1, BROKERS + 1):
                self.brokers.append(Broker(self, node))
            voters = ",".join(f"{b.node}@127.0.0.1:{b.port('controller')}" for b in self.brokers)
            for broker in self.brokers:
                broker.configure(voters)
            for formatting in [broker.format() for broker in self.brokers]:
                said, _ = formatting.communicate(timeout=PATIENCE)
                assert formatting.returncode == 0, said.decode()
            self.start()
            undo.pop_all()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for broker in self.brokers:
            broker.close()
        self._temporary.cleanup()

    def start(self):
        """Starts those that do not run, and waits until they serve."""
        for broker in [broker.start() for broker in self.brokers if not broker.process]:
            broker.started()

    def kill(self):
        """The whole cluster is down at once."""
        for broker in self.brokers:
            broker.kill()

    def servers(self, listener="plain"):
        return ",".join(f"127.0.0.1:{broker.port(listener)}" for broker in self.brokers)

    def kcat(self, *arguments, stdin=b"", patience=PATIENCE):
        return subprocess.run(["kcat", "-b", self.servers(), *arguments], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=patience)

    def partitions(self, topic):
        """What the cluster says of each partition: leader, replicas, isrs."""
        listed = self.kcat("-L", "-J", "-m", "5", "-t", topic)
        if listed.returncode:
            return []
        found = json.loads(listed.stdout)["topics"]
        return found[0]["partitions"] if found and "error" not in found[0] else []

    def make_topic(self, topic):
        """Six partitions, each on all brokers: a broker makes it when it is first asked for."""
        self.when_whole(topic)
        return topic

    def when_whole(self, topic):
        """Waits until every partition has a leader and each broker a copy of all that is in it."""
        def whole():
            partitions = self.partitions(topic)
            return partitions and all(p["leader"] > 0 and len(p["isrs"]) == BROKERS for p in partitions)
        wait_until(whole, f"all of {topic} on all brokers", PATIENCE)

    def kill_leader(self, topic, partition=0):
        """Kills the broker that leads a partition, waits until another does, and returns the dead one."""
        leader = self.leader(topic, partition)
        broker = self.brokers[leader - 1]
        broker.kill()
        wait_until(lambda: self.leader(topic, partition) not in (None, leader), "another leader", PATIENCE)
        return broker

    def leader(self, topic, partition=0):
        for each in self.partitions(topic):
            if each["partition"] == partition and each["leader"] > 0:
                return each["leader"]
        return None

    def read(self, topic):
        """Every message of the topic, in the order of each partition."""
        got = self.kcat("-C", "-q", "-e", "-o", "beginning", "-J", "-t", topic, "-X", "check.crcs=true")
        assert got.returncode == 0, got.stderr.decode()
        messages = []
        for line in got.stdout.decode().splitlines():
            m = json.loads(line)
            flat = m.get("headers", [])
            messages.append(Message(m["partition"], m["offset"], m["key"], dict(zip(flat[::2], flat[1::2])), m["payload"]))
        return messages

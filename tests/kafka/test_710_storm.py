"""Two receivers, one topic: forwarders are killed, leaders are killed, the whole cluster goes down, one event is larger
than Kafka may take. Every event is in the topic, those of a file in the order in which they were received."""

import contextlib
import json
import random
import threading
import time

from forwarding import LONG, PATIENCE, Forwarder, events_of, first_copies
from harness import request, upload

EVENTS = 20000
KEYS = 2000  # files
STORM = 300 if LONG else 50  # seconds over which the events arrive
DOWN = 70 if LONG else 8  # seconds without a cluster
KILLS = (0.4, 2.5)  # a forwarder lives that long
RATE = EVENTS * 3 / 4 / STORM  # events a second and receiver
ROUND = 25  # events between two looks at the clock
LIMIT = "message.max.bytes=4000000"
TOO_LARGE, LARGE = 5_000_000, 3_500_000  # bytes
TOO_LARGE_FILE, LARGE_FILE = "8000000000000000000", "8000000000000000001"


def receivers_of(key):
    """Half of the files are told to both, since VOD repeats what it thinks was not answered."""
    return ("a", "b") if key % 2 else ("a",) if key % 4 else ("b",)


def bodies_for(name):
    for n in range(EVENTS):
        if name in receivers_of(n % KEYS):
            yield upload(file_id=7000000000000000000 + n % KEYS, name=f"film-{n}.mp4")
    if name == "a":
        yield upload(file_id=TOO_LARGE_FILE, Filler="x" * TOO_LARGE)
        yield upload(file_id=LARGE_FILE, Filler="x" * LARGE)


class Poster(threading.Thread):
    """Delivers the events as VOD does, at a pace."""

    def __init__(self, receiver, name):
        super().__init__(daemon=True)
        self.receiver, self.bodies = receiver, bodies_for(name)
        self.failure = None
        self.never = threading.Event()

    def run(self):
        try:
            self.post_all()
        except BaseException as failure:  # told by done()
            self.failure = failure

    def post_all(self):
        began = time.monotonic()
        with self.receiver.connect() as client:
            for n, body in enumerate(self.bodies):
                assert client.send(request(body=body)).answer().status == 200
                if n % ROUND == 0:
                    self.never.wait(max(0, began + n / RATE - time.monotonic()))

    def done(self):
        self.join(PATIENCE + STORM)
        assert not self.is_alive() and self.failure is None, self.failure


class Killer(threading.Thread):
    """Kills a forwarder again and again, until it is told to end."""

    def __init__(self, forwarder, seed):
        super().__init__(daemon=True)
        self.forwarder, self.random = forwarder, random.Random(seed)
        self.kills = 0
        self.unexpected = []
        self.enough = threading.Event()

    def run(self):
        while not self.enough.is_set():
            self.forwarder.start()
            if self.forwarder.runs_for(self.random.uniform(*KILLS)):
                self.forwarder.kill()
                self.kills += 1
            else:
                self.unexpected.append(self.forwarder.process.returncode)

    def end(self):
        self.enough.set()
        self.join(PATIENCE)
        assert self.unexpected == [], self.forwarder.said()[-3000:]
        return self.kills


def rage(cluster, topic, posters):
    """Kills leaders one after the other, and in the middle everything. Returns how many leaders died."""
    kills, down = 0, False
    while any(poster.is_alive() for poster in posters):
        dead = cluster.kill_leader(topic, kills % 6)
        kills += 1
        dead.start().started()
        cluster.when_whole(topic)
        if not down and kills == 2:
            down = True
            cluster.kill()
            threading.Event().wait(DOWN)  # the length of the outage
            cluster.start()
            cluster.when_whole(topic)
    assert down
    return kills


def assert_order(inbox, keys):
    """What the topic has of each of the inbox's files is in the order of the inbox."""
    expected = {}
    for event, file_id in events_of(inbox):
        expected.setdefault(file_id, []).append(event)
    for key, ids in expected.items():
        wanted = set(ids)
        got = [m.headers["vod-event-id"] for m in keys.get(key, []) if m.headers["vod-event-id"] in wanted]
        assert got == [each for each in ids if each in set(got)], f"{key}: {got} instead of {ids}"
        assert len({m.partition for m in keys.get(key, [])}) <= 1


def test_nothing_is_lost_or_reordered(cluster, receiver):
    topic = cluster.make_topic("storm")
    receivers = {name: receiver(name) for name in "ab"}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        forwarders = {name: stack.enter_context(Forwarder(r.inbox, cluster.servers(), topic, "--set", LIMIT))
                      for name, r in receivers.items()}
        posters = [Poster(r, name) for name, r in receivers.items()]
        killers = [Killer(f, seed) for seed, f in enumerate(forwarders.values())]
        for thread in [*posters, *killers]:
            thread.start()
        leaders = rage(cluster, topic, posters)
        for poster in posters:
            poster.done()
        kills = sum(killer.end() for killer in killers)
        for forwarder in forwarders.values():
            ended = forwarder.once()
            assert ended.returncode == 0, ended.stderr

        inboxes = {name: events_of(r.inbox) for name, r in receivers.items()}
        ids = {event for events in inboxes.values() for event, _ in events}
        assert len(ids) == EVENTS + 2
        messages = cluster.read(topic)
        keys = first_copies(messages)
        dead = forwarders["a"].dead()
        assert [d["id"] for d in dead] == [event for event, file_id in inboxes["a"] if file_id == TOO_LARGE_FILE]
        assert "message.max.bytes" in json.dumps(dead)
        assert forwarders["b"].dead() == []
        assert {m.headers["vod-event-id"] for m in messages} == ids - {dead[0]["id"]}
        for r in receivers.values():
            assert_order(r.inbox, keys)
    sent = sum(len(events) for events in inboxes.values())
    print(f"{time.monotonic() - began:.0f} s: {leaders} leaders and {kills} forwarders killed, cluster down for {DOWN} s; "
          f"{sent} events handed on in {len(messages)} messages, {len(messages) - sent + 1} repeats")
    assert kills >= 10 and leaders >= 2

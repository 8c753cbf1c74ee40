"""Whatever a service does, and whoever is killed: no event is missing, and those of a file come in order."""

import os
import random
import subprocess
import threading
import time

import pytest
from forward import Forwarder, Service, status
from harness import SANITIZED, Client, request, upload, wait_until

LONG = os.environ.get("VODHOOK_LONG") == "1"
EVENTS = 4000 if LONG else 600
LANES = 40
CONNECTIONS = 8


def record(vodhook, n, start=0):
    """n events of LANES files, in which each has its number as its name."""
    with Client(vodhook.address) as client:
        for i in range(start, start + n):
            client.send(request(body=upload(f"lane{i % LANES}", name=f"{i:06}")))
            assert client.answer().status == 200


def missing(service, n):
    return n - len({post.json["name"] for post in service.taken})


def check(service, n):
    """All are there, the ids are those of their events, and without repeats each lane is in order."""
    assert missing(service, n) == 0
    ids, lanes = {}, {}
    for post in service.posts:
        assert ids.setdefault(post.json["name"], post.id) == post.id
    assert len(set(ids.values())) == n
    seen = set()
    for post in service.taken:
        if post.id not in seen:
            seen.add(post.id)
            lanes.setdefault(post.json["file_id"], []).append(post.json["name"])
    for lane, names in lanes.items():
        assert names == sorted(names), lane


def repeats(service):
    return len(service.taken) - len({post.id for post in service.taken})


def test_a_service_that_misbehaves_gets_every_event_in_order(start, tmp_path, ending):
    chance = random.Random(os.environ.get("VODHOOK_SEED"))
    lost_answers = []

    def answer(post):
        """One in three goes wrong in some way."""
        dice = chance.random()
        if dice > 0.33:
            return 200
        if dice < 0.03:
            time.sleep(1.2)  # longer than the timeout; the answer comes too late, though the service took it
            lost_answers.append(post)
            return 200
        return chance.choice([500, 502, (301, {"Location": "/elsewhere"}), (429, {"Retry-After": "1"}), (503, {}), 404, None])

    service = ending(Service(answer))
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, EVENTS // 2)
    # A schedule long enough that no event dies by chance.
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start", "--timeout", "1s",
                                 "--retry", ",".join(["20ms"] * 30)))
    record(vodhook, EVENTS // 2, start=EVENTS // 2)
    wait_until(lambda: missing(service, EVENTS) == 0, "every event", 120)
    wait_until(lambda: status(tmp_path / "inbox.db")["lag_events"] == 0, "the last answer")
    check(service, EVENTS)
    told = status(tmp_path / "inbox.db")
    assert told["dead"] == 0 and told["handed_on"] == EVENTS and told["retried"] > EVENTS // 10
    assert repeats(service) <= len(lost_answers)
    forwarder.stop()


def test_a_killed_forwarder_repeats_at_most_what_was_in_flight(start, tmp_path, ending):
    chance = random.Random(os.environ.get("VODHOOK_SEED"))
    service = ending(Service())
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    total, kills = 0, 30 if LONG else 12
    for i in range(kills):
        record(vodhook, 200, start=total)
        total += 200
        before = repeats(service)
        forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start"))
        time.sleep(chance.random() * 0.15)  # the moment of death, which nothing announces
        forwarder.kill()
        assert repeats(service) - before <= CONNECTIONS, "the repeats of the kill before"
    ending(Forwarder(tmp_path / "inbox.db", "http", service.url))
    wait_until(lambda: missing(service, total) == 0, "every event", 60)
    check(service, total)
    assert repeats(service) <= kills * CONNECTIONS


def test_one_slow_event_does_not_make_many_repeat(start, tmp_path, ending):
    """The cursor cannot pass the slow one, yet those behind it are done."""
    stuck = threading.Event()
    service = ending(Service(lambda post: stuck.wait(20) and 200 if post.json["name"] == "000000" else 200))
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, 400)
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start"))
    service.wait_for(390, "taken")  # all but the rest of its lane
    time.sleep(0.1)  # for the last answers, of which nothing tells
    forwarder.kill()
    stuck.set()
    before = len(service.taken)
    ending(Forwarder(tmp_path / "inbox.db", "http", service.url))
    wait_until(lambda: missing(service, 400) == 0, "every event", 30)
    time.sleep(0.2)  # for what must not come
    assert len(service.taken) - before <= 10 + CONNECTIONS
    assert repeats(service) <= CONNECTIONS


def test_a_service_that_dies_and_comes_back(start, tmp_path, ending):
    service = Service()
    port = service.port
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, EVENTS)
    ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start", "--retry", ",".join(["50ms"] * 60)))
    posts, taken = [], []
    for _ in range(4):
        wait_until(lambda: len(service.posts) >= EVENTS // 10, "some posts")
        service.close()
        posts, taken = service.posts, service.taken
        time.sleep(0.3)  # in which nobody answers
        service = Service(port=port)
        service.posts, service.taken = posts, taken
    ending(service)
    wait_until(lambda: missing(service, EVENTS) == 0, "every event", 60)
    check(service, EVENTS)


def test_a_lane_that_fails_is_held_as_a_whole_and_others_go_on(start, tmp_path, ending):
    broken = [True]
    service = ending(Service(lambda post: 500 if broken and post.json["file_id"] == "lane7" else 200))
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start", "--retry",
                                 ",".join(["400ms"] * 60)))
    record(vodhook, EVENTS)
    others = EVENTS - EVENTS // LANES
    service.wait_for(others, "taken")
    assert len(service.taken) == others
    told = wait_until(lambda: status(tmp_path / "inbox.db"), "the status")
    assert told["held"] == told["lag_events"] == EVENTS // LANES and told["cursor"] == EVENTS
    forwarder.stop()
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--retry", ",".join(["400ms"] * 60)))
    broken.clear()
    service.wait_for(EVENTS, "taken")
    check(service, EVENTS)


def test_too_many_lanes_make_the_target_wait_and_it_says_so(start, tmp_path, ending):
    broken = [True]
    service = ending(Service(lambda post: 500 if broken else 200))
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, 300)
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start", "--lanes-held", "10",
                                 "--retry", ",".join(["300ms"] * 60)))
    forwarder.err.find("the target as a whole waits")
    assert len({post.json["file_id"] for post in service.posts}) <= 10 + CONNECTIONS
    broken.clear()
    forwarder.err.find("going on")
    service.wait_for(300, "taken")
    check(service, 300)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's memory is not the program's")
def test_memory_is_bounded_whatever_the_size_of_events(start, tmp_path, ending):
    service = ending(Service())
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    with Client(vodhook.address) as client:
        for i in range(10):
            client.send(request(body=upload(f"big{i}", name=f"{i:06}", SourceContext="x" * 7_900_000)))
            assert client.answer().status == 200
        for i in range(10, 2000):
            client.send(request(body=upload(f"small{i}", name=f"{i:06}")))
            assert client.answer().status == 200
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start"))
    wait_until(lambda: missing(service, 2000) == 0, "every event", 60)
    with open(f"/proc/{forwarder.process.pid}/status") as lines:
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    assert peak <= 40 * 1024, f"{peak} KiB"


def test_an_idle_forwarder_uses_no_cpu_and_a_new_event_leaves_at_once(start, tmp_path, ending):
    service = ending(Service())
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, 1)
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start"))
    service.wait_for(1)
    times = []
    with Client(vodhook.address) as client:
        for i in range(40):
            client.send(request(body=upload(f"f{i}", name=f"{i:06}")))
            assert client.answer().status == 200
            answered = time.monotonic()
            times.append(service.wait_for(i + 2)[-1].time - answered)
            time.sleep(0.02)  # idle again
    assert sorted(times)[20] < (0.1 if SANITIZED else 0.01), sorted(times)

    def ticks():
        with open(f"/proc/{forwarder.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

    time.sleep(1)  # until nothing stirs
    before = ticks()
    time.sleep(3)
    assert ticks() - before <= 1


def test_strace_shows_that_nothing_is_polled(start, tmp_path, ending):
    """A tenth of a second between looks would be thirty wakes here."""
    if subprocess.run(["strace", "-V"], stdout=subprocess.DEVNULL).returncode:
        pytest.skip("no strace")
    service = ending(Service())
    vodhook = start(inbox=tmp_path / "inbox.db", output="none")
    record(vodhook, 1)
    forwarder = ending(Forwarder(tmp_path / "inbox.db", "http", service.url, "--from", "start"))
    service.wait_for(1)
    time.sleep(9)  # the looks after a write come ever more seldom
    trace = tmp_path / "trace"
    subprocess.run(["timeout", "3", "strace", "-f", "-e", "trace=epoll_wait,epoll_pwait2,epoll_pwait", "-o", trace, "-p",
                    str(forwarder.process.pid)], stderr=subprocess.DEVNULL)
    assert len(trace.read_text().splitlines()) < 12

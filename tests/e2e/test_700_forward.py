"""Events reach a service: each once while all is well, in order, with the headers that a service needs."""

import contextlib
import json
import os
import re
import time

import pytest
from forward import Forwarder, Service, command, status
from harness import Client, request, upload, wait_until
from inbox import change


@pytest.fixture
def service(ending):
    return ending(Service())


def fill(vodhook, n, start=0, file_id=None, size=0):
    with Client(vodhook.address) as client:
        for i in range(start, start + n):
            more = {"SourceContext": "x" * size} if size else {}
            client.send(request(body=upload(file_id or f"{i:05}", name=f"n{i:05}", **more)))
            assert client.answer().status == 200


def test_what_is_recorded_is_posted(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 50)
    ending(Forwarder(inbox, "http", service.url, "--from", "start"))
    service.wait_for(50)
    fill(vodhook, 5, start=50)
    posts = service.wait_for(55)
    assert sorted(service.names()) == [f"n{i:05}" for i in range(55)]
    one = posts[0]
    assert one.headers["content-type"] == "application/json"
    assert one.headers["vodhook-type"] == "NewFileUpload" and one.headers["vodhook-attempt"] == "1"
    assert one.headers["vodhook-file-id"] == one.json["file_id"]
    assert one.id == one.json["id"] and re.fullmatch("[0-9a-f]{64}", one.id)
    assert one.json["format"] == 1 and abs(int(one.headers["webhook-timestamp"]) - time.time()) < 60
    wait_until(lambda: status(inbox)["handed_on"] == 55, "the count")
    assert status(inbox) == {**status(inbox), "state": "running", "cursor": 55, "lag_events": 0, "retried": 0, "dead": 0,
                             "let_go": 0, "last_error": None}


def test_a_new_target_begins_now_where_it_is_told(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 10)
    forwarder = ending(Forwarder(inbox, "http", service.url))
    wait_until(lambda: status(inbox)["cursor"] == 10, "the beginning")
    fill(vodhook, 1, start=10)
    service.wait_for(1)
    forwarder.stop()
    fill(vodhook, 1, start=11)  # what comes while it is stopped waits
    assert status(inbox)["state"] == "stopped" and status(inbox)["lag_events"] == 1
    ending(Forwarder(inbox, "http", service.url))
    service.wait_for(2)
    assert service.names() == ["n00010", "n00011"]
    event = json.loads(service.posts[0].body)["id"]
    for where, n in (("start", 12), ("5", 8), ("now", 0), (event, 2), ("-1h", 12), ("2030-01-01", 0)):
        done = command(inbox, "none", "--from", where, "--once", "--name", f"w{n}{len(where)}")
        assert done.returncode == 0, done.stderr
        assert status(inbox, f"w{n}{len(where)}")["handed_on"] == n, where


def test_filters_choose_and_the_refused_are_not_handed_on(start, inbox, service):
    vodhook = start("--path=/secret", inbox=inbox, output="none")
    vodhook.post(upload("1", name="believed"), target="/secret")
    vodhook.post(upload("2", name="refused"), target="/other")
    vodhook.post(b'{"EventType":"FileDeleted","FileDeleteEvent":{"FileIdSet":["1","7"]}}', target="/secret")

    def handed_on(*options):
        name = f"f{len(os.listdir(inbox.parent / 'forward')) if (inbox.parent / 'forward').exists() else 0}"
        assert command(inbox, "none", "--from", "start", "--once", "--name", name, *options).returncode == 0
        return status(inbox, name)["handed_on"]

    assert handed_on() == 2
    assert handed_on("--trust", "refused") == 1
    assert handed_on("--trust", "refused", "--trust", "unchecked", "--trust", "verified") == 3
    assert handed_on("--type", "FileDeleted") == 1
    assert handed_on("--type", "FileDeleted", "--type", "NewFileUpload") == 2
    assert handed_on("--file-id", "7") == 1
    assert handed_on("--source", "pull") == 0
    assert handed_on("--result", "failed") == 0


def test_a_lane_waits_for_its_retry_and_holds_only_itself(start, inbox, ending):
    failed = []

    def answer(post):
        if post.json["name"] == "n00003" and len(failed) < 2:
            failed.append(post)
            return 500
        return 200

    service = ending(Service(answer))
    vodhook = start(inbox=inbox, output="none")
    for i in range(12):
        fill(vodhook, 1, start=i, file_id=f"lane{i % 3}")
    ending(Forwarder(inbox, "http", service.url, "--from", "start", "--retry", "300ms,300ms"))
    service.wait_for(12, "taken")
    lanes = {}
    for post in service.taken:
        lanes.setdefault(post.json["file_id"], []).append(post.json["name"])
    assert all(names == sorted(names) for names in lanes.values())
    assert len(service.posts) == 14
    third = [post for post in service.posts if post.json["name"] == "n00003"]
    assert [post.headers["vodhook-attempt"] for post in third] == ["1", "2", "3"]
    assert len({post.id for post in third}) == 1
    assert service.names()[:9] == [n for n in service.names() if n not in lanes["lane0"][1:]]
    for gap in (third[1].time - third[0].time, third[2].time - third[1].time):
        assert 0.29 < gap < 0.6


def test_an_event_that_no_attempt_helps_is_a_dead_letter(start, inbox, ending):
    broken = [True]
    service = ending(Service(lambda post: 500 if broken and post.json["name"] == "n00000" else 200))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 3, file_id="one")
    forwarder = ending(Forwarder(inbox, "http", service.url, "--from", "start", "--retry", "50ms,50ms"))
    service.wait_for(2, "taken")
    assert service.names() == ["n00001", "n00002"] and len(service.posts) == 5
    forwarder.err.find("dead letter after 3 attempts, the last: HTTP 500")
    assert status(inbox)["dead"] == 1 and status(inbox)["retried"] == 2
    letter, = [json.loads(line) for line in command(inbox, "--dead", "t", "--output", "json").stdout.splitlines()]
    assert (letter["attempts"], letter["error"], letter["key"], letter["target"]) == (3, "HTTP 500", "one", "t")
    assert letter["first"] <= letter["last"]
    broken.clear()
    assert command(inbox, "--retry-dead", "t", letter["id"]).returncode == 0
    service.wait_for(3, "taken")
    assert service.taken[-1].id == letter["id"]
    wait_until(lambda: status(inbox)["held"] == 0, "nothing to be held")
    assert command(inbox, "--dead", "t").stdout == ""


def test_letters_are_dropped_only_when_that_is_confirmed(start, inbox, ending):
    service = ending(Service(lambda post: 400))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 2)
    assert command(inbox, "http", service.url, "--from", "start", "--retry", "none", "--once", "--name", "t").returncode == 0
    ids = [line.split()[0] for line in command(inbox, "--dead", "t").stdout.splitlines()]
    assert len(ids) == 2
    assert command(inbox, "--drop-dead", "t", "--yes").returncode == 2  # all of them is asked for by name
    assert command(inbox, "--drop-dead", "t", ids[0]).returncode == 1
    assert status(inbox)["dead"] == 2
    assert command(inbox, "--drop-dead", "t", ids[0], "--yes").returncode == 0
    assert [line.split()[0] for line in command(inbox, "--dead", "t").stdout.splitlines()] == [ids[1]]


@pytest.mark.parametrize("code", [301, 302, 307, 400, 404, 500, 502])
def test_all_but_2xx_is_tried_again_and_nothing_is_followed(start, inbox, ending, code):
    other = ending(Service())
    service = ending(Service(lambda post: 204 if len(service.posts) > 1 else (code, {"Location": other.url})))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 1)
    ending(Forwarder(inbox, "http", service.url, "--from", "start", "--retry", "100ms"))
    service.wait_for(1, "taken")
    assert len(service.posts) == 2 and not other.posts
    assert f"HTTP {code}" in status(inbox)["last_error"]


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_heeded(start, inbox, ending, code):
    service = ending(Service(lambda post: 200 if len(service.posts) > 1 else (code, {"Retry-After": "1"})))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 1)
    ending(Forwarder(inbox, "http", service.url, "--from", "start", "--retry", "10m"))
    first, second = service.wait_for(2)
    assert 0.9 < second.time - first.time < 3


def test_410_pauses_and_resume_goes_on(start, inbox, ending):
    gone = [True]
    service = ending(Service(lambda post: 410 if gone else 200))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 3)
    forwarder = ending(Forwarder(inbox, "http", service.url, "--from", "start", "--connections", "1"))
    forwarder.err.find("wants no more events and is paused: HTTP 410")
    wait_until(lambda: status(inbox)["state"] == "paused", "the pause")
    assert "410" in status(inbox)["paused_why"] and len(service.posts) == 1
    gone.clear()
    assert command(inbox, "--resume", "t").returncode == 0
    service.wait_for(3, "taken")


def test_a_paused_target_keeps_its_place(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    ending(Forwarder(inbox, "http", service.url, "--from", "start"))
    fill(vodhook, 1)
    service.wait_for(1)
    assert command(inbox, "--pause", "t").returncode == 0
    wait_until(lambda: status(inbox)["state"] == "paused", "the pause")
    time.sleep(0.2)  # for it to hear of that, of which nothing tells
    fill(vodhook, 5, start=1)
    time.sleep(0.3)  # for what must not come
    assert len(service.posts) == 1 and status(inbox)["lag_events"] == 5
    begun = time.monotonic()
    assert command(inbox, "--resume", "t").returncode == 0
    service.wait_for(6)
    assert time.monotonic() - begun < 1.5
    assert sorted(service.names()) == [f"n{i:05}" for i in range(6)]


def test_pausing_works_while_nothing_runs(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 2)
    ending(Forwarder(inbox, "http", service.url, "--from", "start", "--paused")).stop()
    assert status(inbox)["paused_since"] and not service.posts
    assert command(inbox, "--resume", "t").returncode == 0
    assert command(inbox, "http", service.url, "--name", "t", "--once").returncode == 0
    assert len(service.taken) == 2


def test_a_replay_has_the_same_ids_and_says_that_it_is_one(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 6)
    ending(Forwarder(inbox, "http", service.url, "--from", "start"))
    service.wait_for(6)
    wait_until(lambda: status(inbox)["cursor"] == 6, "the cursor")
    dry = command(inbox, "--replay", "t", "--file-id", "00002", "--file-id", "00004", "--dry-run")
    assert "2 events would be" in dry.stderr and len(dry.stdout.splitlines()) == 2
    assert len(service.posts) == 6
    assert command(inbox, "--replay", "t", "--file-id", "00002", "--file-id", "00004").returncode == 0
    again = service.wait_for(8)[6:]
    before = {post.json["name"]: post for post in service.posts[:6]}
    for post in again:
        assert post.headers["vodhook-replay"] == "yes"
        assert post.id == before[post.json["name"]].id and post.body == before[post.json["name"]].body
    assert command(inbox, "--replay", "t", again[0].id).returncode == 0
    assert service.wait_for(9)[8].id == again[0].id
    assert "0 events" in command(inbox, "--replay", "t", "--since", "2030-01-01").stdout


def test_what_the_inbox_let_go_is_counted(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 1)
    ending(Forwarder(inbox, "http", service.url, "--from", "start")).stop()
    fill(vodhook, 9, start=1)
    change(inbox, "DELETE FROM event WHERE id <= 5")
    forwarder = ending(Forwarder(inbox, "http", service.url))
    service.wait_for(6)
    forwarder.err.find("4 events were not handed on")
    wait_until(lambda: status(inbox)["let_go"] == 4, "the count")
    assert sorted(service.names()) == [f"n{i:05}" for i in (0, 5, 6, 7, 8, 9)]


def test_a_held_event_that_is_let_go_is_counted_and_its_lane_goes_on(start, inbox, ending):
    service = ending(Service(lambda post: 500 if len(service.posts) == 1 else 200))
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 2, file_id="one")
    ending(Forwarder(inbox, "http", service.url, "--from", "start", "--retry", "400ms"))
    service.wait_for(1)
    change(inbox, "DELETE FROM event WHERE id = 1")
    service.wait_for(1, "taken")
    assert service.names() == ["n00001"]
    wait_until(lambda: status(inbox)["let_go"] == 1, "the count")


def test_another_inbox_in_its_place_is_noticed(start, inbox, service, ending):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 5)
    forwarder = ending(Forwarder(inbox, "http", service.url, "--from", "start"))
    service.wait_for(5)
    vodhook.stop()
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{inbox}{suffix}", f"{inbox}.aside{suffix}")
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 2, start=100)
    service.wait_for(7)
    forwarder.err.find("Another inbox stands in the place")
    assert sorted(service.names()[5:]) == ["n00100", "n00101"]
    fill(vodhook, 1, start=102)
    service.wait_for(8)


def test_it_waits_for_an_inbox(start, inbox, service, ending):
    forwarder = ending(Forwarder(inbox, "http", service.url))
    forwarder.err.find("There is no inbox")
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 3)
    service.wait_for(3)


def test_two_of_one_name_do_not_run_together(start, inbox, service, ending):
    ending(Forwarder(inbox, "http", service.url))
    done = command(inbox, "http", service.url, "--name", "t")
    assert done.returncode == 1 and "Another vodhook forward hands on to t already" in done.stderr
    ending(Forwarder(inbox, "http", service.url, name="u"))
    listed = command(inbox, "--status").stdout
    assert "t: http" in listed and "u: http" in listed


def test_raw_and_cloudevents(start, inbox, service):
    vodhook = start(inbox=inbox, output="none")
    body = b'{"EventType": "NewFileUpload",\n "SubAppId": 1500000001, "FileUploadEvent":{"FileId":"5"}}'
    vodhook.post(body)
    for n, options in enumerate((["--format", "raw"], ["--format", "cloudevents"],
                                 ["--format", "cloudevents", "--cloudevents", "structured"])):
        done = command(inbox, "http", service.url, *options, "--from", "start", "--once", "--name", f"t{n}")
        assert done.returncode == 0, done.stderr
    raw, binary, structured = service.posts
    assert raw.body == body
    attributes = {name[3:]: value for name, value in binary.headers.items() if name.startswith("ce-")}
    assert attributes == {"specversion": "1.0", "id": binary.id, "type": "com.tencent.vod.NewFileUpload",
                          "source": attributes["source"], "subject": "5", "time": binary.json["time"]}
    assert attributes["source"].startswith("/tencent/vod")
    whole = structured.json
    assert structured.headers["content-type"].startswith("application/cloudevents+json")
    assert whole.pop("data") == binary.json and whole.pop("datacontenttype") == "application/json"
    assert whole == attributes


def test_headers_token_and_a_file(start, inbox, service, tmp_path):
    vodhook = start(inbox=inbox, output="none")
    fill(vodhook, 1)
    token, conf = tmp_path / "token", tmp_path / "t.conf"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    conf.write_text(f"# a service\ntarget = http {service.url}\nheader = X-One: 1\nheader = \"X-Two: a, b\"\n"
                    f"token-file = {token}\nfrom = start\n")
    assert command(inbox, "--config", str(conf), "--name", "t", "--once").returncode == 0
    headers = service.posts[0].headers
    assert (headers["x-one"], headers["x-two"], headers["authorization"]) == ("1", "a, b", "Bearer s3cret")
    assert "s3cret" not in command(inbox, "--config", str(conf), "--name", "t", "--dump-config").stdout
    conf.write_text("target = ftp://x\nretry = soon\nconnections = 0\nheader = oops\nwhat = 1\n")
    done = command(inbox, "--config", str(conf), "--name", "t")
    assert done.returncode == 78
    for line in range(1, 6):
        assert f"{conf}:{line}:" in done.stderr


def test_check_says_what_is_wrong(inbox, service):
    assert command(inbox, "http", service.url, "--check").returncode == 0
    assert not service.posts
    service.close()
    done = command(inbox, "http", service.url, "--check")
    assert done.returncode == 1 and "cannot be reached" in done.stderr
    assert command(inbox, "--check", "exec", "/no/such/program").returncode == 78
    for wrong in (["http"], ["ftp", "x"], ["http", "x"], ["exec"], ["kafka", "a"], ["none", "a"], []):
        assert command(inbox, *wrong).returncode == 2, wrong

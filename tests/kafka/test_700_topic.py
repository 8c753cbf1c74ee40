"""What vodhook forward kafka puts into a topic, and what --check says, on brokers that are well."""

import json
import re

import pytest

from cluster import PASSWORD, USER
from forwarding import Forwarder, events_of
from harness import upload

TASK = json.dumps({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": {
    "TaskId": "1500000001-Procedure-3f1ctt", "Status": "FINISH", "ErrCode": 0, "Message": "SUCCESS", "FileId": "",
    "MediaProcessResultSet": []}}).encode()


@pytest.fixture
def forward(cluster, receiver, tmp_path):
    """Records the bodies in an inbox and hands them on once. Returns what ended, the inbox, and what is in the topic."""
    made = []

    def one(topic, bodies, *options, servers=None):
        cluster.make_topic(topic)
        r = receiver(topic)
        for body in bodies:
            r.post(body)
        forwarder = Forwarder(r.inbox, servers or cluster.servers(), topic, *options)
        made.append(forwarder)
        return forwarder, forwarder.once(), cluster.read(topic)

    yield one
    for each in made:
        each.close()


def secret(tmp_path, text):
    path = tmp_path / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def sasl(path, user=USER):
    return ("--set", "security.protocol=SASL_PLAINTEXT", "--set", "sasl.mechanism=PLAIN", "--set", f"sasl.username={user}",
            "--set-file", f"sasl.password={path}")


def test_an_event_has_key_and_headers(forward):
    forwarder, ended, messages = forward("format-1", [upload(), TASK])
    assert ended.returncode == 0, ended.stderr
    by_type = {m.headers["vod-event-type"]: m for m in messages}
    uploaded, task = by_type["NewFileUpload"], by_type["ProcedureStateChanged"]
    assert uploaded.key == "5285890784246869930" and task.key == "1500000001-Procedure-3f1ctt"
    body = json.loads(uploaded.body)
    assert body["format"] == 1 and body["id"] == uploaded.headers["vod-event-id"]
    assert uploaded.headers["vod-result"] == "ok" == body["result"]
    assert uploaded.headers["content-type"] == "application/json"
    assert [uploaded.headers["vod-event-id"]] == [event for event, _ in events_of(forwarder.inbox)]


def test_a_cloudevent_has_its_attributes_in_headers(forward):
    _, ended, [message] = forward("cloudevents", [upload()], "--format", "cloudevents")
    assert ended.returncode == 0, ended.stderr
    assert message.headers["ce_specversion"] == "1.0"
    assert message.headers["ce_type"] == "com.tencent.vod.NewFileUpload"
    assert message.headers["ce_subject"] == "5285890784246869930"
    assert message.headers["ce_id"] == message.headers["vod-event-id"]


def test_a_structured_cloudevent_is_all_in_the_body(forward):
    _, ended, [message] = forward("structured", [upload()], "--format", "cloudevents", "--cloudevents", "structured")
    assert ended.returncode == 0, ended.stderr
    assert message.headers["content-type"].startswith("application/cloudevents+json")
    assert json.loads(message.body)["id"] == message.headers["vod-event-id"]
    assert not any(name.startswith("ce_") for name in message.headers)


def test_raw_is_what_vod_sent(forward):
    _, ended, [message] = forward("raw", [upload()], "--format", "raw")
    assert ended.returncode == 0, ended.stderr
    assert message.body.encode() == upload()


def test_java_places_a_key_in_the_same_partition(cluster, forward):
    """kcat by the partitioner of Java's clients, beside ours."""
    _, ended, messages = forward("partitions", [upload(file_id=9000 + n) for n in range(40)])
    assert ended.returncode == 0, ended.stderr
    cluster.make_topic("partitions-kcat")
    cluster.kcat("-P", "-t", "partitions-kcat", "-K", ":", "-X", "topic.partitioner=murmur2_random",
                 stdin="".join(f"{m.key}:x\n" for m in messages).encode())
    placed = {m.key: m.partition for m in cluster.read("partitions-kcat")}
    assert {m.key: m.partition for m in messages} == placed
    assert len(set(placed.values())) > 1


def test_one_that_is_too_large_is_dead_and_the_others_are_not(forward):
    bodies = [upload(name=f"a{n}.mp4", Filler="x" * (50_000 if n == 3 else 10)) for n in range(6)]
    forwarder, ended, messages = forward("too-large", bodies, "--set", "message.max.bytes=20000")
    [dead] = forwarder.dead()
    ids = [event for event, _ in events_of(forwarder.inbox)]
    assert dead["id"] == ids[3]
    assert [m.headers["vod-event-id"] for m in messages] == ids[:3] + ids[4:]


def test_one_that_the_broker_refuses_is_dead_and_the_others_keep_their_order(forward):
    """The brokers take 6 MB; the refused one stands among others of its partition."""
    bodies = [upload(name=f"b{n}.mp4", Filler="x" * (7_000_000 if n == 5 else 10)) for n in range(12)]
    forwarder, ended, messages = forward("refused", bodies, "--set", "message.max.bytes=9000000", "--set",
                                         "compression.codec=none")
    [dead] = forwarder.dead()
    ids = [event for event, _ in events_of(forwarder.inbox)]
    assert dead["id"] == ids[5] and "too large" in json.dumps(dead), (dead, ended.stderr)
    assert [m.headers["vod-event-id"] for m in messages] == ids[:5] + ids[6:]


def test_without_idempotence_the_order_is_kept(forward):
    bodies = [upload(file_id=100 + n % 3, name=f"c{n}.mp4") for n in range(60)]
    forwarder, ended, messages = forward("plain", bodies, "--set", "enable.idempotence=false")
    assert ended.returncode == 0, ended.stderr
    wanted = {}
    for event, file_id in events_of(forwarder.inbox):
        wanted.setdefault(file_id, []).append(event)
    got = {}
    for m in messages:
        got.setdefault(m.key, []).append(m.headers["vod-event-id"])
    assert got == wanted


# --- CKafka's way to log in -----------------------------------------------------------------------------------

def test_events_go_through_ckafkas_login(cluster, forward, tmp_path):
    path = secret(tmp_path, PASSWORD)
    _, ended, messages = forward("sasl", [upload()], *sasl(path), servers=cluster.servers("sasl"))
    assert ended.returncode == 0, ended.stderr
    assert len(messages) == 1


def test_check_logs_in_and_looks_for_the_topic(cluster, forward, tmp_path):
    forwarder, _, _ = forward("checked", [upload()])
    path = secret(tmp_path, PASSWORD)
    checked = forwarder.run("kafka", cluster.servers("sasl"), "checked", "--check", *sasl(path))
    assert checked.returncode == 0, checked.stderr
    assert "6 partitions on a cluster of 3 brokers" in checked.stderr + checked.stdout
    missing = forwarder.run("kafka", cluster.servers("sasl"), "no-such-topic", "--check", *sasl(path))
    assert missing.returncode != 0 and "knows no topic no-such-topic" in missing.stderr
    assert b"no-such-topic" not in cluster.kcat("-L", "-J").stdout  # nor did the look make it
    limited = forwarder.run("kafka", cluster.servers(), "checked", "--check")
    assert limited.returncode == 0 and "at most 6000000 bytes" in limited.stderr


def test_check_says_that_the_password_is_wrong(cluster, forward, tmp_path):
    forwarder, _, _ = forward("refusing", [upload()])
    path = secret(tmp_path, "another")
    refused = forwarder.run("kafka", cluster.servers("sasl"), "refusing", "--check", *sasl(path))
    assert refused.returncode != 0
    assert re.search(r"[Aa]uthentication failed", refused.stderr), refused.stderr
    assert "another" not in refused.stderr + refused.stdout


def test_a_secret_on_the_command_line_is_refused(forward):
    forwarder, _, _ = forward("argv", [upload()])
    refused = forwarder.run("kafka", "127.0.0.1:1", "argv", "--set", "sasl.password=hunter2", "--check")
    assert refused.returncode == 2 and "--set-file" in refused.stderr

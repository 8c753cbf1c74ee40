"""vodhook forward beside a cluster, and what its inbox holds."""

import json
import os
import signal
import subprocess
import tempfile

from harness import PROGRAM, WAIT, environment
from inbox import ask

PATIENCE = 120  # seconds for all that is in an inbox to reach a cluster that is well


class Forwarder:
    """vodhook forward kafka, of one inbox to one topic."""

    def __init__(self, inbox, servers, topic, *options, name="topic"):
        self.folder = tempfile.TemporaryDirectory(prefix="vodhook-kafka-")
        self.inbox, self.name = inbox, name
        self.arguments = ["kafka", servers, topic, "--name", name, "--inbox", str(inbox), "--from", "start", *options]
        self.errors = open(f"{self.folder.name}/stderr", "ab")
        self.process = None

    def command(self, *arguments):
        return [PROGRAM, "forward", *arguments]

    def run(self, *arguments, patience=WAIT):
        return subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=patience, env=environment(self.folder.name))

    def start(self):
        self.process = subprocess.Popen(self.command(*self.arguments), stdin=subprocess.DEVNULL, stdout=self.errors,
                                        stderr=self.errors, env=environment(self.folder.name))
        return self

    def runs_for(self, seconds):
        """Whether it still runs after that time: the pace of whoever kills it."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait()

    def once(self, *more, patience=PATIENCE):
        """Hands on what is there, and ends."""
        return self.run(*self.arguments, "--once", *more, patience=patience)

    def status(self):
        shown = self.run("--status", self.name, "--inbox", str(self.inbox), "--output", "json")
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout.splitlines()[0])

    def dead(self):
        shown = self.run("--dead", self.name, "--inbox", str(self.inbox), "--output", "json")
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def said(self):
        self.errors.flush()
        with open(self.errors.name, encoding="utf-8") as f:
            return f.read()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.errors.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def events_of(inbox):
    """The uploads of the inbox in its order: (id, file id). The id of one is its digest."""
    rows = ask(inbox, "SELECT lower(hex(digest)), body FROM event WHERE type = 'NewFileUpload' ORDER BY id")
    return [(digest, json.loads(body)["FileUploadEvent"]["FileId"]) for digest, body in rows]


def first_copies(messages):
    """The messages without those whose id came before, as a consumer drops them, by key in the order of the topic."""
    seen, keys = set(), {}
    for m in messages:
        if m.headers["vod-event-id"] not in seen:
            seen.add(m.headers["vod-event-id"])
            keys.setdefault(m.key, []).append(m)
    return keys


LONG = os.environ.get("VODHOOK_LONG") == "1"

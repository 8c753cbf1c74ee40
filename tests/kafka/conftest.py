"""Fixtures: brokers that a file of stories shares, receivers with an inbox, and forwarders."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import cluster as kafka  # noqa: E402
from harness import Vodhook  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Where there can be none the stories are skipped; in CI they fail."""
    try:
        brokers = kafka.Cluster()
    except kafka.Unavailable as why:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Kafka here: {why}")
    with brokers:
        yield brokers


@pytest.fixture
def receiver(tmp_path):
    """Starts receivers, each with an inbox in a folder of its own: inbox_of(name)."""
    with contextlib.ExitStack() as running:

        def start_one(name, *options):
            (tmp_path / name).mkdir(exist_ok=True)
            one = Vodhook(*options, output="none", inbox=str(tmp_path / name / "inbox.db"))
            one.inbox = tmp_path / name / "inbox.db"
            running.callback(one.close)
            return one

        yield start_one

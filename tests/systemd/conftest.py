"""Fixtures: the tree installed into a staged root, and boxes that boot on it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from box import TREE, Box, make, set_netns, why_not  # noqa: E402

sys.path.insert(0, str(TREE / "tests/fakevod"))
import fakevod  # noqa: E402


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    """A root that everything has been installed into."""
    root = tmp_path_factory.mktemp("stage")
    make("install", f"DESTDIR={root}")
    return root


@pytest.fixture(scope="session")
def box_possible():
    if reason := why_not():
        pytest.skip(f"no systemd to boot: {reason}")


@pytest.fixture(scope="module")
def bare_box(box_possible, stage):
    """A booted system that vodhook is installed on, and neither enabled nor started."""
    box = Box(stage)
    try:
        box.run("systemd-sysusers")
        box.run("chgrp", "vodhook", "/etc/vodhook.conf")
        box.run("journalctl", "--update-catalog")
        yield box
    finally:
        box.close()


@pytest.fixture(scope="module")
def box(bare_box):
    """The same with the service running."""
    bare_box.systemctl("enable", "--now", "vodhook")
    return bare_box


@pytest.fixture(scope="module")
def vod(box):
    """A VOD of our own in the box's network, and the settings to use it."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        set_netns(box.netns)
        service = fakevod.FakeVod(long_poll=1, rate=10 ** 6)
    finally:
        set_netns(own)
        os.close(own)
    store = box.root / "etc/credstore"
    store.mkdir(exist_ok=True)
    for name, value in ("secret-id", service.secret_id), ("secret-key", service.secret_key):
        key = store / f"vodhook.{name}"
        key.touch(mode=0o600)
        key.write_text(value + "\n")
    (box.root / "etc/vodhook.conf").write_text(f"endpoint = {service.endpoint}\n")
    yield service
    service.close()


@pytest.fixture(autouse=True)
def explain(request):
    """What the journal of the box says, where a test fails."""
    yield
    report = getattr(request.node, "report", None)
    if report and report.failed and "bare_box" in request.fixturenames:
        found = request.getfixturevalue("bare_box").run("journalctl", "--no-pager", "--lines=40", check=False)
        print(found.stdout)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report = outcome.get_result()

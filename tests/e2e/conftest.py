"""Fixtures: the program, started as each story needs it and ended with it."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness import Vodhook  # noqa: E402


@pytest.fixture
def start():
    """Starts the program with options of vodhook listen; see Vodhook."""
    with contextlib.ExitStack() as running:

        def start_one(*options, **more):
            one = Vodhook(*options, **more)
            running.callback(one.close)
            return one

        yield start_one


@pytest.fixture
def vodhook(start):
    """One that runs with the defaults of Vodhook."""
    return start()


@pytest.fixture
def inbox(tmp_path):
    return tmp_path / "inbox.db"


@pytest.fixture
def ending():
    """Closes what is given to it, the last first."""
    with contextlib.ExitStack() as stack:
        yield lambda thing: stack.callback(thing.close) and thing

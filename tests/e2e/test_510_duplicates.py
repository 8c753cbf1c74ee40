"""Twice is once: however an event is spelled, and however late it comes again, it is one row; what says something else is
another."""

import json
import random

import pytest
from harness import TREE
from inbox import ask, change

EVENTS = sorted((TREE / "tests/fixtures/events").rglob("*.json"))


class Number(str):
    """A number as it was spelled."""


class Members(list):
    """An object as the list of its members, so that a name may come twice."""


def read(text):
    """A tree that loses nothing of a JSON text."""
    return json.loads(text, object_pairs_hook=Members, parse_int=Number, parse_float=Number)


class Spelling:
    """Writes a tree in a way of its own."""

    def __init__(self, seed=0, space=False, escape=False, shuffle=False, nulls=False):
        self.random = random.Random(seed)
        self.space, self.escape, self.shuffle, self.nulls = space, escape, shuffle, nulls

    def gap(self):
        return self.random.choice(["", " ", "\n", "\t ", "\r\n"]) if self.space else ""

    def string(self, text):
        if not self.escape:
            return json.dumps(text, ensure_ascii=False)
        return '"' + "".join(self.escaped(c) for c in text) + '"'

    def escaped(self, c):
        if c == "/":
            return self.random.choice(["/", "\\/", "\\u002f", "\\u002F"])
        if c in '"\\' or c < " " or "\ud800" <= c <= "\udfff" or self.random.random() < 0.3:
            units = memoryview(c.encode("utf-16-le", "surrogatepass")).cast("H")
            return "".join(f"\\u{unit:04x}" for unit in units)
        return c

    def value(self, tree):
        if isinstance(tree, Members):
            return self.between("{", "}", [f"{self.string(name)}{self.gap()}:{self.gap()}{self.value(value)}"
                                           for name, value in self.members(tree)])
        if isinstance(tree, list):
            return self.between("[", "]", [self.value(value) for value in tree])
        if isinstance(tree, Number):
            return str(tree)
        return self.string(tree) if isinstance(tree, str) else json.dumps(tree)

    def members(self, tree):
        members = list(tree)
        if self.nulls:
            members.append((f"Nothing{self.random.randrange(1000)}", None))
        if self.shuffle and len({name for name, _ in tree}) == len(tree):
            self.random.shuffle(members)
        return members

    def between(self, first, last, parts):
        return first + self.gap() + f"{self.gap()},{self.gap()}".join(parts) + self.gap() + last


def spellings(tree):
    """Five ways to write the same event, as pushed, signed and pulled ones may differ."""
    yield Spelling().value(tree)
    yield Spelling(1, space=True).value(tree)
    yield Spelling(2, escape=True, shuffle=True).value(tree)
    yield Spelling(3, nulls=True, space=True).value(Members([("EventHandle", "4321"), *tree]))
    yield Spelling(4, shuffle=True, escape=True).value(Members([*tree, ("T", Number("1764000600")), ("Sign", "ab" * 16)]))


def numbered(tree, n):
    """An event of its own, even where another fixture says the same in the envelope's other words."""
    return Members((name, Members([*value, ("Number", Number(n))]) if isinstance(value, Members) else value)
                   for name, value in tree)


def rows(inbox):
    return ask(inbox, "SELECT type, seen FROM event ORDER BY id")


def test_each_event_in_five_spellings_is_one_row(start, inbox):
    vodhook = start(inbox=inbox, output="none")
    for n, path in enumerate(EVENTS):
        for body in spellings(numbered(read(path.read_text()), n)):
            vodhook.post(body.encode("utf-8", "surrogatepass"))
        *others, (kind, seen) = rows(inbox)
        assert len(others) == n and seen == 5, f"{path.name}: {kind} was seen {seen} times"
    assert len(rows(inbox)) == len(EVENTS) > 40


def upload(members):
    return ('{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"1",' + members + "}}").encode()


DIFFERENT = [
    ['"N":12345678901234567890', '"N":12345678901234567891', '"N":"12345678901234567890"', '"N":12345678901234567890.0'],
    ['"S":"a\\u0000b"', '"S":"a\\u0000c"', '"S":"a"', '"S":"a\\u0000"', '"S":"a\\ufffdb"'],
    ['"S":"\\ud800"', '"S":"\\ud801"', '"S":"\\ufffd"', '"S":""'],
    ['"A":[1,2]', '"A":[2,1]', '"A":[1,2,null]', '"A":[[1],2]'],
    ['"P":{"Sign":"1"}', '"P":{"Sign":"2"}', '"P":{"T":2}', '"P":{}'],
    ['"P":1,"Q":2', '"P":2,"Q":1', '"P":1', '"p":1,"Q":2'],
]


@pytest.mark.parametrize("bodies", DIFFERENT, ids=["digits", "NUL", "surrogates", "arrays", "inner names", "members"])
def test_what_differs_a_little_is_another_event(start, inbox, bodies):
    vodhook = start(inbox=inbox)
    for members in bodies:
        assert vodhook.shown(upload(members))["duplicate"] is False
    for members in bodies:
        assert vodhook.shown(upload(members))["duplicate"] is True
    assert rows(inbox) == [("NewFileUpload", 2)] * len(bodies)


def test_progress_makes_another_event(start, inbox):
    vodhook = start(inbox=inbox, output="none")
    for progress in 10, 20, 20, 100:
        vodhook.post(json.dumps({"EventType": "PullComplete", "PullCompleteEvent": {
            "TaskId": "1500000001-pull-1", "Status": "PROCESSING", "Progress": progress}}).encode())
    assert [seen for _, seen in rows(inbox)] == [1, 2, 1]


def test_a_repeat_is_known_after_restarts_and_days(start, inbox):
    body = upload('"S":"x"')
    start(inbox=inbox).post(body)
    for _ in range(2):
        one = start(inbox=inbox)
        change(inbox, "UPDATE event SET received = received - 10 * 86400 * 1000000")
        one.post(body)
        assert one.record()["duplicate"] is True
        one.stop()
    assert rows(inbox) == [("NewFileUpload", 3)]


def test_a_restore_may_happen_again(start, inbox):
    """It has no TaskId, and the same file restored later looks the same."""
    body = json.dumps({"EventType": "RestoreMediaComplete",
                       "RestoreMediaCompleteEvent": {"FileId": "1", "RestoreDay": 3}}).encode()
    vodhook = start(inbox=inbox)
    assert vodhook.shown(body)["duplicate"] is False
    assert vodhook.shown(body)["duplicate"] is True
    change(inbox, "UPDATE event SET received = received - 3601 * 1000000")
    assert vodhook.shown(body)["duplicate"] is False
    assert rows(inbox) == [("RestoreMediaComplete", 2), ("RestoreMediaComplete", 1)]

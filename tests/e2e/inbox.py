"""An inbox, looked into and interfered with from outside."""

import contextlib
import sqlite3


def ask(inbox, sql, *values):
    """The rows of a query, read while vodhook has the file open."""
    with contextlib.closing(sqlite3.connect(f"file:{inbox}?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


def change(inbox, *statements):
    """Runs each statement as a transaction of its own."""
    with contextlib.closing(sqlite3.connect(inbox, isolation_level=None, timeout=30)) as db:
        for statement in statements:
            db.execute(statement)


@contextlib.contextmanager
def locked(inbox):
    """What an administrator's program may do for a while."""
    with contextlib.closing(sqlite3.connect(inbox, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")

"""The inbox beside the bare disk: durable events a second, and what pruning does to those that wait for an answer."""
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import servers

DAYS_OLD = 40  # of the events that are to be pruned; they are kept for 30


def commits(database):
    """Transactions so far: iChange in the header of the WAL index, which the file format documents
    (https://www.sqlite.org/walformat.html)."""
    with open(database + "-shm", "rb") as f:
        f.seek(8)
        return int.from_bytes(f.read(4), sys.byteorder)


def rows_in(database):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        return db.execute("SELECT count(*) FROM event").fetchone()[0]


def fill(database, rows):
    """Makes so many old events out of the one that is there, each with a digest and a file of its own."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-400000")
        names = [column[1] for column in db.execute("PRAGMA table_info(event)")]
        received = db.execute("SELECT max(received) FROM event").fetchone()[0]
        second = 10 ** (len(str(received)) - 10)  # a time of this age has ten digits in seconds
        old = f"{received} - {DAYS_OLD * 86400 * second} + n"
        new = {"id": "n + 1000", "digest": "randomblob(32)", "received": old, "last_seen": old,
               "body": "substr(body, 1, 500)"}
        db.execute(f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows}) "
                   f"INSERT INTO event ({', '.join(names)}) SELECT {', '.join(new.get(name, name) for name in names)} "
                   f"FROM numbers, (SELECT * FROM event LIMIT 1)")
        db.execute("INSERT INTO event_file (event_id, file_id) SELECT id, '77' || id FROM event WHERE id > 1000")
    os.sync()  # what was written here is not to be waited for in what is measured


class Bench:
    def __init__(self, build, folder, client, body, options, table, goal):
        self.build, self.folder, self.client, self.body = build, folder, client, body
        self.options, self.table, self.goal = options, table, goal

    def vodhook(self, name):
        """A server with an inbox and no other output, which is what the bare loops do."""
        folder = os.path.join(self.folder, name)
        server = servers.Vodhook(folder, os.path.join(self.build, "vodhook"), "--output", "none", "--inbox",
                                 os.path.join(folder, "inbox.db"))
        server.database = os.path.join(folder, "inbox.db")
        return server

    def floor(self, program, group, requests):
        """A loop without a server on the server's core, in the same shape as Client.load()'s."""
        target = os.path.join(self.folder, program)
        group = max(1, round(group))
        with servers.on_core(servers.SERVER_CORE):
            done = subprocess.run([os.path.join(self.build, "bench", program), target, str(group),
                                   str(requests // group * group), self.body], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise servers.Failure(f"{program} failed")
        result = json.loads(done.stdout)
        return {"rate": result["requests"] / result["seconds"], "cpu": result["cpu"] / result["requests"] * 1e6,
                "p50": result["p50"] / 1e3, "p99": result["p99"] / 1e3, "max": result["max"] / 1e3, "group": group}

    def compare(self, server, connections, requests):
        before = commits(server.database)
        ours = self.client.load(server, self.body, connections, requests, True, self.options["inbox_seconds"])
        requests = ours["requests"]
        ours["group"] = requests / max(1, commits(server.database) - before)
        return {"vodhook": ours, "bare SQLite": self.floor("inbox_floor", ours["group"], requests),
                "append + fdatasync": self.floor("append_floor", ours["group"], requests)}

    def measure_groups(self):
        """Each round has a new inbox. A log that grows costs more than one that begins anew at the start of its file, as
        it does from some thousands of pages on: that far it gets before it is measured."""
        rounds = {n: [] for n in self.options["inbox_connections"]}
        for n in range(self.options["inbox_rounds"]):
            with self.vodhook(f"inbox{n}") as server:
                self.client.load(server, self.body, 64, self.options["inbox_before"], True)
                for connections, requests in self.options["inbox_connections"].items():
                    rounds[connections].append(self.compare(server, connections, requests))
            shutil.rmtree(server.folder)
        rows = []
        middle = {}
        for connections, each in rounds.items():
            for name in each[0]:
                m = middle[connections, name] = servers.merged([r[name] for r in each])
                rows.append((str(connections) if name == "vodhook" else "", name, f"{m['rate']:.0f}", f"{m['p50']:.2f}",
                             f"{m['p99']:.2f}", f"{m['group']:.1f}", f"{m['cpu']:.1f}"))
        self.table("Inbox: durable events of 1.5 KB; a bare loop's times are those of a group",
                   ("connections", "who", "events/s", "p50 ms", "p99 ms", "group", "CPU µs an event"), rows)
        share = servers.merged([{"r": r["vodhook"]["rate"] / r["bare SQLite"]["rate"]} for r in rounds[64]])["r"]
        self.goal("events/s over bare SQLite's, 64 connections", share, 0.7, at_least=True)
        self.goal("p50 above bare SQLite's, 1 connection, ms",
                  middle[1, "vodhook"]["p50"] - middle[1, "bare SQLite"]["p50"], 0.15)
        self.goal("p99 over p50, 64 connections", middle[64, "vodhook"]["p99"] / middle[64, "vodhook"]["p50"], 3)

    def measure_pruning(self):
        rows = self.options["prune_rows"]
        with self.vodhook("prune") as server:
            self.client.load(server, self.body, 1, 1, True)
        fill(server.database, rows)
        try:
            ready = server.start() * 1e3
            before = rows_in(server.database)
            ours = self.client.load(server, self.body, self.options["prune_connections"], rows, True,
                                    self.options["prune_seconds"])
            pruned = before + ours["requests"] - rows_in(server.database)
        finally:
            server.stop()
        alone = self.floor("append_floor", 1, 2000)
        self.table(f"While an inbox of {rows} events is pruned ({self.options['prune_connections']} connections, "
                   f"{ours['seconds']:.0f} s)",
                   ("what", "start ms", "pruned", "events/s", "p50 ms", "p99 ms", "longest ms"),
                   [("vodhook", f"{ready:.0f}", str(pruned), f"{ours['rate']:.0f}", f"{ours['p50']:.2f}",
                     f"{ours['p99']:.2f}", f"{ours['max']:.1f}"),
                    ("append + fdatasync", "-", "-", f"{alone['rate']:.0f}", f"{alone['p50']:.2f}",
                     f"{alone['p99']:.2f}", f"{alone['max']:.1f}")])
        if pruned <= 0:
            raise servers.Failure("nothing was pruned meanwhile")
        self.goal("the longest request while it is pruned, ms", ours["max"], 100)

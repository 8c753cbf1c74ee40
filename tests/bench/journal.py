"""How fast events get into a real journald, beside what journald takes at most: a box boots a systemd, two senders post
to the service, and then bare sd_journal_sendv(3) loops in two processes send the same entries again."""
import os
import shutil
import statistics
import sys
import time

import servers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../systemd"))
import box as boxes

# A journal of a service of its own, without a rate limit, as vodhook.service has it.
AS_SERVICE = ["systemd-run", "--quiet", "--wait", "--pipe", "--property=LogRateLimitIntervalSec=1us",
              "--property=LogRateLimitBurst=100000000", "/bin/sh", "-c"]


class Bench:
    def __init__(self, build, folder, body, options, table, goal):
        self.build, self.body, self.options, self.table, self.goal = build, body, options, table, goal
        self.stage = os.path.join(folder, "stage")

    def measure(self):
        why_not = boxes.why_not()
        if why_not:
            print(f"\nThe journal is not measured: no systemd to boot: {why_not}")
            return
        boxes.make("install", f"DESTDIR={self.stage}")
        here = os.sched_getaffinity(0)
        os.sched_setaffinity(0, servers.CORES)  # journald has a core of its own, as on a server
        box = boxes.Box(self.stage)
        try:
            box.run("systemd-sysusers")
            for name in ("load", "journal_floor"):
                shutil.copy(os.path.join(self.build, "bench", name), f"{box.root}/root/{name}")
            shutil.copy(self.body, f"{box.root}/root/body")
            box.drop_in("vodhook.service", "bench",
                        "[Service]\nExecStart=\nExecStart=/usr/local/bin/vodhook --inbox none\n")
            box.systemctl("start", "vodhook")
            rounds = [(self.through_vodhook(box), self.bare(box)) for _ in range(self.options["journal_rounds"])]
        finally:
            box.close()
            os.sched_setaffinity(0, here)
        events, bare = (statistics.median(each) for each in zip(*rounds))
        ratio = statistics.median(e / b for e, b in rounds)
        self.table("Into the journal, two senders, 1.5 KB", ("what", "entries/s"),
                   [("vodhook", f"{events:.0f}"), ("bare sd_journal_sendv", f"{bare:.0f}")])
        self.goal("events/s into the journal over the bare loop", ratio, 0.8, at_least=True)

    def fresh_journal(self, box):
        """An entry that is there already costs journald less."""
        box.run("journalctl", "--sync", "--rotate")
        box.run("journalctl", "--vacuum-files=1")

    def rate(self, box, began):
        """Entries a second, until everything is in the journal."""
        box.run("journalctl", "--sync")
        return self.options["journal_entries"] / (time.monotonic() - began)

    def through_vodhook(self, box):
        self.fresh_journal(box)
        half = self.options["journal_entries"] // 2
        one = f"/root/load -k -P 8080 -c 8 -n {half} -f"
        began = time.monotonic()
        box.run("/bin/sh", "-c", f"{one} 0 /root/body & {one} {half} /root/body & wait")
        rate = self.rate(box, began)
        box.run("/bin/sh", "-c", "journalctl --output=export VOD_EVENT_TYPE=NewFileUpload >/root/entries")
        return rate

    def bare(self, box):
        self.fresh_journal(box)
        sent, began = box.run(*AS_SERVICE, "/root/journal_floor 2 </root/entries").stdout.split()
        assert int(sent) == self.options["journal_entries"], f"{sent} entries came out of the journal"
        return self.rate(box, float(began))

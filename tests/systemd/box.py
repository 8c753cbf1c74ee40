"""A real systemd to test on: a container that boots in a second and is driven from outside."""

import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
VODHOOK = pathlib.Path(os.environ.get("VODHOOK", TREE / "build/vodhook"))  # the program that was built
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why no box can be had here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in "systemd-nspawn", "unshare", "nsenter", "journalctl":
        if not shutil.which(tool):
            return f"needs {tool} (make deps)"
    if not cgroup_roots():
        return "needs a writable cgroup2"
    with open("/proc/self/mountinfo") as mounts:
        if not any(line.split()[4] == "/" for line in mounts):
            return "needs a root that is a mount point: this one is a plain chroot"
    return None


def cgroup_roots():
    """Where a group has to be made: the unified hierarchy, and systemd's own beside it where both are mounted."""
    found = []
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, where, kind, options = line.split()[:4]
            writable = "rw" in options.split(",") and os.access(where, os.W_OK)
            if writable and (kind == "cgroup2" or kind == "cgroup" and "name=systemd" in options):
                found.append((kind, where))
    return [where for _, where in found] if any(kind == "cgroup2" for kind, _ in found) else []


def build_folder():
    """B as make was given it most likely: other flags would be another build."""
    build = VODHOOK.parent
    return build.relative_to(TREE) if TREE in build.parents else build


def make(*arguments):
    """Runs make as the tests were built, but for these arguments."""
    done = subprocess.run(["make", f"B={build_folder()}", *arguments], cwd=TREE, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def wait_for(what, condition, seconds=60):
    """The first true value of condition(), asked for again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value


class Box:
    """A booted container. Files of it stand under box.root, as seen from outside."""

    count = 0

    def __init__(self, stage=None):
        Box.count += 1
        self.name = f"vodhook-box-{os.getpid()}-{Box.count}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vodhook-box-", dir="/tmp"))
        self.groups = [pathlib.Path(root, self.name) for root in cgroup_roots()]
        for group in self.groups:
            group.mkdir()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(self.folder / "notify"))
        os.chmod(self.folder, 0o711)
        self.console = open(self.folder / "console", "w+")
        self.outer = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
             str(TREE / "tests/systemd/box"), self.name, str(TREE), *([str(stage)] if stage else [])],
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(self.folder / "notify"),
                 "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        try:
            self._wait_until_booted(notify)
        except BaseException:
            self.close()
            raise

    def _wait_until_booted(self, notify):
        notify.settimeout(0.1)
        deadline = time.monotonic() + 120
        while True:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    break
            except socket.timeout:
                assert self.outer.poll() is None and time.monotonic() < deadline, \
                    f"the box did not boot:\n{(self.folder / 'console').read_text()}"
        nspawn = child_of(self.outer.pid)
        self.leader = child_of(nspawn)
        self.root = pathlib.Path(f"/proc/{self.leader}/root")
        self.netns = os.open(f"/proc/{self.leader}/ns/net", os.O_RDONLY)

    def close(self):
        if self.outer.poll() is None:
            self.outer.kill()  # unshare takes its child, and with it the whole PID namespace, along
        self.outer.wait()
        self.console.close()
        if hasattr(self, "netns"):
            os.close(self.netns)
        for group in self.groups:
            wait_for("an empty cgroup", lambda: remove_groups(group))
        shutil.rmtree(self.folder)

    def inside(self, *command):
        """The command line by which a command runs inside, with all the privileges of the test."""
        return ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid",
                f"--root=/proc/{self.leader}/root", "--wd=/", "--", *command]

    def run(self, *command, check=True, **more):
        """Runs a command inside; returns it completed, with its output as text."""
        done = subprocess.run(self.inside(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                   "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "DEBIAN_FRONTEND": "noninteractive"},
                              **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def systemctl(self, *arguments, **more):
        return self.run("systemctl", *arguments, **more)

    def property(self, unit, name):
        return self.systemctl("show", "--value", f"--property={name}", unit).stdout.strip()

    def main_pid(self, unit="vodhook.service"):
        """The main process of the unit, by its number inside."""
        return int(self.property(unit, "MainPID"))

    def journal(self, *matches, unit="vodhook.service"):
        """The entries, oldest first, each a dict of its fields. A journald that just starts takes no calls yet."""
        wait_for("journald", lambda: self.run("journalctl", "--sync", check=False).returncode == 0)
        command = ["journalctl", "--output=json", "--all", "--no-pager", *matches]
        if unit:
            command.append(f"--unit={unit}")
        return [json.loads(line) for line in self.run(*command).stdout.splitlines()]

    def drop_in(self, unit, name, text):
        """Lays a drop-in over the unit and has systemd read it; an empty text takes it away again."""
        folder = self.root / "etc/systemd/system" / f"{unit}.d"
        folder.mkdir(exist_ok=True)
        if text:
            (folder / f"{name}.conf").write_text(text)
        else:
            (folder / f"{name}.conf").unlink()
        self.systemctl("daemon-reload")

    def connect(self, port=8080, family=socket.AF_INET, timeout=60):
        """A TCP connection made inside; only the calling thread visits the box's network."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            set_netns(self.netns)
            s = socket.socket(family, socket.SOCK_STREAM)
        finally:
            set_netns(own)
            os.close(own)
        s.settimeout(timeout)
        try:
            s.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        except BaseException:
            s.close()
            raise
        return s


def set_netns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def child_of(pid):
    """The one child of a process."""
    children = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            children.append(int(stat.parent.name))
    assert len(children) == 1, f"children of {pid}: {children}"
    return children[0]


def remove_groups(group):
    """Removes a cgroup with all below it; false while a process is still leaving."""
    if not group.exists():
        return True
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


def rows(box, query):
    """What a query of the service's inbox gives."""
    found = box.run("sqlite3", "-json", "-readonly", "/var/lib/vodhook/inbox.db", query).stdout
    return [tuple(row.values()) for row in json.loads(found or "[]")]

"""The Debian package: built, looked at by lintian, and installed, upgraded, removed and purged on a booted system."""

import re
import shutil
import subprocess

import pytest
from box import TREE, Box, make, wait_for
from client import Load, post, recorded, upload

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-buildpackage") or not shutil.which("dh"),
                                reason="not a Debian with dpkg-dev and debhelper")


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    make("deb", f"B={folder}/build", f"DEBDIR={folder}")
    package, = folder.glob("vodhook_*.deb")
    return package


def later(deb):
    """The same package with a higher version, as an upgrade would bring."""
    root = deb.parent / "later"
    subprocess.run(["dpkg-deb", "-R", str(deb), str(root)], check=True)
    control = root / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1+later", control.read_text(), flags=re.M))
    package = deb.parent / "later.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(package)], check=True,
                   stdout=subprocess.DEVNULL)
    return package


def test_contents(deb):
    listed = subprocess.run(["dpkg-deb", "-c", str(deb)], check=True, stdout=subprocess.PIPE, text=True).stdout
    files = {line.split()[5].lstrip(".") for line in listed.splitlines() if not line.startswith("d")}
    assert {"/usr/bin/vodhook", "/usr/share/man/man1/vodhook.1.gz", "/usr/lib/sysusers.d/vodhook.conf",
            "/usr/lib/systemd/catalog/vodhook.catalog",
            "/usr/share/bash-completion/completions/vodhook"} <= files
    assert any(f.endswith("/systemd/system/vodhook.service") for f in files)
    assert not [f for f in files if f.startswith("/usr/local")]


@pytest.mark.skipif(not shutil.which("lintian"), reason="no lintian")
def test_lintian_finds_no_error(deb):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", str(deb)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def box(box_possible):
    box = Box()
    (box.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)  # dpkg would index every page of the machine
    yield box
    box.close()


def put_in(box, package):
    name = f"/root/{package.name}"
    shutil.copy(package, f"{box.root}{name}")
    return name


def test_life_of_a_package(box, deb):
    box.run("dpkg", "--install", put_in(box, deb))
    for unit in "vodhook.service", "vodhook.socket":
        assert box.systemctl("is-active", unit).stdout == "active\n"
        assert box.systemctl("is-enabled", unit).stdout == "enabled\n"
    box.run("id", "vodhook")
    assert post(box.connect(), upload(1)) == 200
    assert "VOD notified of NewFileUpload" in box.run("journalctl", "-x", "--no-pager", "VOD_FILE_ID=1").stdout

    # Upgraded under load: the socket stays open, the program behind it is another one.
    pid = box.main_pid()
    package = put_in(box, later(deb))
    with Load(box, 1000) as load:
        box.run("dpkg", "--install", package)
    print(f"upgrade: {dict(load.outcomes)}")
    assert set(load.outcomes) == {200}
    assert box.main_pid() not in (0, pid)
    found = recorded(box)
    assert all(found[file_id] == 1 for file_id in load.acknowledged)

    # Removed: nobody listens, what was recorded stays.
    box.run("dpkg", "--remove", "vodhook")
    with pytest.raises(ConnectionRefusedError):
        box.connect()
    assert (box.root / "var/lib/vodhook/inbox.db").exists()

    # And once more from there, then purged: only the system user is left.
    box.run("dpkg", "--install", package)
    assert post(box.connect(), upload(2)) == 200
    (box.root / "etc/vodhook.conf").write_text("")
    box.run("dpkg", "--purge", "vodhook")
    with pytest.raises(ConnectionRefusedError):
        box.connect()
    left = box.run("find", "/etc", "/usr", "/lib/systemd", "/var/lib", "-xdev", "-name", "*vodhook*").stdout.split()
    assert not [f for f in left if not f.startswith(str(TREE))]
    wait_for("a system at peace", lambda: box.systemctl("is-system-running", check=False).stdout == "running\n")

"""The Debian package: built, looked at by lintian, and installed, upgraded, removed and purged on a booted system."""

import os
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


def git(tree, *arguments):
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *arguments], cwd=tree, check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture
def version_of(tmp_path):
    """Tells the version that a package of a tree would get: the build, without the compiler."""
    fake = tmp_path / "bin/dpkg-buildpackage"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\ndpkg-parsechangelog --show-field Version >../version\n>../vodhook_0.deb\n")
    fake.chmod(0o755)

    def version(tree):
        work = tmp_path / "work"
        subprocess.run(["sh", "systemd/debian/build", str(work), str(tmp_path)], cwd=tree, check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"})
        return (work / "version").read_text().strip()
    return version


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_version_grows_with_every_commit(version_of, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(TREE / "systemd/debian", tree / "systemd/debian")
    released = re.search(r"\((.*)\)", (tree / "systemd/debian/changelog").read_text())[1]
    versions = [version_of(tree)]
    assert versions == [released]
    git(tree, "init", "-q")
    git(tree, "add", ".")
    for n in range(3):
        git(tree, "commit", "-q", "--allow-empty", "-m", str(n))  # most likely within one second
        versions.append(version_of(tree))
    (tree / "systemd/debian/control").open("a").write("\n")
    versions.append(version_of(tree))
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tree}", str(shallow))
    for lower, higher in zip(versions, versions[1:]):
        subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher], check=True)
    assert version_of(shallow).rpartition(".")[0].rpartition(".")[0] == versions[3].rpartition(".")[0].rpartition(".")[0]


def test_contents(deb):
    listed = subprocess.run(["dpkg-deb", "-c", str(deb)], check=True, stdout=subprocess.PIPE, text=True).stdout
    files = {line.split()[5].lstrip(".") for line in listed.splitlines() if not line.startswith("d")}
    assert {"/usr/bin/vodhook", "/usr/share/man/man1/vodhook.1.gz", "/usr/lib/sysusers.d/vodhook.conf",
            "/usr/lib/systemd/catalog/vodhook.catalog",
            "/usr/share/bash-completion/completions/vodhook"} <= files
    assert any(f.endswith("/systemd/system/vodhook.service") for f in files)
    assert not [f for f in files if f.startswith("/usr/local")]
    conffiles = subprocess.run(["dpkg-deb", "-I", str(deb), "conffiles"], check=True, stdout=subprocess.PIPE, text=True)
    assert conffiles.stdout.split() == ["/etc/vodhook.conf"]


def test_program_says_the_version_of_the_package(deb, tmp_path):
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tmp_path)], check=True)
    said = subprocess.run([f"{tmp_path}/usr/bin/vodhook", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    version = subprocess.run(["dpkg-deb", "-f", str(deb), "Version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert said == f"vodhook {version}"


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
    assert box.run("stat", "-c", "%U:%G %a", "/etc/vodhook.conf").stdout == "root:vodhook 640\n"
    assert post(box.connect(), upload(1)) == 200
    assert "VOD notified of NewFileUpload" in box.run("journalctl", "-x", "--no-pager", "VOD_FILE_ID=1").stdout

    # Upgraded under load: the socket stays open, the program behind it is another one.
    pid = box.main_pid()
    package = put_in(box, later(deb))
    with Load(box, 1000) as load:
        box.run("apt-get", "--assume-yes", "install", package)
    print(f"upgrade: {dict(load.outcomes)}")
    assert set(load.outcomes) == {200}
    assert box.main_pid() not in (0, pid)
    found = recorded(box)
    assert all(found[file_id] == 1 for file_id in load.acknowledged)

    # Removed under load: nobody listens, what was acknowledged stays.
    with Load(box, 5000) as load:
        wait_for("some load", lambda: len(load.acknowledged) > 10)
        box.run("dpkg", "--remove", "vodhook")
    with pytest.raises(ConnectionRefusedError):
        box.connect()
    assert box.property("vodhook.service", "ActiveState") in ("inactive", "")
    kept = box.run("sqlite3", "/var/lib/vodhook/inbox.db", "SELECT file_id FROM event_file").stdout.split()
    assert load.acknowledged and load.acknowledged <= set(kept)

    # And once more from there, then purged: the system user and the keys are left, which purging says.
    (box.root / "etc/vodhook.conf").write_text("# changed\n")
    box.run("dpkg", "--install", package)
    assert (box.root / "etc/vodhook.conf").read_text() == "# changed\n"
    assert post(box.connect(), upload(2)) == 200
    key = box.root / "etc/credstore/vodhook.secret-key"
    key.parent.mkdir(exist_ok=True)
    key.write_text("key\n")
    said = box.run("dpkg", "--purge", "vodhook").stdout
    assert "/etc/credstore/vodhook.secret-key" in said and "system user vodhook" in said
    key.unlink()
    with pytest.raises(ConnectionRefusedError):
        box.connect()
    left = box.run("find", "/etc", "/usr", "/lib/systemd", "/var/lib", "-xdev", "-name", "*vodhook*").stdout.split()
    assert not [f for f in left if not f.startswith(str(TREE))]
    wait_for("a system at peace", lambda: box.systemctl("is-system-running", check=False).stdout == "running\n")

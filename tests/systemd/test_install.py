"""make install and make uninstall, and what systemd-analyze says of the units."""

import re
import shutil
import subprocess

import pytest
from box import TREE, VODHOOK, Box, build_folder, make
from client import post, upload

ANALYZE_NEEDED = 250  # has --offline


def pkg_config(variable, package, otherwise):
    done = subprocess.run(["pkg-config", f"--variable={variable}", package], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return (done.stdout.strip() or otherwise).lstrip("/")


UNITDIR = pkg_config("systemdsystemunitdir", "systemd", "/usr/lib/systemd/system")


def files_of(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())


def expected(prefix):
    completions = pkg_config("completionsdir", "bash-completion", "/usr/share/bash-completion/completions")
    files = {
        f"{prefix}/bin/vodhook",
        *(f"{prefix}/share/man/man1/{page.name}" for page in (TREE / "src").glob("*/*.1")),
        *(f"{prefix}/share/man/man5/{page.name}" for page in (TREE / "src").glob("*/*.5")),
        "etc/vodhook.conf",
        f"{prefix}/share/vodhook/format-1.schema.json",
        *(f"{prefix}/share/doc/vodhook/examples/{file.name}" for file in (TREE / "systemd").glob("*.conf.example")),
        *(f"{prefix}/libexec/vodhook/vodhook-{main.stem.removeprefix('main_')}" for main in (TREE / "src").glob("main_*.c")),
        *(f"{UNITDIR}/{file.name}" for kind in ("service", "socket", "timer") for file in (TREE / "systemd").glob(f"*.{kind}")),
        pkg_config("sysusersdir", "systemd", "/usr/lib/sysusers.d") + "/vodhook.conf",
        pkg_config("catalogdir", "systemd", "/usr/lib/systemd/catalog") + "/vodhook.catalog",
        f"{completions}/vodhook",
    }
    return sorted(files)


def test_installs_exactly_what_is_meant(stage):
    assert files_of(stage) == expected("usr/local")
    assert "ExecStart=/usr/local/bin/vodhook listen\n" in (stage / UNITDIR / "vodhook.service").read_text()
    assert (stage / "usr/local/bin/vodhook").stat().st_mode & 0o7777 == 0o755
    assert (stage / UNITDIR / "vodhook.socket").stat().st_mode & 0o7777 == 0o644
    assert (stage / "etc/vodhook.conf").stat().st_mode & 0o7777 == 0o640
    assert (stage / "etc/vodhook.conf").read_bytes() == (TREE / "systemd/vodhook.conf").read_bytes()


def test_prefix_is_honoured(tmp_path):
    """Another prefix is another build, since the program knows where its libexec folder is."""
    make(f"B={tmp_path}/build", "CFLAGS=-O0", "PREFIX=/opt/vod", f"DESTDIR={tmp_path}/root", "install")
    assert files_of(tmp_path / "root") == expected("opt/vod")
    assert "ExecStart=/opt/vod/bin/vodhook listen\n" in (tmp_path / "root" / UNITDIR / "vodhook.service").read_text()


def test_uninstall_leaves_state_and_configuration_alone(stage, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(stage, root, symlinks=True)
    kept = ["etc/vodhook.conf", "var/lib/vodhook/inbox.db"]
    for name in kept:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("# mine\n")
    make("install", f"DESTDIR={root}")
    assert (root / "etc/vodhook.conf").read_text() == "# mine\n"
    make("uninstall", f"DESTDIR={root}")
    assert files_of(root) == kept
    assert not [p for p in root.rglob("*") if "vodhook" in p.name and str(p.relative_to(root)) not in
                (*kept, "var/lib/vodhook")]


def analyze(*arguments):
    """Runs systemd-analyze where it is new enough; returns it completed."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    version = int(re.search(r"systemd (\d+)", subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE,
                                                              text=True).stdout).group(1))
    if version < ANALYZE_NEEDED:
        pytest.skip(f"systemd-analyze {version} is older than {ANALYZE_NEEDED}")
    return subprocess.run(["systemd-analyze", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("unit, tenths", [("vodhook.service", 3), ("vodhook-pull.service", 11),
                                          ("vodhook-reconcile.service", 11)])
def test_exposure(stage, unit, tenths):
    path = stage / UNITDIR / unit
    if not path.exists():
        pytest.skip(f"{unit} is not part of this tree")
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={tenths}", str(path))
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout


def test_units_verify(stage, tmp_path):
    """systemd-analyze verify exits 0 on unknown keys: what it prints decides. It wants the programs to be there, so
    their paths are made those of the staged root."""
    for unit in (stage / UNITDIR).iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("=/usr/local/", f"={stage}/usr/local/"))
    done = analyze("verify", "--man=no", *(str(unit) for unit in sorted(tmp_path.iterdir())))
    assert (done.stdout, done.returncode) == ("", 0)


def test_unit_says_what_it_must(stage):
    text = (stage / UNITDIR / "vodhook.service").read_text()
    for line in ("Type=notify", "Requires=vodhook.socket", "After=vodhook.socket", "After=time-sync.target", "Also=vodhook.socket",
                 "PrivateNetwork=yes", "StateDirectory=vodhook", "StateDirectoryMode=0750", "CapabilityBoundingSet=",
                 "LogRateLimitIntervalSec=1us", "Documentation=man:vodhook(1)"):
        assert f"\n{line}\n" in text, line
    assert "ExecStartPre" not in text
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", text, re.M).group(1).split()
    assert "78" in prevented


def test_every_directive_of_the_unit_stands_below_a_reason():
    """Each group of the service's directives begins with a comment that says why."""
    text = (TREE / "systemd/vodhook.service").read_text()
    for group in text.split("[Service]\n")[1].split("[Install]")[0].split("\n\n"):
        if group.strip() and "ExecStart=" not in group:
            assert group.lstrip().startswith("#"), group


def test_changelog_has_the_version_of_the_makefile():
    version = re.search(r"^VERSION := (.*)$", (TREE / "Makefile").read_text(), re.M).group(1)
    assert (TREE / "systemd/debian/changelog").read_text().startswith(f"vodhook ({version}) ")


def test_on_the_running_system(box_possible):
    """sudo make install && sudo systemctl enable --now vodhook, and the way back."""
    box = Box()
    try:
        if not (box.root / str(VODHOOK).lstrip("/")).exists():
            pytest.skip(f"{VODHOOK} cannot be seen in a box")
        in_tree = ["make", "-C", str(TREE), f"B={build_folder()}"]
        before = set(vodhook_files(box))
        box.run(*in_tree, "install")
        assert box.run("stat", "-c", "%U:%G %a", "/etc/vodhook.conf").stdout == "root:vodhook 640\n"
        assert box.systemctl("is-active", "vodhook.socket", check=False).stdout == "inactive\n"
        box.systemctl("enable", "--now", "vodhook")
        assert post(box.connect(), upload(1)) == 200
        assert "VOD notified of NewFileUpload" in box.run("journalctl", "-x", "--no-pager", "VOD_FILE_ID=1").stdout
        box.run(*in_tree, "uninstall")
        with pytest.raises(ConnectionRefusedError):
            box.connect()
        state = {f for f in vodhook_files(box) if f.startswith("/var/lib/vodhook")}
        assert state and set(vodhook_files(box)) == before | state
        assert "vodhook" not in box.run("journalctl", "--list-catalog").stdout
    finally:
        box.close()


def vodhook_files(box):
    return box.run("find", "/etc", "/usr", "/var/lib", "-xdev", "-name", "*vodhook*", "-not", "-path",
                   f"{TREE}/*").stdout.splitlines()

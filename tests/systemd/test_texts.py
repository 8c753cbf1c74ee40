"""The texts that stand beside the program say what it does: man page, completion, catalog, example configuration."""

import re
import shutil
import subprocess

import pytest
from box import TREE, VODHOOK

PAGE = TREE / "src/command/vodhook.1"
EVENTS_PAGE = TREE / "src/command/vodhook-events.1"
CONF_PAGE = TREE / "src/command/vodhook.conf.5"
PAGES = sorted((TREE / "src").glob("*/*.[15]"))
TABLES = [TREE / "src/command/table.c", *sorted((TREE / "src/command").glob("*_options.c"))]
COMPLETION = TREE / "systemd/bash-completion/vodhook"
CATALOG = TREE / "systemd/vodhook.catalog"
EXAMPLE = TREE / "systemd/vodhook.conf"
COMMANDS = ["listen", "wait", "events", "forward",
            *(["reconcile", "pull", "settings"] if (TREE / "src/main_cloud.c").exists() else [])]


def run(*command, **more):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **more)


def options_of(command):
    """The options of a command with their defaults ("" for none), as its --help lists them."""
    done = run(VODHOOK, command, "--help")
    assert done.returncode == 0, done.stdout
    found = {}
    for item in re.split(r"\n(?=  (?:-., )?--)", done.stdout)[1:]:
        item = " ".join(item.split("\n\n")[0].split())
        name = re.match(r"(?:-., )?--([a-z-]+)", item).group(1)
        default = re.search(r"\(default ([^ ]*)\)$", item)
        found[name] = default.group(1) if default else ""
    assert {"help", "config"} < found.keys()
    return found


def table():
    """Every name in the option table, from its source."""
    return set(re.findall(r'\{\.name = "([a-z-]+)"', "".join(path.read_text() for path in TABLES)))


def items_of(text):
    """The options that a manual explains, each with its text."""
    parts = re.split(r"^\.It Fl -([a-z-]+).*\n", text, flags=re.M)
    return {name: re.split(r"^\.(?:S[hs]|El)\b", item, flags=re.M)[0] for name, item in zip(parts[1::2], parts[2::2])}


def described(command):
    """The options that the manuals say a command has: vodhook(1) those that several share, its own page the others, and
    vodhook-pull(1) those that its own page refers to."""
    found = {}
    for section in re.split(r"^\.Ss ", PAGE.read_text(), flags=re.M)[1:]:
        title = section.partition("\n")[0].split()
        if title[:2] == ["Options", "of"] and {"every", command} & set(title):
            found |= items_of(section)
    for page in PAGES:
        if page.name == f"vodhook-{command}.1":
            own = page.read_text()
            assert not found.keys() & items_of(own).keys() - {"output", "inbox"}, "described twice"
            referred = set(re.findall(r"^\.Fl -([a-z-]+)", own.split(".Sh OPTIONS")[1].split(".Bl")[0], re.M))
            shared = items_of((TREE / "src/command/vodhook-pull.1").read_text())
            found |= {name: shared[name] for name in referred} | items_of(own)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_pages_have_every_option_and_default(command):
    found, options = described(command), options_of(command)
    assert found.keys() == options.keys()
    for name, default in options.items():
        assert not default or f"The default is {default}." in " ".join(found[name].split()), name


def test_pages_have_no_option_that_the_table_lacks():
    in_pages = {name for page in PAGES for name in items_of(page.read_text())}
    assert in_pages == table()


def test_configuration_page_has_every_setting():
    assert set(re.findall(r"Ic ([a-z-]+) No =", CONF_PAGE.read_text())) <= settings()


@pytest.mark.skipif(not shutil.which("lexgrog"), reason="no man-db")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whatis_knows_the_page(page):
    assert run("lexgrog", page).stdout.startswith(f'{page}: "{page.stem} - ')


@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_clean_for_mandoc(page):
    assert run("mandoc", "-Tlint", page).stdout == ""


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_clean_for_man(page):
    done = subprocess.run(["man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "--ditroff", str(page)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "" and "vodhook" in done.stdout


def complete(*words):
    """What bash offers for the last word."""
    script = (f"source {COMPLETION}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _vodhook 2>/dev/null; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    return set(run("bash", "-c", script, "bash", str(VODHOOK), *words).stdout.split())


def test_completion_knows_the_commands():
    assert complete("") == {"listen", "pull", "reconcile", "events", "wait", "forward", "settings", "help", "version"}
    assert complete("ev") == {"events"}


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_has_every_option(command):
    assert complete(command, "--") == {f"--{name}" for name in options_of(command)}


def test_completion_has_the_words_of_an_option(tmp_path):
    assert complete("--output", "") == {"text", "json", "journal", "none"}
    assert complete("events", "--result", "f") == {"failed"}
    assert complete("--max-memory", "") == set()
    (tmp_path / "vodhook.conf").touch()
    assert complete("--config", f"{tmp_path}/vod") == {f"{tmp_path}/vodhook.conf"}


def test_every_message_id_has_its_entry():
    """In the catalog, and in the manual of what an event looks like."""
    header = (TREE / "include/record/message_ids.h").read_text()
    ids = re.findall(r'#define MESSAGE_\w+[\s\\]+"([0-9a-f]{32})"', header)
    assert len(ids) == len(set(ids)) > 0
    entries = re.findall(r"^-- (\w+)\nSubject: .+\nDefined-By: vodhook\nDocumentation: man:vodhook\(1\).*\n\n(?=[^-\n])",
                         CATALOG.read_text(), re.M)
    assert sorted(entries) == sorted(ids)
    assert sorted(re.findall(r"^\.It ([0-9a-f]{32})$", EVENTS_PAGE.read_text(), re.M)) == sorted(ids)


def test_every_message_id_is_in_use():
    source = "".join(path.read_text() for path in (TREE / "src").glob("*/*.c"))
    for name in re.findall(r"#define (MESSAGE_\w+)", (TREE / "include/record/message_ids.h").read_text()):
        assert re.search(rf"\b{name}\b", source), name


def test_catalog_compiles(tmp_path):
    if not shutil.which("journalctl"):
        pytest.skip("no journalctl")
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    assert run("journalctl", f"--root={tmp_path}", "--update-catalog").stdout == ""
    listed = run("journalctl", f"--root={tmp_path}", "--list-catalog").stdout.splitlines()
    assert len(listed) == CATALOG.read_text().count("\n-- ")


def test_example_configuration_is_in_order(tmp_path):
    assert [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")] == []
    done = run(VODHOOK, "--check", "--config", str(EXAMPLE))
    assert done.returncode == 0, done.stdout
    # Its defaults, taken at their word, are settings that are right, and the defaults.
    text = re.sub(r"^#(?=[a-z])", "", EXAMPLE.read_text(), flags=re.M)
    (tmp_path / "all.conf").write_text(text)
    done = run(VODHOOK, "--check", "--config", str(tmp_path / "all.conf"))
    assert done.returncode == 0, done.stdout
    defaults = {name: default for command in COMMANDS for name, default in options_of(command).items()}
    for name, value in re.findall(r"^([a-z-]+) = (.*)$", text, re.M):
        assert defaults.get(name, value) == value, name


def settings():
    """What may stand in the configuration file, from the tables but that of forward, which has a file for each target."""
    rows = re.split(r"\{\.name = ", "".join(path.read_text() for path in TABLES if "forward" not in path.name))[1:]
    return {re.match(r'"([a-z-]+)"', row).group(1) for row in rows if ".argv_only" not in row}


def test_example_configuration_names_every_setting():
    assert set(re.findall(r"^# ?([a-z-]+) = ", EXAMPLE.read_text(), re.M)) == settings()

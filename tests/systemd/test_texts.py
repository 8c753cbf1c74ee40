"""The texts that stand beside the program say what it does: man page, completion, catalog, example configuration."""

import re
import shutil
import subprocess

import pytest
from box import TREE, VODHOOK

PAGE = TREE / "src/command/vodhook.1"
PAGES = sorted((TREE / "src/command").glob("*.[15]"))
COMPLETION = TREE / "systemd/bash-completion/vodhook"
CATALOG = TREE / "systemd/vodhook.catalog"
EXAMPLE = TREE / "systemd/vodhook.conf"
COMMANDS = ["listen", "events", *(["pull", "settings"] if (TREE / "src/main_cloud.c").exists() else [])]


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
    return set(re.findall(r'\{\.name = "([a-z-]+)"', (TREE / "src/command/table.c").read_text()))


def page_items():
    """The man page's subsections of options: for each, the commands in its title and the text of every item."""
    found = []
    for section in re.split(r"^\.Ss ", PAGE.read_text(), flags=re.M)[1:]:
        title, _, rest = section.partition("\n")
        if title.startswith("Options of "):
            parts = re.split(r"^\.It Fl -([a-z-]+).*\n", re.split(r"^\.(?:Sh|El)\b", rest, flags=re.M)[0], flags=re.M)
            found.append((title, dict(zip(parts[1::2], parts[2::2]))))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_page_has_every_option_and_default(command):
    described = {}
    for title, items in page_items():
        if command in title.split() or title == "Options of every command":
            assert not described.keys() & items.keys(), "described twice"
            described |= items
    options = options_of(command)
    assert described.keys() == options.keys()
    for name, default in options.items():
        assert not default or f"The default is {default}." in " ".join(described[name].split()), name


def test_page_has_no_option_that_the_table_lacks():
    in_page = {name for _, items in page_items() for name in items}
    assert in_page == table()


@pytest.mark.skipif(not shutil.which("mandoc"), reason="no mandoc")
def test_page_is_clean_for_mandoc():
    assert run("mandoc", "-Tlint", str(PAGE)).stdout == ""


@pytest.mark.skipif(not shutil.which("lexgrog"), reason="no man-db")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whatis_knows_the_page(page):
    assert run("lexgrog", page).stdout.startswith(f'{page}: "{page.stem} - ')


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
def test_page_is_clean_for_man():
    done = subprocess.run(["man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "--ditroff", str(PAGE)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "" and "vodhook" in done.stdout


def complete(*words):
    """What bash offers for the last word."""
    script = (f"source {COMPLETION}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _vodhook 2>/dev/null; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    return set(run("bash", "-c", script, "bash", str(VODHOOK), *words).stdout.split())


def test_completion_knows_the_commands():
    assert complete("") == {"listen", "pull", "events", "settings"}
    assert complete("ev") == {"events"}


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_has_every_option(command):
    assert complete(command, "--") == {f"--{name}" for name in options_of(command)}


def test_completion_has_the_words_of_an_option(tmp_path):
    assert complete("--output", "") == {"text", "json", "journal", "none"}
    assert complete("events", "--result", "f") == {"failed"}
    assert complete("--max-body", "") == set()
    (tmp_path / "vodhook.conf").touch()
    assert complete("--config", f"{tmp_path}/vod") == {f"{tmp_path}/vodhook.conf"}


def test_every_message_id_has_its_entry():
    """In the catalog, and in the man page."""
    header = (TREE / "include/record/message_ids.h").read_text()
    ids = re.findall(r'#define MESSAGE_\w+\s+"([0-9a-f]{32})"', header)
    assert len(ids) == len(set(ids)) > 0
    entries = re.findall(r"^-- (\w+)\nSubject: .+\nDefined-By: vodhook\nDocumentation: man:vodhook\(1\).*\n\n(?=[^-\n])",
                         CATALOG.read_text(), re.M)
    assert sorted(entries) == sorted(ids)
    assert sorted(re.findall(r"^\.It ([0-9a-f]{32})$", PAGE.read_text(), re.M)) == sorted(ids)


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


def test_example_configuration_names_every_setting():
    named = set(re.findall(r"^# ?([a-z-]+) = ", EXAMPLE.read_text(), re.M))
    rows = re.split(r"\{\.name = ", (TREE / "src/command/table.c").read_text())[1:]
    settings = {re.match(r'"([a-z-]+)"', row).group(1) for row in rows if ".argv_only" not in row}
    assert named == settings

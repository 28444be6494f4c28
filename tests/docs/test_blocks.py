"""The blocks of code on the pages: those that run elsewhere are at least well formed and name what exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from cosyserve.server.settings import load_settings
from cosyserve.server.settings.describe import flag
from cosyserve.server.settings.sources import OLD_NAMES, environment_name
from support.tools.documents import PAGES, ROOT, Block, blocks, code_spans

LANGUAGES = {"sh", "python", "toml", "yaml", "text"}
MARKERS = {
    "": "it runs, in the order of the page",
    "keeps running": "it runs in a terminal of its own, to the end of the page or to the next such block",
    "file": "it is saved under the name after the colon",
    "clients": "tests/third_party runs it, with the SDK that it imports",
    "not run": "why not, after the colon",
}
"""What the comment before a block may say."""

ALL = [block for page in PAGES for block in blocks(page)]
COMMANDS = (
    "serve",
    "say",
    "voices add",
    "voices list",
    "voices remove",
    "model check",
    "model convert",
    "bench",
)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
VARIABLE = re.compile(r"COSYSERVE_[A-Z0-9_]+")


@cache
def usage(*module: str) -> str:
    """What `python -m MODULE --help` prints."""
    line = [sys.executable, "-m", *module, "--help"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def flags(command: str) -> set[str]:
    """The flags of `cosyserve COMMAND`."""
    return set(FLAG.findall(usage("cosyserve", *command.split())))


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """The cosyserve commands of a shell block, each with its flags."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||&&|;|\$\(", line):
            words = re.split(r"\s+", part.strip())
            names = [word.rpartition("/")[2] for word in words]
            if "cosyserve" not in names:
                continue
            rest = words[names.index("cosyserve") + 1 :]
            command = next((c for c in COMMANDS if rest[: len(c.split())] == c.split()), None)
            if command is not None:  # else it is a file or a name of ours
                found.append((command, [w.split("=")[0] for w in rest if w.startswith("--")]))
    return found


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.marker in MARKERS
    assert bool(block.detail) == (block.marker in ("file", "not run"))


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "sh"], ids=str)
def test_shell_is_well_formed_and_its_flags_exist(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command, given in commands_of(block):
        assert set(given) <= flags(command), command


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "sh"], ids=str)
def test_targets_of_make_exist(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", block.text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "python"], ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "toml"], ids=str)
def test_toml_is_a_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block.text, encoding="utf-8")
    settings = load_settings({"config": str(file)})
    assert set(tomllib.loads(block.text)) <= set(type(settings).model_fields)


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "yaml"], ids=str)
def test_yaml_is_read(block: Block) -> None:
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", PAGES)
def test_flags_and_variables_in_the_text_exist(page: str) -> None:
    known = set().union(*map(flags, COMMANDS))
    for module in ("parity", "model.lm", "load.siege", "load.soak"):
        known |= set(FLAG.findall(usage(f"cosyserve.benchmarks.{module}")))
    known |= set(FLAG.findall(usage("cosyserve.training")))
    variables = set(VARIABLE.findall(usage("cosyserve", "serve") + usage("cosyserve", "say")))
    variables.add("COSYSERVE_TESTS_REQUIRE")
    known |= set(map(flag, OLD_NAMES))
    variables |= set(map(environment_name, OLD_NAMES))
    for span in code_spans(page):
        assert set(FLAG.findall(span)) <= known, span
        assert set(VARIABLE.findall(span)) <= variables, span


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_the_text_exist(page: str) -> None:
    """Those that begin with a folder of the checkout; a word in capitals stands for any name."""
    folders = {
        "benchmarks",
        "clients",
        "deploy",
        "docs",
        "engine",
        "protocol",
        "server",
        "tests",
        "training",
    }
    for span in code_spans(page):
        path = span.split(" ")[0]
        if path.split("/")[0] in folders and "/" in path and not re.search(r"\*|\b[A-Z]+\b", path):
            assert (ROOT / path).exists(), path

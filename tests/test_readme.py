"""README: its tables are what `make docs` writes, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import rtvox
from rtvox.__main__ import COMMANDS, build_parser
from rtvox.report import generated_pages

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
COMMAND_LINES = sorted({*re.findall(r"^rtvox .*$", BLOCKS, re.MULTILINE), *re.findall(r"`(rtvox [a-z][^`]*)`", README)})


def test_generated_tables_are_current() -> None:
    for path, text in generated_pages(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run make docs"


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_are_understood(line: str) -> None:
    build_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_every_command_is_shown() -> None:
    shown = {line.split()[1] for line in COMMAND_LINES}
    assert shown == set(COMMANDS)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)", "\n".join([BLOCKS, *re.findall(r"`([^`]*)`", README)])))
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "live", "test", "lint", "bench"} <= named <= targets


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) >= 3
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_map_names_every_module() -> None:
    named = set(re.findall(r"`(\w+)`", str(rtvox.__doc__)))
    modules = {path.stem for path in (ROOT / "rtvox").iterdir() if path.suffix == ".py" or path.name == "commands"}
    assert modules - {"__init__"} <= named

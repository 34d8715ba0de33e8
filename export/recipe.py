"""Recipes: one TOML file says all that a training depends on, so that a manifest can name it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from export.recordings.clips import ClipRecipe
from export.recordings.domains import Domain
from export.recordings.library import Source
from export.recordings.mixes import MixRecipe
from export.recordings.pairs import PairRecipe
from export.recordings.sentences import SpeechRecipe
from rtvox.errors import ParameterError

FOLDER = Path(__file__).parent / "recipes"
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """What `prepare` renders where no folder holds it yet; see `recordings/made.py`."""

    bands_minutes: float = 0.0
    short_bands_minutes: float = 0.0
    patterns_minutes: float = 0.0
    singing_minutes: float = 0.0
    seed: int = 0  # of the first song; the next ones count up
    seconds: float = 60.0  # of a song
    folder: str = "cache/made"


@dataclass(frozen=True)
class Recipe:
    """A read recipe; `network` holds keyword arguments of the network, and the names of domains or of a language."""

    name: str
    title: str
    model: str  # which of `models.MODELS`
    seed: int
    made: Made
    sources: tuple[Source, ...]
    mix: MixRecipe
    pairs: PairRecipe
    clips: ClipRecipe
    speech: SpeechRecipe
    domains: dict[str, Domain]
    losses: dict[str, Any]  # weights of a training's losses, and which they are
    measured: dict[str, tuple[str, ...]]  # kind of voice -> globs of what `evaluate` hears
    network: dict[str, Any]
    batch: int
    steps: int
    learning_rate: float


def read_recipe(name: str) -> Recipe:
    """Read a recipe by name (of `export/recipes`) or by path.

    Raises: ParameterError naming the file, and the recipes there are or the key that is wrong.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise ParameterError(f"recipe {name!r}: no file {path}; there are: {known}, or give a path to a .toml file")
    try:
        text = tomllib.loads(path.read_text())
        sources = tuple(
            Source(group, pattern, join=kind == "join", spans=_spans(text["sources"], pattern))
            for kind in ("each", "join")
            for group, patterns in text.get("sources", {}).get(kind, {}).items()
            for pattern in patterns
        )
        domains = {domain: Domain(**_tuples(table)) for domain, table in text.get("domains", {}).items()}
        speech = SpeechRecipe(**_tuples(text.get("speech", {})))
        named = tuple(domains) or ((speech.language,) if "speech" in text else ())
        return Recipe(
            text["name"],
            text["title"],
            text["model"],
            text["seed"],
            Made(**text.get("made", {})),
            sources,
            MixRecipe(**_tuples(text.get("mix", {}))),
            PairRecipe(**_tuples(text.get("pairs", {}))),
            ClipRecipe(**text.get("clips", {})),
            speech,
            domains,
            _tuples(text.get("losses", {})),
            _tuples(text.get("measured", {})),
            _tuples(text["network"]) | ({"domains": named} if named else {}),
            **text["training"],
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ParameterError(f"{path}: not a recipe ({error}); compare it with export/recipes/isolate.toml") from error


def read_losses(kind: type[T], table: Mapping[str, object]) -> T:
    """Return a recipe's `[losses]` as a dataclass of a task. Raises: ParameterError naming a field that is none."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            raise ParameterError(f"losses.{name} in the recipe: there are {', '.join(known)}")
    return kind(**table)


def _spans(sources: dict[str, Any], pattern: str) -> tuple[tuple[float, float], ...]:
    return tuple((float(start), float(end)) for start, end in sources.get("spans", {}).get(pattern, ()))


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}

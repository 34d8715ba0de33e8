"""Whom to thank: where recordings come from, under which licence, and what a model's manifest has to say of it.

In: the `index.csv` of a folder of recordings (path, source, licence, ...). Out: `<cache>/credits.json`, the (source,
licence) of everything in a cache, and the line that names them. Offline; runs in the caller's thread. Read next:
`library.py`, which collects credits, and `../to_onnx.py`, which puts them into a manifest.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from rtvox.errors import ParameterError

Credit = tuple[str, str]  # source, licence
INDEX = "index.csv"
CREDITS = "credits.json"
CHANGES = "changed: cut, mixed with other sounds, and only learned from: the model holds no recording"

# Title, maker and place, as CC BY asks for them where they are known, for sources whose index names less.
WORKS = {
    "salu133445/bach-violin-dataset, John Garner": (
        "J. S. Bach, partita for solo violin BWV 1002, played by John Garner "
        "(https://github.com/salu133445/bach-violin-dataset)"
    ),
    "salu133445/bach-violin-dataset, MinJi Kim": (
        "J. S. Bach, sonata for solo violin BWV 1003, played by MinJi Kim "
        "(https://github.com/salu133445/bach-violin-dataset)"
    ),
    "salu133445/bach-violin-dataset, E. Telmanyi (public domain)": (
        "J. S. Bach, sonata for solo violin BWV 1001, played by Emil Telmanyi "
        "(https://github.com/salu133445/bach-violin-dataset)"
    ),
    "librosa/data": (
        '"Vibe Ace" and P. I. Tchaikovsky\'s "Dance of the Sugar Plum Fairy" by Kevin MacLeod (incompetech.com), '
        'J. Brahms\'s "Hungarian Dance no. 5" by the US Army Strings (https://github.com/librosa/data)'
    ),
    "auspicious3000/autovc (VCTK)": (
        "VCTK corpus by Junichi Yamagishi, Christophe Veaux and Kirsten MacDonald, Centre for Speech Technology "
        "Research, University of Edinburgh (excerpts in https://github.com/auspicious3000/autovc)"
    ),
    "Philharmonia Orchestra samples": "single notes played by members of the Philharmonia Orchestra, London",
    "ichbinsoftware/everythingisremixed": (
        'stems of the album "Everything is Free" by Software-Entwicklungskit '
        "(https://github.com/ichbinsoftware/everythingisremixed)"
    ),
}


def attribution(source: str, licence: str) -> str:
    """Return one line that thanks the makers of a source, as its licence asks.

    >>> attribution("my/songs", "CC0-1.0")
    'my/songs; CC0-1.0'
    >>> attribution("my/songs", "CC-BY-4.0").split("; ")[:2]
    ['my/songs', 'CC BY 4.0, https://creativecommons.org/licenses/by/4.0/']
    """
    asks = re.match(r"CC-BY-(\d\.\d)", licence)
    if not asks:
        return f"{WORKS.get(source, source)}; {licence}"
    terms = f"CC BY {asks[1]}{licence[asks.end() :]}, https://creativecommons.org/licenses/by/{asks[1]}/"
    return f"{WORKS.get(source, source)}; {terms}; {CHANGES}"


def read_index(folder: Path) -> dict[str, Credit]:
    """Return the (source, licence) of each file that a folder's index names by its path below the folder.

    Raises: ParameterError if a column is missing.
    """
    path = folder / INDEX
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return {row["path"]: (row["source"], row["licence"]) for row in csv.DictReader(file)}
        except KeyError as error:
            raise ParameterError(f"{path}: no column {error}; its first line must be path,source,licence") from None


def write_index(folder: Path, rows: Mapping[str, Credit]) -> None:
    """Write a folder's index.csv: the credit of each path."""
    with (folder / INDEX).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "source", "licence"])
        writer.writerows([path, *credit] for path, credit in rows.items())


def credit_of(index: Mapping[str, Credit], place: Path, folder: Path) -> Credit:
    """Return the credit of a file, by default the folder's name and "your own".

    Raises: ParameterError if weights trained on it may not be shipped.
    """
    source, licence = index.get(place.as_posix(), (folder.name, "your own"))
    if "-SA" in licence and not licence.startswith("Philharmonia"):  # the orchestra's own terms allow use in works
        raise ParameterError(
            f"{place}: is {licence}; weights trained on it could not be shipped: take it out of the recipe"
        )
    return source, licence


def read_credits(cache: Path) -> set[Credit]:
    """Return (source, licence) of everything prepared into a cache so far."""
    path = cache / CREDITS
    return {(source, licence) for source, licence in json.loads(path.read_text())} if path.exists() else set()


def write_credits(cache: Path, credits: Iterable[Credit]) -> None:
    """Write what `read_credits` reads."""
    cache.mkdir(parents=True, exist_ok=True)
    (cache / CREDITS).write_text(json.dumps(sorted(credits), indent=1) + "\n")

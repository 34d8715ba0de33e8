"""Pairs from a user's own recordings: the same lines, clean in one folder and screamed in another, aligned by machine.

In: two folders of takes in any format. Out: pairs in the cache as `pairs.py` makes them, and a report: `report.csv`
with a line per pair, and a picture of each path. A pair that does not match, and a take without a partner or that
cannot be used, is set aside and named. Offline; runs in the caller's thread. Read next: `align.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from export.recordings.align import Alignment, align, lay, show_alignment
from export.recordings.credits import read_credits, write_credits
from export.recordings.library import RATE
from export.recordings.pairs import FOLDER, make_pair
from export.recordings.takes import Take, read_takes
from rtvox.errors import ParameterError

# Synthesised growls, screams and shrieks of the same take, warped, scored 0.12 to 0.6; those of other takes up to 0.11.
MATCHING = 0.12


@dataclass(frozen=True)
class Row:
    """A line of the report; `result` is "used", or says why not."""

    clean: str
    screamed: str
    score: float | None
    seconds: float | None  # of the clean take
    tempo: float | None  # of the screamed take: how much longer it is
    result: str


def prepare_own(clean: Path, screamed: Path, cache: Path, report: Path, style: float = 1.0) -> list[Row]:
    """Align the takes of two folders into `cache`, and write the report.

    Takes are partners if they have the same name; if no two have, but there are as many in both folders, in the order
    of their names.

    Args:
        style: what the screams are, 0 growl, 1 scream, 2 shriek.

    Raises: ParameterError if a folder holds no sound files, no pair can be used, or there is no such style.
    """
    if not 0.0 <= style <= 2.0:
        raise ParameterError(f"style={style:g}: needs 0 (growl) to 2 (shriek)")
    rows, count = list[Row](), 0
    for left, right, why in _partners(clean, screamed, rows):
        found = align(left.samples, right.samples)
        show_alignment(report / f"{left.name}.png", found, (f"{left.name}, clean", f"{right.name}, screamed"))
        matches = found.score >= MATCHING
        rows.append(_row(left, right, found, f"used{why}" if matches else "set aside: does not match"))
        if matches:
            laid = lay(right.samples, found.times, len(left.samples))
            make_pair([(left.samples, laid, 1.0, style)]).save(cache / FOLDER / f"own-{left.name}.npz")
            count += 1
    _write_report(report / "report.csv", rows)
    if not count:
        raise ParameterError(f"{clean}, {screamed}: no pair can be used; {report / 'report.csv'} says why")
    write_credits(cache, read_credits(cache) | {(folder.name, "your own") for folder in (clean, screamed)})
    return rows


def _partners(clean: Path, screamed: Path, rows: list[Row]) -> Iterator[tuple[Take, Take, str]]:
    """Yield partners and what is to be said of them; takes that have none go to `rows`."""
    (left, left_aside), (right, right_aside) = read_takes(clean), read_takes(screamed)
    rows += [Row(name, "", None, None, None, f"set aside: {why}") for name, why in left_aside.items()]
    rows += [Row("", name, None, None, None, f"set aside: {why}") for name, why in right_aside.items()]
    by_name = {take.name: take for take in right}
    # What was set aside counts: else those after it would be paired with the wrong lines.
    in_order = not ({t.name for t in left} | left_aside.keys()) & (by_name.keys() | right_aside.keys())
    if in_order and len(left) + len(left_aside) == len(right) + len(right_aside):
        names = zip(sorted([*left_aside, *(t.name for t in left)]), sorted([*right_aside, *by_name]), strict=True)
        partner = dict(names)
    else:
        partner = {take.name: take.name for take in left}
    for take in left:
        other = by_name.pop(partner[take.name], None)
        if other is None:
            rows.append(Row(take.name, "", None, None, None, "set aside: no screamed take of this name"))
        else:
            notes = [f"{t.name} {t.note}" for t in (take, other) if t.note]
            yield take, other, f" ({'; '.join(notes)})" if notes else ""
    rows += [Row("", name, None, None, None, "set aside: no clean take of this name") for name in by_name]


def _row(left: Take, right: Take, found: Alignment, result: str) -> Row:
    seconds, tempo = len(left.samples) / RATE, len(right.samples) / len(left.samples)
    return Row(left.name, right.name, round(found.score, 3), round(seconds, 2), round(tempo, 2), result)


def _write_report(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def summary(rows: Iterable[Row]) -> str:
    """Return the report as lines for a terminal."""
    lines = []
    for row in rows:
        score = "     " if row.score is None else f"{row.score:5.2f}"
        lines.append(f"{score}  {row.clean or '-'} / {row.screamed or '-'}: {row.result}")
    scores = [row.score for row in rows if row.score is not None]
    return "\n".join([*lines, f"median score {np.median(scores):.2f}" if scores else "no pair was compared"])

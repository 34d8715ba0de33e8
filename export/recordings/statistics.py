"""Do made screams measure as sung ones do? A table of both, written beside the pairs and printed by `prepare`.

In: prepared pairs, and `scream-statistics.csv` of a folder of recordings, if one has it: a line per clip of a real
singer (clip, hnr_db, centroid_hz, band_0_500_db, ..., mod_20_60, ...). Out: per family the median of the made ones, and
the range of the sung. Runs in the caller's thread. Read next: `../measures.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.signal

from export.measures import band_levels_db, harmonic_to_noise_db, modulation_shares
from export.recordings.library import FULL_SCALE, RATE
from export.recordings.pairs import Pair
from export.recordings.screams import EDGES_HZ
from rtvox.features import Array

SUNG = "scream-statistics.csv"
# Family: lowest and highest style of the made ones, and words in the names of the sung clips.
FAMILIES = {
    "growl": (0.0, 0.5, ("Growl", "Gutturals", "Grind", "TunnelThroat")),
    "scream": (0.75, 1.25, ("Scream",)),
    "shriek": (1.5, 2.0, ("Shriek", "Squeal")),
}
FEWEST_S, MOST = 1.0, 12  # shortest utterance that is measured; most of a family
FULL = 0.95  # intensity from which an utterance is a full scream


def statistics_of(sound: Array) -> dict[str, float]:
    """Return what `scream-statistics.csv` holds, of (N,) samples; `hnr_db` is the median of the loud frames."""
    loud = np.square(sound[: len(sound) // 480 * 480].reshape(-1, 480)).mean(1)
    ratios = harmonic_to_noise_db(sound)[: len(loud)]
    hz, power = scipy.signal.welch(sound, RATE, nperseg=2048)
    bands = zip(
        ("0_500", "500_2000", "2000_5000", "5000_10000", "10000_20000"), band_levels_db(sound, EDGES_HZ), strict=True
    )
    shares = zip(("20_60", "60_120", "120_250"), modulation_shares(sound), strict=True)
    return {
        "hnr_db": float(np.median(ratios[loud > loud.max() * 1e-2])),
        "centroid_hz": float(np.sum(hz * power) / np.sum(power)),
        **{f"band_{name}_db": value for name, value in bands},
        **{f"mod_{name}": value for name, value in shares},
    }


def sung_ranges(folders: Sequence[Path]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the lowest and highest value of each column, per family; empty where no folder has the file."""
    path = next((folder / SUNG for folder in folders if (folder / SUNG).exists()), None)
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for family, (_, _, words) in FAMILIES.items():
        clips = [row for row in rows if any(word in row["clip"] for word in words)]
        found[family] = {
            name: (min(float(clip[name]) for clip in clips), max(float(clip[name]) for clip in clips))
            for name in rows[0]
            if name not in ("clip", "seconds") and clips
        }
    return found


def compare(pairs: Mapping[str, Pair], folders: Sequence[Path], target: Path) -> str:
    """Write the table of made and sung screams to `target`, and return it as lines for a terminal."""
    sung, lines = sung_ranges(folders), ["family,column,made,sung_low,sung_high"]
    for family, (low, high, _) in FAMILIES.items():
        made = [statistics_of(sound) for sound in _full_screams(pairs, low, high)]
        for name in made[0] if made else ():
            ends = sung.get(family, {}).get(name)
            known = f"{ends[0]:g},{ends[1]:g}" if ends else ","
            lines.append(f"{family},{name},{np.median([m[name] for m in made]):.3g},{known}")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "\n".join(lines)


def _full_screams(pairs: Mapping[str, Pair], low: float, high: float) -> list[Array]:
    """Return up to MOST full screams of styles from `low` to `high`, from as many voices as there are."""
    found = []
    for pair in pairs.values():
        starts = [0, *pair.ends[:-1]]
        for start, end, intensity, style in zip(starts, pair.ends, pair.intensity, pair.style, strict=True):
            if intensity >= FULL and low <= style <= high and end - start >= FEWEST_S * RATE:
                found.append(pair.screamed[start:end].astype(np.float32) / np.float32(FULL_SCALE))
    return found[:: max(len(found) // MOST, 1)][:MOST]

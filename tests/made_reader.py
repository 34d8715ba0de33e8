"""A reader for tests: four short made takes, and an evaluation of copies that is content with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from test_pairs import speak

from export import evaluate_vocoder
from export.recordings.library import RATE


def write_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write data/voice/anna/*.wav below a folder; what a vocoder copies of them is one short clip."""
    for name, value in {"CLIPS": 1, "SECONDS": 1.5, "LIBROSA_ITERATIONS": 2}.items():
        monkeypatch.setattr(evaluate_vocoder, name, value)
    reader = folder / "data" / "voice" / "anna"
    reader.mkdir(parents=True)
    for i in range(4):
        soundfile.write(reader / f"{i}.wav", speak(60 + i, 1.5, 190.0), RATE)

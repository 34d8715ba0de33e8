"""The demo clip: what is shipped is what its script renders, and what its licence says of it is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.recordings import bands, demo_clip
from export.recordings.effects import PEAK
from export.recordings.library import RATE
from export.recordings.songs import compose
from rtvox.errors import MissingExtraError
from rtvox.features import Array

REST_S = (11.4, 11.9)  # the last word is long over


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch, glottal: Array) -> tuple[Array, Array]:
    """Band and voice with a buzz in place of words; a soundfont in the band would fail."""

    def no_soundfont(*_: object, **__: object) -> Array:
        raise AssertionError("the demo clip may not hold a soundfont")

    monkeypatch.setattr(bands, "fluid", no_soundfont)
    swell = np.sin(np.pi * 4 * np.arange(RATE) / RATE) ** 2
    monkeypatch.setattr(demo_clip, "speak", lambda line: (glottal * swell).astype(np.float32))
    return demo_clip.render()


def test_the_shipped_clip_is_what_the_demo_needs() -> None:
    info = soundfile.info(demo_clip.CLIP)
    assert (info.samplerate, info.channels, info.subtype, info.format) == (RATE, 1, "PCM_16", "FLAC")
    assert info.frames == demo_clip.SECONDS * RATE
    assert demo_clip.CLIP.stat().st_size < 1_500_000
    clip = soundfile.read(demo_clip.CLIP, dtype="float32")[0]
    assert np.abs(clip).max() == pytest.approx(PEAK, abs=1e-3)
    assert abs(float(clip.mean())) < 1e-3
    assert "CC0" in (demo_clip.CLIP.parent / "README.md").read_text()


def test_the_shipped_clip_holds_the_rendered_band(rendered: tuple[Array, Array]) -> None:
    rest = slice(*(int(second * RATE) for second in REST_S))
    shipped, band = soundfile.read(demo_clip.CLIP, dtype="float32")[0][rest], rendered[0][rest]
    assert len(shipped) == len(band) > 0
    gain = float(shipped @ band / (band @ band))  # another voice, another peak
    assert 0.3 < gain < 3.0
    assert np.sqrt(np.mean((shipped - gain * band) ** 2)) < 0.02 * np.sqrt(np.mean(shipped**2))


def test_voice_and_band_are_equally_loud_where_somebody_sings(rendered: tuple[Array, Array]) -> None:
    band, voice = rendered
    assert band.shape == voice.shape == (round(demo_clip.SECONDS * RATE),)
    assert np.abs(band + voice).max() == pytest.approx(PEAK, abs=1e-4)
    sung = np.zeros(len(voice), bool)
    for note in compose(demo_clip.SEED, demo_clip.STYLE, demo_clip.SECONDS).melody:
        sung[int(note.start * RATE) : int((note.start + note.duration) * RATE)] = True
    assert 0.6 < sung.mean() < 1.0
    assert 10 * np.log10(np.mean(voice[sung] ** 2) / np.mean(band[sung] ** 2)) == pytest.approx(0.0, abs=0.1)


def test_without_espeak_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="apt install espeak-ng"):
        demo_clip.speak("Good night.")

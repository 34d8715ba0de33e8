"""Render the clip that `rtvox demo` plays: an original song of twelve seconds, sung by a machine over a machine's band.

In: nothing but this file and its seeds, and the voice that ships, for the words. Out: `rtvox/assets/demo.flac`, 48 kHz,
mono, 16 bit. The band is one of `bands.py` in which only `synth.py` plays, so that no soundfont is in it; its seed is
not among those that train. Voice and band are equally loud where somebody sings: what a model has to find. Run
`python -m export.recordings.demo_clip`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from export.recordings.bands import render_band
from export.recordings.effects import PEAK, biquad, compress, reverb
from export.recordings.library import RATE, read_mono
from export.recordings.made import write_flac
from export.recordings.singing import sing
from rtvox.errors import MissingExtraError
from rtvox.features import Array

CLIP = Path(__file__).parents[2] / "rtvox" / "assets" / "demo.flac"
SECONDS = 12.0
STYLE, SEED = "electronic", 5  # F dorian, 128 bpm, 23 notes to sing in phrases of 8, 8, 5 and 2
SINGER = 89  # of those that begin with the first syllable: hardly any melisma, formants 4 % up, not hard-tuned
SPEED = 0.75  # of the voice: slower than she reads
# A line per phrase and a syllable per note, as `singing.syllables` hears them.
LYRIC = (
    "Sing to the stars, sing to the sea.",
    "Under the stars, under the moon.",
    "Fly, fly, fly so high.",
    "Good night.",
)


def speak(line: str) -> Array:
    """Return a line of text as `rtvox say` reads it, (N,) at 48 kHz.

    Raises: MissingExtraError if that fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "line.wav")
        command = [sys.executable, "-m", "rtvox", "say", line, "-o", str(sound), "--set", f"speed={SPEED}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingExtraError(f"{line!r} cannot be spoken: {done.stderr.strip()}")
        return read_mono(sound)


def render() -> tuple[Array, Array]:
    """Return the band and the voice, each (N,) float32; their sum is the clip, and peaks at -1 dB."""
    played = render_band(SEED, STYLE, SECONDS)
    band = np.sum(list(played.stems.values()), axis=0)
    words = np.concatenate([speak(line) for line in LYRIC])
    voice = sing(words, RATE, played.melody, SINGER, seconds=SECONDS, dry=True)
    voice = reverb(compress(biquad(voice, "high", 100.0), -18.0, 3.0), np.random.default_rng(SINGER), 0.2)
    sung = np.zeros(len(voice), bool)
    for note in played.melody:
        sung[int(note.start * RATE) : int((note.start + note.duration) * RATE)] = True
    voice *= np.sqrt(np.mean(band[sung] ** 2) / np.mean(voice[sung] ** 2))
    fade = np.minimum(1.0, np.arange(len(band))[::-1] / (0.5 * RATE)).astype(np.float32)
    gain = fade * np.float32(PEAK / np.abs((band + voice) * fade).max())
    return band * gain, voice * gain


def main() -> None:
    """Write the clip."""
    band, voice = render()
    write_flac(CLIP, band + voice)
    print(f"{CLIP}: {len(band) / RATE:.0f} s, {CLIP.stat().st_size} bytes")


if __name__ == "__main__":
    main()

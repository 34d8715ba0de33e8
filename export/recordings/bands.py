"""Bands made in code: render a song's instruments to aligned stems, with a melody that a singer can put on top.

Enters: a seed, a style and a length. Leaves: `Band`, mono stems "drums", "bass", "other" and "lead" at 48 kHz of equal
length (none holds a voice: their sum is an accompaniment), with the vocal melody in the same key and time.
Electronic bands are played by `synth.py`, the others (and some parts of those) by the program `fluidsynth` with one of
two soundfonts, both Debian packages: fluid-soundfont-gm (Frank Wen 2000-2008, MIT) and
musescore-general-soundfont-small (S. Christian Collins and others 2018-2021, MIT, parts CC0 or public domain).
TimGM6mb is GPL-2 and therefore not used. Offline; runs in the caller's thread. Same seed and same packages: same
samples. Read next: `songs.py`, which composes, and `singing.py`, which sings.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mido
import numpy as np
import soundfile

from export.recordings.effects import PEAK, biquad, chorus, compress, echo, equalise, level, reverb, saturate
from export.recordings.library import RATE
from export.recordings.songs import (
    CLAP,
    CRASH,
    HAT,
    KICK,
    OPEN,
    RIDE,
    SNARE,
    STICK,
    TAIKO,
    TOM,
    Note,
    Part,
    Song,
    compose,
    generator,
)
from export.recordings.synth import draw_patch, drum_kit, play
from rtvox.errors import MissingExtraError
from rtvox.features import Array

STEMS = ("drums", "bass", "other", "lead")
# Each with its makers and its licence.
SOUNDFONTS = {
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"): ("the soundfont Fluid R3 by Frank Wen", "MIT"),
    Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"): (
        "the soundfont MuseScore General by S. Christian Collins, Michael Cowgill, Frank Wen and others",
        "MIT, parts CC0-1.0 or public domain",
    ),
}

# What a drum machine plays for a General MIDI drum.
MACHINE = {
    KICK: "kick",
    SNARE: "snare",
    CLAP: "clap",
    HAT: "hat",
    OPEN: "open",
    CRASH: "crash",
    RIDE: "ride",
    TOM: "tom",
    STICK: "clap",
    TAIKO: "tom",
}
# General MIDI programs, from 0. Choirs and what is made of them (52-54, 85, 91, 94) come too near a singer.
PROGRAMS: dict[str, dict[str, tuple[int, ...]]] = {
    "electronic": {
        "bass": (38, 39),
        "chords": (4, 5, 50, 51, 62, 81, 90),
        "arp": (6, 11, 12, 46, 80, 81, 98),
        "pad": (50, 88, 89, 92, 95),
        "lead": (80, 81, 82, 84, 87, 12),
    },
    "rock": {
        "bass": (33, 34),
        "chords": (29, 30, 27),
        "arp": (27, 25, 26),
        "pad": (16, 18, 48),
        "lead": (29, 30, 17),
    },
    "pop": {
        "bass": (33, 34, 38),
        "chords": (0, 1, 4, 25, 27),
        "arp": (24, 25, 46, 8, 11),
        "pad": (48, 50, 89),
        "lead": (73, 11, 65, 81, 25, 56),
    },
    "jazz": {
        "bass": (32,),
        "chords": (0, 4, 26),
        "arp": (11, 26),
        "pad": (16, 61),
        "lead": (56, 59, 64, 65, 66, 71, 11),
    },
    "strings": {
        "bass": (42, 43),
        "chords": (48, 49, 44),
        "arp": (45, 46, 0),
        "pad": (48, 49, 60),
        "lead": (40, 41, 68, 71, 73),
    },
}


@dataclass(frozen=True)
class Band:
    """A rendered song: `stems` are (N,) float32 at 48 kHz, aligned, equally long; their sum peaks at -1 dB or less."""

    stems: dict[str, Array]
    melody: list[Note] = field(repr=False)
    bpm: float
    key: str


def fluid(notes: Sequence[Note], program: int, n: int, soundfont: Path, drums: bool = False) -> Array:
    """Play notes with the program `fluidsynth` into (n,) samples, dry.

    Raises: MissingExtraError if fluidsynth or the soundfont is not installed.
    """
    if not notes:
        return np.zeros(n, np.float32)
    ticks = 1000  # per beat of one second
    track, channel = mido.MidiTrack(), 9 if drums else 0
    events = [(round(e.start * ticks), 1, e.midi, round(1 + 126 * e.velocity)) for e in notes]
    events += [(round((e.start + max(e.duration, 0.02)) * ticks), 0, e.midi, 0) for e in notes]
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("program_change", channel=channel, program=program))
    now = 0
    for at, on, midi, velocity in sorted(events):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, channel=channel, note=midi, velocity=velocity, time=at - now))
        now = at
    with tempfile.TemporaryDirectory() as folder:
        song, sound = Path(folder, "part.mid"), Path(folder, "part.wav")
        mido.MidiFile(ticks_per_beat=ticks, tracks=[track]).save(song)
        dry = ["-g", "0.3", "-R", "0", "-C", "0", "-o", "synth.dynamic-sample-loading=1"]
        form = ["-F", str(sound), "-T", "wav", "-O", "s16", "-r", str(RATE)]
        try:
            if not soundfont.exists():  # fluidsynth would play silence
                raise FileNotFoundError(soundfont)
            command = ["fluidsynth", "-ni", "-q", *dry, *form, str(soundfont), str(song)]
            subprocess.run(command, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise MissingExtraError(
                f"fluidsynth could not play with {soundfont}; install the Debian packages fluidsynth, "
                "fluid-soundfont-gm and musescore-general-soundfont-small"
            ) from error
        stereo = soundfile.read(sound, dtype="float32", always_2d=True)[0]
    out = np.zeros(n, np.float32)
    mono = stereo.mean(1)[:n]
    out[: len(mono)] = mono
    return out


def _machine(notes: Sequence[Note], n: int, rng: np.random.Generator) -> Array:
    """Play drum notes on a drawn drum machine."""
    kit, out = drum_kit(rng), np.zeros(n, np.float32)
    for note in notes:
        start = int(note.start * RATE)
        sound = kit[MACHINE[note.midi]][: max(0, n - start)]
        out[start : start + len(sound)] += np.float32(0.5 * note.velocity) * sound
    return out


def _pump(n: int, kicks: Sequence[Note], depth: float, back_s: float) -> Array:
    """The gain curve of a side-chain compressor fed by the kick drum."""
    since = np.full(n, n, np.int64)
    for kick in kicks:
        start = min(int(kick.start * RATE), n)
        since[start : start + RATE] = np.arange(len(since[start : start + RATE]))
    swell = np.minimum(since / RATE / back_s, 1.0)
    return (1 - depth * (1 - swell) ** 2 * np.minimum(1, since / 96)).astype(np.float32)


def _guitar(x: Array, rng: np.random.Generator) -> Array:
    """Amplifier and cabinet: distortion between two filters."""
    x = saturate(biquad(x, "high", 90), float(np.exp(rng.uniform(np.log(3), np.log(40)))), rng.uniform(0, 0.2))
    x = biquad(biquad(x, "low", rng.uniform(3800, 6500)), "low", rng.uniform(5000, 8000))
    x = biquad(x, "bell", rng.uniform(90, 160), rng.uniform(0, 5))
    return biquad(x, "bell", rng.uniform(2000, 3500), rng.uniform(0, 6))


def _sound(song: Song, part: Part, n: int, rng: np.random.Generator, soundfont: Path, machine: bool) -> Array:
    """Choose an instrument for a part and play it with its own effects."""
    electronic = song.style == "electronic"
    if part.role == "drums":
        if machine:
            return _machine(part.notes, n, rng)
        kit = int(rng.choice([24, 25, 26] if electronic else [0, 0, 8, 16]))
        return fluid(part.notes, kit, n, soundfont, drums=True)
    if electronic and rng.random() < 0.8:
        role = {"chords": "stab", "arp": "pluck"}.get(part.role, part.role)
        sound = play(part.notes, draw_patch(rng, role), n, rng)
    else:
        sound = fluid(part.notes, int(rng.choice(PROGRAMS[song.style][part.role])), n, soundfont)
    if song.style == "rock" and part.role in ("chords", "lead") and rng.random() < 0.9:
        sound = _guitar(sound, rng)
    if rng.random() < 0.3 and part.role != "bass":
        sound = chorus(sound, rng)
    if rng.random() < (0.6 if electronic else 0.3) and part.role in ("arp", "lead", "chords"):
        beats = float(rng.choice([0.5, 0.75, 1.0]))
        sound = echo(sound, 60 / song.bpm * beats, rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6))
    return sound


def draw_soundfont(rng: np.random.Generator) -> Path:
    """Draw the soundfont of a band: the first thing that is drawn from its generator of "sound"."""
    return list(SOUNDFONTS)[rng.integers(len(SOUNDFONTS))]


def render_band(seed: int, style: str, seconds: float, rooms: Sequence[Path] = ()) -> Band:
    """Compose and render a band.

    Args:
        seed: draws everything: song, instruments, effects, levels.
        style: one of `STYLES`.
        seconds: length of the stems.
        rooms: impulse response files to draw from beside synthetic rooms.

    Raises: ParameterError for an unknown style; MissingExtraError without fluidsynth and its soundfonts.
    """
    song, rng = compose(seed, style, seconds), generator(seed, style, "sound")
    n, electronic = round(seconds * RATE), style == "electronic"
    soundfont, machine = draw_soundfont(rng), electronic and rng.random() < 0.85
    kicks = [note for note in song.parts[0].notes if note.midi == KICK]
    pump = None
    if electronic and rng.random() < 0.75:
        pump = _pump(n, kicks, rng.uniform(0.3, 0.95), rng.uniform(0.12, 0.3))
    stems = {stem: np.zeros(n, np.float32) for stem in STEMS}
    for part in song.parts:
        sound = level(_sound(song, part, n, rng, soundfont, machine), -20 + rng.uniform(-4, 2))
        if pump is not None and part.role in ("bass", "pad", "chords", "arp"):
            sound = sound * pump
        stems[part.stem] += sound
    wet = {"drums": 0.15, "bass": 0.0, "other": 0.35, "lead": 0.4}
    for stem, sound in stems.items():
        if not np.any(sound):
            continue
        sound = equalise(biquad(sound, "high", 25.0), rng)  # some samples of the soundfonts rumble below all notes
        if rng.random() < 0.6:
            sound = compress(sound, rng.uniform(-24, -10), rng.uniform(1.5, 5))
        if wet[stem] and rng.random() < 0.8:
            sound = reverb(sound, rng, wet[stem] * rng.uniform(0.3, 1.6), rooms)
        stems[stem] = level(sound, {"drums": -20, "bass": -21, "other": -20, "lead": -23}[stem] + rng.uniform(-3, 3))
    peak = float(np.abs(np.sum(list(stems.values()), axis=0)).max())
    gain = np.float32(min(1.0, PEAK / max(peak, 1e-9)))
    return Band({stem: sound * gain for stem, sound in stems.items()}, song.melody, song.bpm, song.key)

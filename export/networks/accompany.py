"""`accompany`: a causal U-Net that hears a voice and makes the music around it.

In: complex spectra of a voice (real and imaginary as the last axis), and hints: a tempo, a key. Out: spectra of music,
and as much of the voice as is asked for. The U-Net of `band_unet.py` says of each band how loud the music is, how
noisy, and by how much its pitch strays from the middle of its bins; magnitudes are its own, and so are the phases:
those of a bank of tones, all semitones at 440 Hz, of which the nearest two are heard in each bin, jumping where there
is noise. So what sounds is in tune, and no phase adds up what two machines compute differently. A clock, whose state is
a place in a bar of four beats, tells the network where a beat is. The music follows the voice: it fades in with it, and
out when it pauses. Runs in whichever thread calls it. Read next: `../tasks/accompany.py`, which trains it.

Source: Isola et al. 2017, "Image-to-image translation with conditional adversarial networks" (pix2pix: U-Net, L1 plus a
patch discriminator); here on float spectra that stream, magnitude and phase as channels, in place of 8-bit pictures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.band_unet import COMPRESSION, EPSILON, SEEN, BandUNet
from export.networks.streaming import Generators, scan
from export.recordings.songs import SCALES
from rtvox.features import FeatureSpec
from rtvox.params import Param

MODES = ("major", "minor")
BEATS = 4.0  # of a bar
TURNS = (0.25, 1.0, 2.0, 4.0)  # of the clock's hands per beat: a bar, a beat, an eighth, a sixteenth
TICK = 2.0**18  # of a beat, the clock's steps: tempi are right to 0.04 bpm, and nothing rounds
HANDS = 2 * len(TURNS)  # channels: sine and cosine of each
HINTS = HANDS + 2  # and how near bands are to the key's tonic, and scale
MADE = 3  # numbers of each band of music: see `split`
# How the music follows the voice: by the largest compressed magnitude of its bands, in frames of 5.3 ms.
WAKE = 1.0  # a tone of -48 dB
RISE, FALL = 1.0 / 20.0, 1.0 / 1500.0  # per frame: in within 0.1 s; 7 dB down after 2 s, 36 dB after 10 s
LOUDEST = 4.0  # compressed magnitude of a band: more than any music at full scale has
LOW_HZ = 27.5  # A, the lowest of the tones
TONES = 110  # a semitone apart, to 14.9 kHz
# With a key, only its tones sound, and no more of them than bins can tell apart: tonic and fifth, from here the chord's
# third, from there the whole scale.
THIRD_HZ, SCALE_HZ = 130.0, 400.0
TURN = 4096  # steps of a tone's phase, which are whole numbers: frequencies are right to 0.02 Hz, and nothing rounds
JUMPERS = 800  # sources of chance for noise: bins so far apart, 19 kHz, share one

CONTROLS = (
    Param("voice", "", 0.0, 1.0, 1.0, 20.0, "How much of the voice is heard beside its music."),
    Param("tempo", "bpm", 0.0, 240.0, 120.0, 0.0, "Beats per minute of the music; 0: without a beat."),
    Param("downbeat", "", 0.0, 1.0, 0.0, 0.0, "1 holds the bar at its first beat; it runs from there at 0."),
    Param("key", "", 0.0, 24.0, 0.0, 0.0, "Key it keeps to: 1, C, to 12, B major; 13, C, to 24, B minor; 0: none."),
)


class Accompany(BandUNet):
    """The network; see `FrameNetwork`."""

    role = "mask"
    resynthesis = "istft"
    controls = CONTROLS
    probe = 0.0, 1.0
    tonics: Tensor  # (keys, F), how near each band is to the key's tonic
    scales: Tensor  # (keys, F), and to some tone of its scale
    below: Tensor  # ((1 + keys) * TONES,): for no key, and each, the tone that is allowed at or below each tone
    above: Tensor  # and the one that is allowed above it
    rate: Tensor  # of each tone's phase, in steps per frame
    offset: Tensor  # (K * TONES,), in turns: the phase at which a bin sees a tone of phase 0
    jumper: Tensor

    def __init__(self, spec: FeatureSpec, **sizes: Any) -> None:
        """Args: sizes: of the U-Net, as `BandUNet` has them."""
        slowest = spec.hop / spec.sample_rate / 3.0  # longer memories than half of what it trains on drift beyond
        super().__init__(spec, **sizes, inputs=SEEN + HINTS - HANDS, outputs=MADE, slowest=slowest)
        hz = LOW_HZ * 2.0 ** (np.arange(TONES) / 12.0)
        rate = np.round(hz * spec.hop / spec.sample_rate * TURN) % TURN
        self.bands = len(self.edges) - 1
        self.score = nn.Sequential(nn.Linear(HANDS, 64), nn.ReLU(), nn.Linear(64, MADE * self.bands))
        nearness = _nearness(self.edges, spec)
        of_keys = _tones_of_keys()
        below, above = _neighbours(hz, of_keys)
        self.register_buffer("tonics", nearness.repeat(len(MODES), 1), persistent=False)
        self.register_buffer("scales", (of_keys[..., None] * nearness).amax(1), persistent=False)
        self.register_buffer("below", below, persistent=False)
        self.register_buffer("above", above, persistent=False)
        self.keep({"rate": rate})
        self.register_buffer("offset", _offsets(hz, spec), persistent=False)
        self.register_buffer("jumper", torch.arange(spec.n_bins) % JUMPERS, persistent=False)
        self.noise_power = _noise_power(spec)
        self.chance = Generators(JUMPERS)
        self.states = [*self.states, "beat", "follow", "tones", "chance"]
        self.state_shapes = [*self.state_shapes, (1,), (1,), (TONES,), (JUMPERS,)]

    def forward(
        self, spectrum: Tensor, voice: Tensor, tempo: Tensor, downbeat: Tensor, key: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Accompany frames.

        Args:
            spectrum: (B, T, K, 2) real and imaginary parts of the voice.
            voice: (1,) how much of it stays. tempo: (1,) beats per minute or 0. downbeat: (1,) 1 holds the bar.
            key: (1,) 1 to 24, or 0.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, K, 2) spectra and the next state. Delay: none.
        """
        *heard, beat, follow, tones, place = state
        features, seen = self.features(spectrum, heard[:2])
        beats, beat = self.clock(tempo, downbeat, beat, spectrum.shape[1])
        hints = self.hints(beats, tempo.expand_as(beats), key.expand_as(beats))
        made, after = self.play(features, hints, heard[2:])
        gate, follow = self.follow(features[:, 0], follow)
        music, tones, place = self.sound(made, gate, key, tones, place)
        return music + voice[..., None] * spectrum, [*seen, *after, beat, follow, tones, place]

    def play(self, features: Tensor, hints: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return (B, MADE, T, F), to be `split`, of (B, SEEN, T, F) features and (B, HINTS, T, F) hints; the state."""
        clock, key = hints[:, :HANDS, :, 0], hints[:, HANDS:]
        beats = self.score(clock.transpose(1, 2)).unflatten(-1, (MADE, self.bands)).transpose(1, 2)
        made, state = self.unet(torch.cat([features, key], 1), state)
        return made + beats, state

    def clock(self, tempo: Tensor, downbeat: Tensor, beat: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Return (B, T, 1) places in a bar, in beats, and the last of them, given the one before, (B, 1)."""
        step = torch.round(tempo / 60.0 * (self.spec.hop / self.spec.sample_rate) * TICK) / TICK
        ran = beat[:, None] + step * torch.arange(1, frames + 1, device=beat.device)[None, :, None]
        beats = (ran - BEATS * torch.floor(ran / BEATS)) * (downbeat < 0.5).to(beat.dtype)
        return beats, beats[:, -1]

    def hints(self, beats: Tensor, tempo: Tensor, key: Tensor) -> Tensor:
        """Return (B, HINTS, T, F) channels of places in a bar, tempi and keys (B, T, 1); zeros where none is given."""
        given = torch.clamp(tempo, 0.0, 1.0)
        turn = 2.0 * math.pi * torch.cat([beats * turns for turns in TURNS], -1)
        clock = given * torch.cat([torch.sin(turn), torch.cos(turn)], -1)
        chosen = torch.relu(1.0 - (key - torch.arange(1.0, 1.0 + 12 * len(MODES), device=key.device)).abs())
        bands = clock.transpose(1, 2)[..., None].expand(-1, -1, -1, self.tonics.shape[1])
        return torch.cat([bands, (chosen @ self.tonics)[:, None], (chosen @ self.scales)[:, None]], 1)

    def follow(self, level: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, 1) from 0 to 1, how much music goes with a voice's (B, T, F) magnitudes; and the last of it."""
        awake = torch.clamp((level.amax(-1, keepdim=True) - WAKE) / WAKE, 0.0, 1.0)
        rate = torch.where(awake > 0.0, RISE * awake, torch.full_like(awake, FALL))
        gates = scan(rate, (awake > 0.0).to(awake.dtype), gate)
        return gates, gates[:, -1]

    def split(self, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a U-Net's compressed magnitudes, noisiness (0 to 1) and stray pitch (-1 to 1 bins), each (B, T, F)."""
        return LOUDEST * torch.sigmoid(made[:, 0]), torch.sigmoid(made[:, 1]), torch.tanh(made[:, 2])

    @torch.no_grad()
    def begin_with(self, level: Tensor, noisy: Tensor) -> None:
        """Let what is played before anything is learnt have compressed magnitudes and noisiness (F,)."""
        logits = [torch.logit(level / LOUDEST, 0.01), torch.logit(noisy, 0.01), torch.zeros_like(level)]
        self.score.get_parameter("2.bias").copy_(torch.cat(logits))

    def sound(
        self, made: Tensor, gate: Tensor, key: Tensor, tones: Tensor, place: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, T, K, 2) spectra of what a U-Net made, and the next phases of the tones and places in chance."""
        level, noisy, stray = (x[..., self.band_of_bin] for x in self.split(made))
        magnitude = torch.sqrt(torch.clamp_min((gate * level) ** (2.0 / COMPRESSION) - EPSILON, 0.0))
        phases, tones = self.turn(made.shape[2], tones)
        drawn, place = self.chance.draw(made.shape[2], place)
        magnitude = magnitude * torch.rsqrt(1.0 - noisy * (1.0 - self.noise_power))
        jump = 0.5 * noisy * drawn[..., self.jumper]
        number = torch.arange(self.spec.n_bins, device=made.device)
        hz = torch.clamp_min(number + stray, 0.1) * (self.spec.sample_rate / self.spec.n_fft)
        tone = torch.clamp(12.0 * torch.log2(hz / LOW_HZ), 0.0, TONES - 1.001)
        allowed = torch.round(key).long() * TONES + torch.floor(tone).long()
        lower, upper = self.below[allowed], self.above[allowed]
        place_between = torch.clamp((tone - lower) / (upper - lower), 0.0, 1.0)
        heard = torch.zeros(*level.shape, 2, device=made.device)
        for index, near in ((lower, 1.0 - place_between), (upper, place_between)):
            turns = torch.gather(phases, 2, index) + self.offset[number * TONES + index] + jump
            angle = 2.0 * math.pi * turns
            heard = heard + near[..., None] * torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        power = place_between.square() + (1.0 - place_between).square()
        return (magnitude * torch.rsqrt(power))[..., None] * heard, tones, place

    def turn(self, frames: int, tones: Tensor) -> tuple[Tensor, Tensor]:
        """Return the phases of the tones, (B, T, TONES) in turns, and the last of them in steps, (B, TONES)."""
        if frames == 1:
            steps = torch.fmod(tones + self.rate, TURN)[:, None]
        else:
            count = torch.arange(1, frames + 1, device=tones.device)[:, None]
            steps = ((tones[:, None].long() + count * self.rate.long()) % TURN).to(tones.dtype)
        return steps / TURN, steps[:, -1]

    @torch.no_grad()
    def wanted(self, music: Tensor) -> Tensor:
        """Return (B, MADE, T, F): what `split` should say of (B, T, K, 2) spectra of music."""
        level, strange, _ = self.features(music, self.zero_state(len(music))[:2])[0].unbind(1)
        noisy = torch.clamp(0.5 * (strange / level) ** (2.0 / COMPRESSION), 0.0, 1.0)  # two noises differ by twice one
        now, step = torch.view_as_complex(music), 2.0 * math.pi * self.spec.hop / self.spec.n_fft
        own = torch.arange(self.spec.n_bins, device=music.device) * step
        bins = torch.angle(now[:, 1:] * now[:, :-1].conj() * torch.polar(torch.ones_like(own), -own)) / step
        power = music.square().sum(-1)
        stray = self.pooled(power * nn.functional.pad(torch.clamp(bins, -1.0, 1.0), (0, 0, 1, 0)))
        return torch.stack([level, noisy, stray / (self.pooled(power) + EPSILON)], 1)


def _offsets(hz: np.ndarray, spec: FeatureSpec) -> Tensor:
    """Return (K * n,), in turns: the phase that each bin has of n tones whose phase is 0 at a frame's last sample."""
    time = np.arange(1 - spec.n_fft, 1) / spec.sample_rate
    seen = np.fft.rfft(spec.analysis_window() * np.cos(2.0 * np.pi * hz[:, None] * time))
    return torch.tensor((np.angle(seen).T / (2.0 * np.pi)).reshape(-1), dtype=torch.float32)


def _noise_power(spec: FeatureSpec) -> float:
    """Return the power of a noise of power 1 that is synthesised from its magnitudes, all phases left to chance.

    Spread over a frame it loses what the analysis window had put at the end, and what overlaps adds up less.
    """
    spread = np.square(spec.analysis_window()).mean()
    return float(spread * np.square(spec.synthesis_window()).sum() / spec.hop)


def _nearness(edges: list[int], spec: FeatureSpec) -> Tensor:
    """Return (12, F): how near each band is to each tone from C in some octave, 1 at it, 0 from a semitone on."""
    middle = torch.clamp_min((torch.tensor(edges[:-1]) + torch.tensor(edges[1:]) - 1.0) / 2.0, 0.5)
    from_c = 12.0 * torch.log2(middle * spec.sample_rate / spec.n_fft / LOW_HZ) - 3.0
    away = (from_c - torch.arange(12.0)[:, None] + 6.0) % 12.0 - 6.0
    return torch.clamp_min(1.0 - away.abs(), 0.0)


def _tones_of_keys() -> Tensor:
    """Return (keys, 12): 1 where a tone, counted from C, is in the scale of a key."""
    return torch.stack(
        [torch.eye(12)[[(tonic + s) % 12 for s in SCALES[m]]].sum(0) for m in MODES for tonic in range(12)]
    )


def _neighbours(hz: np.ndarray, of_keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return for no key, and each, which of n tones is allowed at or below each, and which above: ((1 + keys) * n,)."""
    rows = [np.ones(len(hz), bool)]
    for key, scale in enumerate(of_keys.numpy() > 0.0):
        degree = (np.arange(len(hz)) - 3 - key) % 12  # semitones from the tonic; the lowest tone is an A
        third = SCALES[MODES[key // 12]][2]
        chord = (degree == 0) | (degree == 7) | ((degree == third) & (hz >= THIRD_HZ))
        rows.append(np.where(hz < SCALE_HZ, chord, scale[(degree + key) % 12]))
    allowed = [np.flatnonzero(row) for row in rows]
    below = [a[np.clip(np.searchsorted(a, np.arange(len(hz)), "right") - 1, 0, len(a) - 2)] for a in allowed]
    above = [a[np.searchsorted(a, b) + 1] for a, b in zip(allowed, below, strict=True)]
    return torch.tensor(np.concatenate(below)), torch.tensor(np.concatenate(above))

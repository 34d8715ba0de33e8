"""`vocoder`: log-mel frames and the pitch of the voice to spectra whose overlap-add is its sound, causal.

In: log-mel frames, pitch and voicing. Out: one spectrum (K,) per frame, two hops late. What vibrates and what hisses
are made first: a pulse train at the pitch and a noise, each a continuous stretch of samples, seen through the mel's own
window. The network says, per frame and bin, how the two share the spectrum, and by how much the pulses' phase turns;
then every band gets what it lacks of the mel that was asked for, give or take what the network knows better. So a tone
holds its pitch and the spectrum is about right from the first step of training on, and silence is silent. Runs in
whichever thread calls it. Read next: `../tasks/vocoder.py`, which trains it.

Sources: Siuzdak 2024, "Vocos" (ConvNeXt on frames, inverse STFT); Lv et al. 2024, "FreeV" (the mel's inverse as prior);
Li et al. 2023, "HiFTNet", and Yoneyama et al. 2025, "Wavehax" (harmonic prior in the spectrum); Engel et al. 2020,
"DDSP" (harmonics plus filtered noise).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from export.networks.mel_vocoder import MelVocoder, ahead, hiss, limited
from export.networks.streaming import Generators
from rtvox.features import FeatureSpec

STEPS_PER_TURN = 2.0**20  # of a pulse's phase per sample: products with 256 and sums of turns stay exact in float32
AHEAD = 1.5  # hops from the middle of what the tracker hears, 768 samples ago, to that of the pulses that are settled
HIGHEST_HZ = 22000.0  # of a pulse train's harmonics
FAINT = 0.15  # a band where the excitation is so far below white, between two harmonics, is not lifted further


class Vocoder(MelVocoder):
    """The network; see `FrameNetwork`. Its spectra lie two frames back: the manifest's look-ahead."""

    resynthesis = "overlap-add"
    look_ahead = 2
    hiss: Tensor
    faint: Tensor
    cosines: Tensor
    sines: Tensor
    start: Tensor

    def __init__(self, spec: FeatureSpec, channels: int = 160, blocks: int = 4, expand: int = 2, time: int = 7) -> None:
        super().__init__(spec, 3, channels, blocks, expand, time)
        self.noise = Generators(spec.hop)
        self.keep(_constants(spec, self.bank.numpy()))
        self.states = [*self.states, "pulse_place", "noise_place", "pulse_past", "noise_past"]
        self.state_shapes = [*self.state_shapes, (1,), (spec.hop,), (2, spec.hop), (3, spec.hop)]

    def random_state(self, batch: int) -> list[Tensor]:
        """Return the state of a silent past whose pulse and noise begin anywhere: what training starts from."""
        state = self.zero_state(batch)
        state[-4] = torch.floor(torch.rand_like(state[-4]) * 2.0**12) / 2.0**12
        state[-3] = self.noise.anywhere(batch)
        return state

    def forward(self, mel: Tensor, pitch: Tensor, voicing: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Make spectra.

        Args:
            mel: (B, T, M) log-mel.
            pitch: (1,) or (B, T, 1), in Hz.
            voicing: (1,) or (B, T, 1), 0 to 1.
            state: tensors of `state_shapes`, each with a leading B.

        Returns:
            (B, T, K, 2) real and imaginary, for `overlap_add`, and the next state. Delay: two hops.
        """
        every = torch.ones_like(mel[..., :1])
        pitch, voicing = every * pitch, every * voicing
        voice, new = self.voice(mel, pitch, voicing, state[: len(self.blocks)])
        with torch.autocast(mel.device.type, enabled=False):  # half a mantissa would be heard
            real, imaginary, after = self.excite(pitch, state[len(self.blocks) :])
            return self.colour(mel, voice.float(), real, imaginary), new + after

    def colour(self, mel: Tensor, voice: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        """Mix pulses and noise (B, T, 2, K) as `voice` (B, T, 3, K) says, and give the mix the mel asked for."""
        gain, part, phase = voice.unbind(2)
        along, across = part * torch.cos(phase), part * torch.sin(phase)
        (a, c), (b, d) = real.unbind(2), imaginary.unbind(2)
        a, b = along * a - across * b + (1.0 - part) * c, along * b + across * a + (1.0 - part) * d
        # What a band lacks of the mel's, all bins under it get.
        heard = torch.sqrt(a * a + b * b + 1e-9) @ self.bank.T
        lack = self.energy(mel) / torch.sqrt(heard * heard + self.faint)
        size = torch.exp(gain) * (lack @ self.spread.T)
        c, d = self.start
        return torch.stack([size * (a * c - b * d), size * (a * d + b * c)], -1)

    def voice(self, mel: Tensor, pitch: Tensor, voicing: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return (B, T, 3, K): gain in nat, part of the pulses (0 to 1), their phase; and the blocks' next states."""
        made, new = self.listen(mel, pitch, voicing, state)
        gain, part, phase = made.unbind(2)
        part = torch.sigmoid(part + 8.0 * (voicing - 0.4) - self.hiss)
        return torch.stack([limited(gain), part, phase], 2), new

    @torch.no_grad()
    def excite(self, pitch: Tensor, state: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the (B, T, 2, K) real and imaginary parts of pulses and noise under the mel's window, and the state.

        Seen from the middle of the window. The pulses of the newest hop but one are for good; those of the newest, at
        the rim of the window, are as they will be if the pitch stays.
        """
        pitch_past, place, noise_place, pulse_past, noise_past = state
        hop, frames = self.spec.hop, pitch.shape[1]
        pitch, pitch_past = ahead(pitch, pitch_past, AHEAD)
        step = torch.round(pitch * (STEPS_PER_TURN / self.spec.sample_rate)) / STEPS_PER_TURN
        advance = step * hop
        if frames == 1:
            begin = place[:, None]
            place = _part(place + advance[:, 0])
        else:
            ends = place[:, None].double() + advance.double().cumsum(1)
            begin, place = _part(ends - advance).float(), _part(ends[:, -1]).float()
        count, along = torch.floor(HIGHEST_HZ / pitch), step * torch.arange(hop, device=pitch.device)
        pulses = torch.cat([pulse_past, _pulse_train(begin + along, count)], 1)
        rim = _pulse_train(_part(begin + advance) + along, count)
        white, noise_place = self.noise.draw(frames, noise_place)
        noise = torch.cat([noise_past, white * 3.0**0.5], 1)
        sounds = torch.stack(
            [
                torch.cat([*(pulses[:, i : i + frames] for i in range(3)), rim], -1),
                torch.cat([noise[:, i : i + frames] for i in range(4)], -1),
            ],
            2,
        )
        older, newer = sounds.chunk(2, -1)
        newer = torch.flip(newer, [-1])
        after = [pitch_past, place, noise_place, pulses[:, -2:], noise[:, -3:]]
        return (older + newer) @ self.cosines, (newer - older) @ self.sines, after


def _part(turns: Tensor) -> Tensor:
    return turns - torch.floor(turns)


def _pulse_train(turns: Tensor, count: Tensor) -> Tensor:
    """Return the sum of the first `count` cosines at a phase in turns, at unit power: the Dirichlet kernel."""
    away = turns - torch.round(turns)
    away = torch.where(away.abs() < 0.5 / STEPS_PER_TURN, torch.full_like(away, 0.5 / STEPS_PER_TURN), away)
    many = (2.0 * count + 1.0) * away
    many = many - 2.0 * torch.round(many / 2.0)  # small arguments: any two machines then agree on the sine
    return (torch.sin(math.pi * many) / torch.sin(math.pi * away) - 1.0) * torch.rsqrt(2.0 * count)


def _constants(spec: FeatureSpec, bank: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fixed linear maps of the network that the mel's bank (M, K) does not say."""
    n_fft, k = spec.n_fft, np.arange(spec.n_bins)
    # Mean magnitude of a white noise of unit power.
    level = math.sqrt(np.sum(spec.analysis_window().astype(np.float64) ** 2)) * math.sqrt(math.pi) / 2.0
    omega = 2.0 * np.pi * k / n_fft
    place = np.arange(n_fft // 2) - (n_fft - 1) / 2
    start = (n_fft - 1) / 2 - spec.hop  # from the second hop of the window, where the frame begins, to its middle
    window = spec.analysis_window()[: n_fft // 2, None].astype(np.float64)
    return {
        "faint": (FAINT * level * bank.astype(np.float64).sum(1)) ** 2 + 1e-12,
        "hiss": 3.0 * hiss(spec),
        "cosines": window * np.cos(np.outer(place, omega)),
        "sines": window * np.sin(np.outer(place, omega)),
        "start": np.stack([np.cos(omega * start), -np.sin(omega * start)]),
    }

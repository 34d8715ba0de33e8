"""`say`: tokens of a sentence to log-mel frames with their pitch, six frames a step: text to speech that streams.

In: the tokens of a sentence, and how fast to speak. Out: frames, one step after the other, and where the sentence ends.
An encoder reads all tokens at once and says how long each of them lasts; a decoder then goes from step to step, hears
the last frame that it made, and sees the tokens that sound now; a post-net smooths what came out. Runs in whichever
thread calls it. Read next: `../tasks/say.py`, which trains it.

Where Tacotron 2 learns whom to attend to, and when to stop, from sound alone, here the attention is a Gaussian around
each token at the place that the durations give (Non-Attentive Tacotron). It cannot skip, repeat or fail to end, and the
decoder need not learn it: with hours of a GPU that is a choice, with an hour of one core it is what makes speech of it.

Sources: Shen et al. 2018, "Natural TTS synthesis by conditioning WaveNet on mel spectrogram predictions" (Tacotron 2:
pre-net with dropout, autoregressive decoder, post-net); Shen et al. 2020, "Non-attentive Tacotron" (durations, Gaussian
upsampling); Wang et al. 2017, "Tacotron" (several frames per step); Liu et al. 2022, "A ConvNet for the 2020s".
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from export.networks.mel_vocoder import CausalBlock
from export.networks.streaming import FrameNetwork, Generators
from rtvox.features import Array, FeatureSpec
from rtvox.manifest import SPEECH_FRAMES, SPEECH_MEASURES
from rtvox.params import Param
from rtvox.phonemes import MAX_TOKENS, TOKENS, sentences

SPEED = Param("speed", "", 0.5, 2.0, 1.0, 0.0, "How fast it speaks: 2 is twice as fast.")
MEAN, DEVIATION = -6.0, 3.0  # of log-mel: what the network computes with
REST_PITCH, PITCH_DEVIATION = math.log(200.0), 0.25  # of the natural log of the pitch in Hz
SHORTEST, LONGEST = 1.0, 150.0  # frames that a token may last: 0.8 s
GRAIN = 16.0  # parts of a frame in which durations are counted
SIGHTS = 3  # places within a step from which the decoder sees the tokens
BLUR = 0.5, 0.5  # deviation of a token's Gaussian: part of its duration, and frames
PROBE = (  # most sounds of English, and of many languages that read it their way
    "The quick brown fox jumps over the lazy dog, while a boy measures the vague azure of a joyful choir, "
    "and both thought that this would be the very thing you chose"
)
FIRST = 16.0  # of log-duration at the first step of training: e^2.8 frames


class TokenBlock(nn.Module):
    """ConvNeXt block over tokens (B, L, C), which sees both sides; `sounds` (B, L, 1) is 0 behind the last token."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.taps = nn.Conv1d(channels, channels, width, padding=width // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, sounds: Tensor) -> Tensor:
        """Map (B, L, C) to the same shape."""
        y = self.norm(self.taps(x.transpose(1, 2)).transpose(1, 2))
        return (x + self.drop(self.narrow(nn.functional.gelu(self.widen(y))))) * sounds


class Say(FrameNetwork):
    """The network; see `FrameNetwork`. What it is given is a whole sentence at each step; that of the first one counts.

    A step makes SPEECH_FRAMES frames: of each, M log-mel, the logarithm of the pitch in Hz, voicing from 0 to 1, and 1
    until the sentence has ended, then 0. Training calls `encode`, `look`, `decode` and `refine`; a graph, `begin` and
    `step`. A state of zeros is that of a sentence's beginning.
    """

    role = "speaker"
    resynthesis = "vocoder"
    hops = SPEECH_FRAMES
    controls = (SPEED,)

    def __init__(
        self, spec: FeatureSpec, channels: int = 192, blocks: int = 5, hidden: int = 384, smooth: int = 128,
        domains: tuple[str, ...] = ("en-us",),
    ) -> None:  # fmt: skip
        super().__init__()
        self.spec, self.domains, self.frame = spec, domains, spec.n_mels + SPEECH_MEASURES - 1
        prenet = hidden // 3
        self.embed = nn.Embedding(TOKENS, channels)
        self.blocks = nn.ModuleList([TokenBlock(channels, 5) for _ in range(blocks)])
        self.pace = nn.ModuleList([TokenBlock(channels, 3) for _ in range(2)])
        self.last = nn.Linear(channels, 1)
        nn.init.constant_(self.last.bias, math.log(FIRST))
        self.length = nn.Linear(1, channels)
        self.prenet = nn.ModuleList([nn.Linear(self.frame, prenet), nn.Linear(prenet, prenet)])
        self.see = nn.Linear(SIGHTS * channels, hidden - prenet)
        self.gru = nn.GRU(hidden, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(2 * hidden - prenet, SPEECH_FRAMES * self.frame)
        self.enter = nn.Linear(self.frame, smooth)
        smoothers = [CausalBlock(smooth, 2, 7) for _ in range(3)]
        self.smooth = nn.ModuleList(smoothers)
        self.leave = nn.Linear(smooth, self.frame)
        nn.init.normal_(self.leave.weight, std=0.01)
        self.dice = Generators(2 * prenet)
        self.states = ["memory", "durations", "step", "last", "hidden", "dice"] + [f"smooth_{i}" for i in range(3)]
        self.state_shapes: list[tuple[int, ...]] = [
            (MAX_TOKENS, channels), (MAX_TOKENS,), (1,), (self.frame,), (2, hidden), (2 * prenet,),
            *(block.state_shape for block in smoothers),
        ]  # fmt: skip

    def forward(self, tokens: Tensor, speed: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Map (1, T, MAX_TOKENS) to (1, T, SPEECH_FRAMES * (M + SPEECH_MEASURES)), and return the next state."""
        out = []
        for t in range(tokens.shape[1]):
            if state[2] == 0.0:
                state = [*self.begin(tokens[:, t : t + 1], speed), *state[2:]]
            frames, state = self.step(state)
            out.append(frames)
        return torch.cat(out, 1), state

    def probes(self, frames: int) -> Array:
        """Return (T, MAX_TOKENS): one sentence at every step. Raises: MissingExtraError if espeak-ng is not there."""
        spoken = next(sentences(PROBE, self.domains[0]))
        tokens = np.zeros((frames, MAX_TOKENS), np.float32)
        tokens[:, : len(spoken)] = spoken
        return tokens

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is known of (B, L) tokens, (B, L, C), and (B, L) the logarithm of the frames that each lasts."""
        sounds = (tokens > 0)[..., None].to(self.head.weight.dtype)
        x = self.embed(tokens) * sounds
        for block in self.blocks:
            x = block(x, sounds)
        y = x.detach()  # durations are learnt from what the sound needs known, and do not pull at it
        for block in self.pace:
            y = block(y, sounds)
        return x, self.last(y)[..., 0]

    def look(self, memory: Tensor, durations: Tensor, first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return what the decoder sees at each of S steps, (B, S, SIGHTS * C), and its attention (B, S * SIGHTS, L).

        Args:
            durations: (B, L) frames, 0 where there is no token.
            first: (B, 1) number of the first step.
        """
        ends = torch.cumsum(durations, 1)
        known = memory + self.length(torch.log(durations + 1.0)[..., None])
        width = BLUR[0] * durations + BLUR[1]
        places = torch.arange(steps * SIGHTS, device=memory.device).to(memory.dtype)
        times = first * SPEECH_FRAMES + (places + 0.5) * (SPEECH_FRAMES / SIGHTS)
        times = torch.minimum(times, ends[:, -1:])  # (B, S * SIGHTS); beyond the end, the last token goes on
        off = (times[..., None] - (ends - durations / 2.0)[:, None]) / width[:, None]
        score = -0.5 * off.square() - torch.log(width)[:, None] - 1e4 * (durations <= 0.0).to(memory.dtype)[:, None]
        attention = torch.softmax(score, -1)
        return (attention @ known).reshape(len(memory), steps, -1), attention

    def decode(self, seen: Tensor, heard: Tensor, hidden: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (B, S * SPEECH_FRAMES, F) frames before the post-net, and the next (2, B, H) hidden state.

        Args:
            heard: (B, S, F) the last frame before each step.
            kept: (B, S, 2 * prenet) 0 or 2, which of the pre-net's outputs are dropped; None draws them.
        """
        x = heard
        parts = [None, None] if kept is None else kept.chunk(2, -1)
        for layer, part in zip(self.prenet, parts, strict=True):
            x = torch.relu(layer(x))
            x = nn.functional.dropout(x) if part is None else x * part
        seen = self.see(seen)
        y, hidden = self.gru(torch.cat([x, seen], -1), hidden)
        return self.head(torch.cat([y, seen], -1)).reshape(len(heard), -1, self.frame), hidden

    def refine(self, frames: Tensor, pasts: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return (B, T, F) frames after the post-net, and its next state."""
        x, after = self.enter(frames), []
        for block, past in zip(self.smooth, pasts, strict=True):
            x, past = block(x, past)
            after.append(past)
        return frames + self.leave(x), after

    def begin(self, tokens: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory (1, L, C) and the durations (1, L) of (1, 1, L) tokens, which are numbers of any kind."""
        tokens = tokens[:, 0]
        memory, length = self.encode(tokens.long())
        durations = torch.clamp(torch.exp(length) / speed, SHORTEST, LONGEST)
        durations = torch.round(durations * GRAIN) / GRAIN  # their sums are exact in float32, here and in onnxruntime
        return memory, durations * (tokens > 0)

    def step(self, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return one step's frames, (1, 1, SPEECH_FRAMES * (M + SPEECH_MEASURES)), and the next state."""
        memory, durations, count, last, hidden, dice, *pasts = state
        seen = self.look(memory, durations, count, 1)[0]
        drawn, dice = self.dice.draw(1, dice)
        frames, hidden = self.decode(seen, last[:, None], hidden.transpose(0, 1), 2.0 * (drawn > 0.0))
        last = frames[:, -1]
        frames, pasts = self.refine(frames, pasts)
        at = count[..., None] * SPEECH_FRAMES + torch.arange(SPEECH_FRAMES)[None, :, None]
        more = (at < durations.sum(1)[:, None, None]).to(frames.dtype)
        out = torch.cat([to_speech(frames, self.spec), more], -1)
        return out.flatten(1)[:, None], [memory, durations, count + 1.0, last, hidden.transpose(0, 1), dice, *pasts]


def to_speech(frames: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn frames (..., F) as the network computes with them into log-mel, log-pitch, and voicing from 0 to 1."""
    mel = torch.clamp(frames[..., : spec.n_mels] * DEVIATION + MEAN, math.log(spec.floor), 4.0)
    pitch = torch.clamp(frames[..., spec.n_mels : -1], -4.0, 4.0) * PITCH_DEVIATION + REST_PITCH
    return torch.cat([mel, pitch, torch.clamp(frames[..., -1:], 0.0, 1.0)], -1)


def from_speech(mel: Tensor, pitch: Tensor, voicing: Tensor) -> Tensor:
    """Turn (T, M) log-mel, (T,) pitch in Hz and (T,) voicing into frames (T, F) that the network computes with."""
    told = (torch.log(pitch) - REST_PITCH) / PITCH_DEVIATION
    return torch.cat([(mel - MEAN) / DEVIATION, told[:, None], voicing[:, None]], -1)

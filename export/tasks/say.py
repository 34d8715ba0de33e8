"""The training of `say`: prepared sentences, frames and durations beside those of the recordings.

In: a recipe and prepared sentences. Out: a Lightning module for `train.py`. The decoder hears the recording's own last
frame before each step, half of it dropped in the pre-net; items of about one length share a batch. Read next:
`../networks/say.py`, `../evaluate_say.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from export.networks.say import Say, from_speech
from export.recipe import Recipe
from export.recordings.drawing import worker_generator
from export.recordings.sentences import Sentence, read_sentences
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC
from rtvox.manifest import SPEECH_FRAMES

SPEC = MEL_SPEC
POOL = 8  # batches that are drawn at once and sorted by length
HELD_SENTENCES = 48
MEASURE_WEIGHT = 6.0  # of pitch, where there is one, and of voicing, beside each of the M bands
WEIGHTS = {"decoder": 0.5, "mel": 1.0, "duration": 0.2}

Item = tuple[Tensor, Tensor, Tensor]  # (L,) tokens, (L,) durations, (T, F) frames


class SayTraining(Training):
    """The training step of `say`."""

    network: Say

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        super().__init__(recipe, Say(SPEC, **recipe.network))
        self.items = [to_item(sentence) for sentence in read_sentences(cache)]
        self.held = [to_item(sentence) for sentence in read_sentences(cache, held=True)][:HELD_SENTENCES]

    def stream(self, seed: int, rank: int, frame_step: int) -> torch.utils.data.IterableDataset[Item]:
        """Return endless items of tokens, durations and frames."""
        if frame_step != 1:
            raise ParameterError(f"frame_step={frame_step}: say learns from every frame; leave --frame-step out")
        return SentenceStream(self.items, [seed, rank], self.recipe.batch)

    @staticmethod
    def collate(items: Sequence[Item]) -> Item:
        """Return a batch: (B, L) tokens, (B, L) durations, (B, T, F) frames, zeros behind what is shorter."""
        tokens, durations, frames = zip(*items, strict=True)
        whole = [pad_sequence(list(part), batch_first=True) for part in (tokens, durations, frames)]
        late = -whole[2].shape[1] % SPEECH_FRAMES
        return whole[0], whole[1], torch.nn.functional.pad(whole[2], (0, 0, 0, late))

    def training_step(self, batch: Item, _: int) -> Tensor:
        """Return the loss of a batch of items."""
        losses = self.losses(batch)
        self.log_dict(losses, prog_bar=True)
        return torch.stack([weight * losses[name] for name, weight in WEIGHTS.items()]).sum()

    def losses(self, batch: Item) -> dict[str, Tensor]:
        """Return what is wrong with frames before and after the post-net, means of |difference|, and with durations."""
        tokens, durations, frames = batch
        network = self.network
        memory, length = network.encode(tokens)
        steps = frames.shape[1] // SPEECH_FRAMES
        seen = network.look(memory, durations, durations.new_zeros(len(tokens), 1), steps)[0]
        heard = torch.nn.functional.pad(frames[:, SPEECH_FRAMES - 1 : -1 : SPEECH_FRAMES], (0, 0, 1, 0))
        made, _ = network.decode(seen, heard, frames.new_zeros(2, len(tokens), network.gru.hidden_size))
        smooth, _ = network.refine(made, [s.expand(len(tokens), -1, -1) for s in network.zero_state()[-3:]])
        weight = torch.ones_like(frames)
        weight[..., -1:] = MEASURE_WEIGHT
        weight[..., -2:-1] = MEASURE_WEIGHT * (0.1 + frames[..., -1:])
        ends = durations.sum(1)[:, None]
        weight *= (torch.arange(frames.shape[1], device=frames.device) < ends)[..., None]
        there = tokens > 0
        return {
            "decoder": ((made - frames).abs() * weight).sum() / weight.sum(),
            "mel": ((smooth - frames).abs() * weight).sum() / weight.sum(),
            "duration": duration_loss(length[there], durations[there]),
        }

    @torch.no_grad()
    def score(self) -> dict[str, float]:
        """Return the losses on sentences that were held out, each with its true durations and last frames."""
        self.network.eval()
        found = [self.losses(self.collate([item])) for item in self.held]
        self.network.train()
        return {f"held_{name}": float(np.mean([float(f[name]) for f in found])) for name in WEIGHTS} if found else {}


def duration_loss(length: Tensor, durations: Tensor) -> Tensor:
    """Return the Poisson deviance of durations from exp(`length`), over their mean; 0 where they are equal.

    Its optimum is the mean duration, so that sentences last as long as recorded ones; that of distances between
    logarithms is nearer to the median, and speech comes out a fifth too short.
    """
    known = durations.clamp_min(1.0)
    return (torch.exp(length) - known - known * (length - torch.log(known))).mean() / known.mean()


def to_item(sentence: Sentence) -> Item:
    """Return a sentence as training takes it."""
    mel, pitch, voicing = (
        torch.from_numpy(x.astype(np.float32)) for x in (sentence.mel, sentence.pitch, sentence.voicing)
    )
    durations = torch.from_numpy(sentence.durations.astype(np.float32))
    return torch.from_numpy(sentence.tokens.astype(np.int64)), durations, from_speech(mel, pitch, voicing)


class SentenceStream(torch.utils.data.IterableDataset[Item]):
    """Endless stream of sentences, those that share a batch of about one length."""

    def __init__(self, items: list[Item], seed: list[int], batch: int) -> None:
        self.items, self.seed, self.batch = items, seed, batch

    def __iter__(self) -> Iterator[Item]:
        """Draw without end."""
        rng = worker_generator(self.seed)
        while True:
            drawn = rng.choice(len(self.items), size=POOL * self.batch)
            drawn = drawn[np.argsort([len(self.items[i][2]) for i in drawn])]
            for batch in rng.permutation(drawn.reshape(POOL, self.batch)):
                yield from (self.items[i] for i in batch)

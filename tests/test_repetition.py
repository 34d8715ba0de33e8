"""The memory of `isolate`: a loop is found when it comes back, and what was laid over it is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from export.networks.repetition import BEST, BLOCK, KEY, TOLD, Repetition

BANDS, LOOP, RECENT = 160, 40 * BLOCK, 10  # frames of the loop
ABOVE = slice(KEY, None)  # bands that are not compared, only remembered


@pytest.fixture
def loops() -> Tensor:
    """Music (1, T, F) that comes back ten times, each time exactly."""
    torch.manual_seed(440)
    return (0.1 + torch.rand(1, LOOP, BANDS)).repeat(1, 10, 1)


def memory() -> tuple[Repetition, list[Tensor]]:
    repetition = Repetition(BANDS, moments=8 * LOOP // BLOCK, recent=RECENT)
    return repetition, [torch.zeros(1, *shape) for shape in repetition.state_shapes]


def test_music_that_comes_back_is_found(loops: Tensor) -> None:
    repetition, state = memory()
    found, _ = repetition(loops, state)
    torch.testing.assert_close(found[:, 1, -1:], loops[:, -1:], atol=0.25, rtol=0.0)  # 5 of the 8 best are the loop's
    assert (found[0, 1, -1] - loops[0, -1]).abs().mean() < 0.3 * (loops[0, -1] - loops[0, -1 - LOOP // 2]).abs().mean()


def test_a_voice_over_the_music_is_not_found(loops: Tensor) -> None:
    repetition, state = memory()
    sung = loops.clone()
    sung[:, -20:, ABOVE] += 5.0
    found, _ = repetition(sung, state)
    assert float(found[0, :2, -20:, ABOVE].max()) < 1.2


def test_what_was_heard_within_the_last_second_is_not_looked_at() -> None:
    repetition, state = memory()
    again = 0.1 + torch.rand(1, BLOCK, BANDS)
    found, _ = repetition(again.repeat(1, RECENT, 1), state)
    assert not found.any()
    found, _ = repetition(again.repeat(1, RECENT + BEST + 1, 1), state)
    assert float(found[0, 1, -1].min()) > 0.1


@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
def test_chunks_equal_the_whole(loops: Tensor, chunk: int) -> None:
    noisy = loops + 0.2 * torch.rand_like(loops)
    repetition, state = memory()
    whole, after = repetition(noisy, state)
    parts = []
    for piece in noisy.split(chunk, 1):
        part, state = repetition(piece, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(state, after, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_every_second_frame_finds_the_same_loop(loops: Tensor) -> None:
    repetition, state = memory()
    found, after = repetition(loops[:, 1::2], state, 2)
    assert found.shape == (1, TOLD, loops.shape[1] // 2, BANDS)
    assert [s.shape for s in after] == [s.shape for s in state]
    every, _ = repetition(loops, state)
    torch.testing.assert_close(found[:, 1, -1], every[:, 1, -1])


def test_items_of_a_batch_do_not_hear_each_other(loops: Tensor) -> None:
    repetition, state = memory()
    other = loops.flip(1)
    both, _ = repetition(torch.cat([loops, other]), [torch.cat([s, s]) for s in state])
    torch.testing.assert_close(both[1:], repetition(other, state)[0], atol=1e-5, rtol=1e-5)

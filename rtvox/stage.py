"""The streaming contract in one page: Stage, Pipeline, and the prefill arithmetic.

A Stage is anything between the two rings. It takes one hop of samples or one frame, and returns one. Everything here
runs in the converter thread. Read next: `stft.py` (two stages), `onnx_stage.py` (a network), `engine.py` (the loop).

Every stage keeps three promises, which `tests/test_streaming.py` checks for each:

* any chunking gives the same output as one whole call, and later input never changes earlier output;
* after `reset()` it cannot be told from a new one;
* `delay` is exact: output sample n answers input sample n - delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, Protocol, runtime_checkable

from rtvox.errors import ParameterError


@runtime_checkable
class Stage(Protocol):
    """One step of the data path.

    Attributes:
        delay: samples by which the output lags the input, beyond the hop that has to be gathered first.
    """

    delay: int

    def process(self, x: Any) -> Any:
        """Return the output for one hop or frame; its buffer is valid until the next call. Shapes are fixed."""
        ...

    def reset(self) -> None:
        """Forget everything heard; afterwards the stage equals a new one."""
        ...


class Pipeline:
    """Run stages one after the other; itself a Stage, whose delay is the sum."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.delay = sum(stage.delay for stage in self.stages)

    def process(self, x: Any) -> Any:
        """Return x passed through every stage in order."""
        for stage in self.stages:
            x = stage.process(x)
        return x

    def reset(self) -> None:
        """Reset every stage."""
        for stage in self.stages:
            stage.reset()


def prefill(hop: int, block: int, deadline: int | None = None) -> int:
    """Return how many zeros the output ring must hold at the start so that no callback finds it short.

    The device reads and writes blocks of `block` samples; the converter turns whole hops, and may take `deadline`
    samples of time (by default a hop) for each.

    Callback k runs at time k * block. Hop j is complete after callback k_j = ceil((j + 1) * hop / block) - 1, and
    converted ceil(deadline / block) callbacks later at the latest. The first callback that needs it is
    floor((prefill + j * hop) / block). Asking that the second is never after the third, for the worst remainder of
    (j + 1) * hop by block (they are multiples of g = gcd(hop, block)), gives

        prefill = hop + ceil(deadline / block) * block - g.

    Worked example, hop 256, block 128: hop 0 is complete after callback 1, has 256 samples = 2 blocks of time, so
    callback 3 may read it; callbacks 0, 1, 2 eat 3 * 128 = 384 zeros, and indeed 256 + 2 * 128 - 128 = 384.

    `tests/test_stage.py` holds it to a brute-force search. The idea of deriving rather than guessing it is neutone's
    (neutone_sdk, sqw.py).

    Returns: samples.
    Raises: ParameterError unless hop, block >= 1 and deadline >= 0.
    """
    deadline = hop if deadline is None else deadline
    if hop < 1 or block < 1 or deadline < 0:
        raise ParameterError(f"hop={hop} block={block} deadline={deadline}: needs hop, block >= 1 and deadline >= 0")
    return hop + -(-deadline // block) * block - gcd(hop, block)

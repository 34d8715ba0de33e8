"""stage.py: the prefill formula against a search, and delays that add up."""

from __future__ import annotations

from math import lcm

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtvox.errors import ParameterError
from rtvox.features import Array
from rtvox.ring import RingBuffer
from rtvox.stage import Pipeline, Stage, prefill


def missing_samples(fill: int, hop: int, block: int, deadline: int) -> int:
    """Return what callbacks lack when every hop takes its whole deadline: the loop of the engine, with a fake clock.

    Callback k runs at time k * block: it stores its input, collects the hops finished by now, and takes its output.
    """
    callbacks = 2 * lcm(hop, block) // block + 4 * -(-(fill + hop + deadline) // block)
    source = RingBuffer(hop + block + 1)
    sink = RingBuffer(fill + 4 * (hop + block) + deadline)
    sink.write(np.zeros(fill, np.float32))
    finished: list[int] = []  # times at which gathered hops will be converted
    for k in range(callbacks):
        source.write(np.zeros(block, np.float32))
        while len(source) >= hop:
            source.skip(hop)
            finished.append(k * block + deadline)
        while finished and finished[0] <= k * block:
            finished.pop(0)
            sink.write(np.zeros(hop, np.float32))
        sink.read(np.zeros(block, np.float32))
    assert source.dropped == sink.dropped == 0
    return sink.missing


@settings(max_examples=150)
@given(hop=st.integers(1, 48), block=st.integers(1, 48), deadline=st.integers(0, 120))
@example(hop=16, block=16, deadline=0)
@example(hop=16, block=1, deadline=16)
@example(hop=1, block=48, deadline=1)
@example(hop=47, block=48, deadline=47)
def test_prefill_is_the_smallest_that_never_lacks_a_sample(hop: int, block: int, deadline: int) -> None:
    fill = prefill(hop, block, deadline)
    assert missing_samples(fill, hop, block, deadline) == 0
    assert fill == 0 or missing_samples(fill - 1, hop, block, deadline) > 0


@pytest.mark.parametrize("block", [16, 64, 100, 128, 256, 441, 480, 512, 1000, 4096])
def test_prefill_at_the_house_hop_allows_a_hop_of_time(block: int) -> None:
    fill = prefill(256, block)
    assert fill == prefill(256, block, 256)
    assert missing_samples(fill, 256, block, 256) == 0
    assert missing_samples(fill - 1, 256, block, 256) > 0


@pytest.mark.parametrize(
    ("hop", "block", "deadline", "samples"),
    [
        (256, 128, None, 384),  # the worked example in the docstring
        (256, 128, 0, 128),
        (256, 256, None, 256),
        (256, 100, None, 256 + 300 - 4),
        (1, 1, 0, 0),
    ],
)
def test_prefill_by_hand(hop: int, block: int, deadline: int | None, samples: int) -> None:
    assert prefill(hop, block, deadline) == samples


@pytest.mark.parametrize(
    ("arguments", "message"), [((0, 1, 1), "hop=0"), ((1, 0, 1), "block=0"), ((1, 1, -1), "deadline=-1")]
)
def test_prefill_names_what_is_impossible(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        prefill(*arguments)


class Late:
    """A stage that only delays, by a number of samples that is known exactly."""

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self._held = np.zeros(delay, np.float32)

    def process(self, x: Array) -> Array:
        both = np.concatenate([self._held, x])
        self._held = both[len(x) :]
        return both[: len(x)]

    def reset(self) -> None:
        self._held = np.zeros(self.delay, np.float32)


@pytest.mark.parametrize("delays", [(), (0,), (5,), (3, 0, 40), (16, 17, 1)])
def test_a_pipeline_is_as_late_as_its_stages_together(delays: tuple[int, ...], noise: Array) -> None:
    pipeline = Pipeline([Late(delay) for delay in delays])
    assert isinstance(pipeline, Stage)
    assert pipeline.delay == sum(delays)
    hops = noise[:1600].reshape(100, 16)
    for _ in range(2):
        y = np.concatenate([pipeline.process(x) for x in hops])
        np.testing.assert_array_equal(y, np.concatenate([np.zeros(sum(delays), np.float32), noise])[:1600])
        pipeline.reset()


def test_a_pipeline_runs_its_stages_in_order() -> None:
    class Do:
        delay = 0

        def __init__(self, text: str) -> None:
            self.text = text

        def process(self, x: str) -> str:
            return x + self.text

        def reset(self) -> None:
            self.text = self.text.upper()

    pipeline = Pipeline([Do("a"), Pipeline([Do("b"), Do("c")])])
    assert pipeline.process("-") == "-abc"
    pipeline.reset()
    assert pipeline.process("-") == "-ABC"


def test_a_thing_without_delay_is_no_stage() -> None:
    class Bare:
        def process(self, x: Array) -> Array:
            return x

        def reset(self) -> None: ...

    assert not isinstance(Bare(), Stage)

"""ring.py: against a plain list in random order (hypothesis), and between two threads."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rtvox.errors import ParameterError
from rtvox.ring import RingBuffer


def samples(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    ring = RingBuffer(3)
    assert ring.write(samples(1, 2)) == 2
    assert ring.write(samples(3, 4, 5)) == 1
    assert (len(ring), ring.written, ring.dropped) == (3, 3, 2)
    out = np.zeros(3, np.float32)
    assert ring.read(out) == 3
    assert out.tolist() == [1, 2, 3]


def test_what_is_not_there_is_missing_counted_and_leaves_the_rest_of_out_alone() -> None:
    ring = RingBuffer(4)
    ring.write(samples(7))
    out = samples(9, 9, 9)
    assert ring.read(out) == 1
    assert out.tolist() == [7, 9, 9]
    assert (ring.taken, ring.missing) == (1, 2)


def test_it_wraps_around() -> None:
    ring = RingBuffer(3)
    ring.write(samples(1, 2))
    ring.read(np.zeros(2, np.float32))
    ring.write(samples(3, 4, 5))
    out = np.zeros(3, np.float32)
    ring.read(out)
    assert out.tolist() == [3, 4, 5]


def test_skip_throws_away_the_oldest() -> None:
    ring = RingBuffer(4)
    ring.write(samples(1, 2, 3))
    assert ring.skip(2) == 2
    out = np.zeros(1, np.float32)
    ring.read(out)
    assert out.tolist() == [3]
    assert ring.skip(5) == 0
    assert ring.missing == 0


@pytest.mark.parametrize("capacity", [0, -1])
def test_it_needs_room(capacity: int) -> None:
    with pytest.raises(ParameterError, match=f"capacity={capacity}"):
        RingBuffer(capacity)


class RingAgainstList(RuleBasedStateMachine):
    """Drive a RingBuffer and a deque with the same steps."""

    @initialize(capacity=st.integers(1, 20))
    def start(self, capacity: int) -> None:
        self.ring = RingBuffer(capacity)
        self.model: deque[float] = deque()
        self.next = 1.0
        self.dropped = self.missing = self.written = self.taken = 0

    @rule(n=st.integers(0, 25))
    def write(self, n: int) -> None:
        x = np.arange(self.next, self.next + n, dtype=np.float32)
        self.next += n
        fits = min(n, self.ring.capacity - len(self.model))
        assert self.ring.write(x) == fits
        self.model.extend(x[:fits].tolist())
        self.written += fits
        self.dropped += n - fits

    @rule(n=st.integers(0, 25))
    def read(self, n: int) -> None:
        out = np.full(n, -1.0, np.float32)
        wanted = [self.model.popleft() for _ in range(min(n, len(self.model)))]
        assert self.ring.read(out) == len(wanted)
        assert out.tolist() == wanted + [-1.0] * (n - len(wanted))
        self.taken += len(wanted)
        self.missing += n - len(wanted)

    @rule(n=st.integers(0, 25))
    def skip(self, n: int) -> None:
        wanted = min(n, len(self.model))
        assert self.ring.skip(n) == wanted
        for _ in range(wanted):
            self.model.popleft()
        self.taken += wanted

    @invariant()
    def counts_add_up(self) -> None:
        counts = (self.ring.written, self.ring.taken, self.ring.dropped, self.ring.missing)
        assert counts == (self.written, self.taken, self.dropped, self.missing)
        assert len(self.ring) == len(self.model) == self.ring.written - self.ring.taken


TestRingAgainstList = RingAgainstList.TestCase
TestRingAgainstList.settings = settings(max_examples=60, stateful_step_count=40)


class Interrupted(np.ndarray):
    """Sample memory in which the other thread gets its turn just before every access: the worst moment of a switch."""

    other_thread: Callable[[], object] | None = None

    def switch(self) -> None:
        turn, Interrupted.other_thread = Interrupted.other_thread, None
        if turn is not None:
            turn()
            Interrupted.other_thread = turn

    def __getitem__(self, key: Any) -> Any:
        self.switch()
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.switch()
        super().__setitem__(key, value)


def wrapped_ring() -> RingBuffer:
    """Return a ring of 8 that holds 1, 2, 3 across its seam, on interruptible memory."""
    ring = RingBuffer(8)
    ring.write(np.zeros(6, np.float32))
    ring.skip(6)
    ring.write(samples(1, 2, 3))
    ring._samples = ring._samples.view(Interrupted)
    return ring


def test_a_reader_in_the_middle_of_a_write_sees_whole_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, seen = wrapped_ring(), list[float]()

    def read() -> None:
        out = np.zeros(8, np.float32)
        seen.extend(out[: ring.read(out)].tolist())

    monkeypatch.setattr(Interrupted, "other_thread", read)
    ring.write(samples(4, 5, 6, 7))
    monkeypatch.setattr(Interrupted, "other_thread", None)
    read()
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_a_writer_in_the_middle_of_a_read_overwrites_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = wrapped_ring()
    monkeypatch.setattr(Interrupted, "other_thread", lambda: ring.write(np.full(8, 9, np.float32)))
    out = np.zeros(3, np.float32)
    assert ring.read(out) == 3
    assert out.tolist() == [1, 2, 3]


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Switch threads as often as the interpreter can, so that a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_two_threads_lose_repeat_and_invent_nothing(rng: np.random.Generator) -> None:
    total = 10_000  # samples; all below 2^24, so float32 counts them exactly
    ring = RingBuffer(97)
    sizes = cycle(rng.integers(1, 60, 1009).tolist())
    gave_up = threading.Event()

    def write() -> None:
        sent = 0
        until = time.monotonic() + 60.0
        while sent < total and not gave_up.is_set():
            sent += ring.write(np.arange(sent, min(sent + next(sizes), total), dtype=np.float32))
            if time.monotonic() > until:
                gave_up.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[np.ndarray] = []
    out = np.zeros(64, np.float32)
    while writer.is_alive() or len(ring):
        seen.append(out[: ring.read(out)].copy())
    writer.join()
    assert not gave_up.is_set()
    assert seen
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(total, dtype=np.float32))
    assert ring.written == ring.taken == total

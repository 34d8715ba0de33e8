"""NetworkThread: a network on a GPU or the like, in a thread of its own, and watched.

CUDA's graphs belong to the thread that recorded them, and a driver that hangs never returns: so the converter thread
hands each frame over and waits, not for long. Between frames the thread keeps its provider awake. Read next:
`onnx_stage.py`, which falls back to the CPU when a ProviderError comes.
"""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable
from operator import methodcaller
from time import perf_counter
from typing import Any

from rtvox.network import Network, States
from rtvox.priority import CONVERTER_PRIORITY, raise_priority

PATIENCE_S = 0.1  # a frame that takes longer has failed: half of the 200 ms in which the CPU must have taken over
GRACE_S = 0.02  # then one more look: where the whole program was stopped, the answer comes at once
MAY_LAG_S = 0.05  # time beyond its due that a network may gather, paid back by fast frames, before it has failed
ONE_LAG_S = 0.03  # what one frame can add to it: a single pause of the machine is no failure
DUE = 0.6  # of a hop: the longest that a network may take for good (docs/design.md, section 5: p99 of the path)
BUILD_S = 600.0  # to start, first frames included: TensorRT builds its engine for minutes, the first time
AWAKE_S = 0.1  # between frames, a GPU lowers its clock after some tenths of a second


class ProviderError(Exception):
    """A provider has failed while it ran; the text says how."""


class NetworkThread:
    """A network that runs elsewhere. One thread at a time calls it; the network's own runs until this is let go.

    Attributes:
        frame, out, graph: as the network's.
        end: to be called when it is not needed any more; else that is done when it is freed.
    """

    def __init__(self, build: Callable[[], Network], hop_s: float) -> None:
        """Build the network in its thread. Raises: whatever that raises; ProviderError if it never ends."""
        self._desk = _Desk(build)
        self._due, self._lag = DUE * hop_s, 0.0
        threading.Thread(target=_serve, args=(self._desk,), name="rtvox-provider", daemon=True).start()
        self.end = weakref.finalize(self, self._desk.end)
        self._network: Network = self.ask(lambda network: network, BUILD_S)
        self.frame, self.out, self.graph = self._network.frame, self._network.out, self._network.graph
        self.set_control, self.clear = self._network.set_control, self._network.clear

    def run(self) -> None:
        """Turn `frame` into `out`. Raises: ProviderError if it fails, does not answer, or has been too slow so far."""
        if self._lag > MAY_LAG_S:
            raise ProviderError(f"was {1e3 * self._lag:.0f} ms late in all")
        self._raise_failure()  # of a run between frames
        begin = perf_counter()
        self.ask(methodcaller("run"), PATIENCE_S)
        self._lag = max(0.0, self._lag + min(perf_counter() - begin - self._due, ONE_LAG_S))

    def states(self) -> States:
        """Return a copy of the state. Raises: ProviderError if it cannot be had any more."""
        return dict(self.ask(methodcaller("states"), GRACE_S))

    def ask(self, job: Callable[[Network], Any], patience_s: float) -> Any:
        """Return what job, run in the thread, makes of the network. Raises: ProviderError if it fails or is late."""
        desk = self._desk
        if desk.stuck:
            raise ProviderError("does not answer")
        desk.job = job
        desk.go.release()
        if not desk.done.acquire(timeout=patience_s) and not desk.done.acquire(timeout=GRACE_S):
            desk.stuck = True
            raise ProviderError(f"did not answer within {1e3 * (patience_s + GRACE_S):.0f} ms")
        self._raise_failure()
        return desk.answer

    def _raise_failure(self) -> None:
        failure, self._desk.failure = self._desk.failure, None
        if failure:
            raise (failure if self._desk.network is None else ProviderError(" ".join(str(failure).split()))) from None


class _Desk:
    """What the two sides share. The caller writes `job` and `stuck`, the thread all else, each in its turn."""

    def __init__(self, build: Callable[[], Network]) -> None:
        self.build = build
        self.network: Network | None = None  # until it is built
        self.job: Callable[[Network], Any] = methodcaller("idle")
        self.answer: Any = None
        self.failure: Exception | None = None
        self.stuck = self.ending = False
        self.go, self.done = _thread.allocate_lock(), _thread.allocate_lock()  # binary semaphores, as in player.py
        self.go.acquire()
        self.done.acquire()

    def end(self) -> None:
        """Let the thread end when it has nothing to do."""
        self.ending = True
        if self.go.locked():
            self.go.release()


def _serve(desk: _Desk) -> None:
    """Run the thread."""
    while True:
        asked = desk.go.acquire(timeout=AWAKE_S if desk.network else -1)
        if desk.ending:
            return
        try:
            if desk.network is None:
                network, desk.build = desk.build(), _built
                raise_priority(CONVERTER_PRIORITY)
                desk.network = network
            if asked:
                desk.failure = None
                desk.answer = desk.job(desk.network)
            else:
                desk.network.idle()
        except Exception as error:  # the border to foreign code: drivers raise what they like
            desk.failure = error
        if asked:
            desk.done.release()


def _built() -> Network:
    raise AssertionError("built once")

"""Worker: the thread that does asynchronous commands, one after the other.

In: commands, in order. Out: answers (/rtvox/done, /rtvox/fail, /rtvox/synced), through the function that it is given.
Read next: `osc_commands.py`, what a command does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from rtvox.errors import OscError, RtvoxError
from rtvox.osc import Value, encode
from rtvox.osc_commands import Commands
from rtvox.osc_peers import Peer
from rtvox.priority import CONTROL_PRIORITY, raise_priority

MAX_QUEUE = 64  # commands that wait


class Worker:
    """Runs from `start` to `close`; all other methods may be called by any one thread, and return at once."""

    def __init__(self, commands: Commands, post: Callable[[Peer, bytes], None]) -> None:
        """Do commands of this session; `post` is called with each answer, in the worker's thread."""
        self._commands, self._post = commands, post
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_QUEUE)
        self._thread = threading.Thread(target=self._run, name="rtvox-osc-worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Do what waits, and end."""
        self._jobs.put(None)
        self._thread.join()

    def ask(self, peer: Peer, address: str, values: Sequence[Value]) -> None:
        """Have a command done, and its end answered. Raises: OscError if too many wait."""
        self._put(lambda: self._command(peer, address, values))

    def tell_all(self, peer: Peer) -> None:
        """Have everything told to a new subscriber. Raises: OscError if too many wait."""
        self._put(lambda: self._send(peer, ""))

    def _put(self, job: Callable[[], None]) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise OscError(f"{MAX_QUEUE} commands are waiting already; try again") from None

    def _run(self) -> None:
        raise_priority(CONTROL_PRIORITY)
        while job := self._jobs.get():
            try:
                job()
            except Exception as error:  # a mistake of ours, or a folder that cannot be read; the next may work
                self._commands.session.fault = f"OSC: {type(error).__name__}: {error}"

    def _command(self, peer: Peer, address: str, values: Sequence[Value]) -> None:
        try:
            if address == "/rtvox/sync":
                self._post(peer, encode("/rtvox/synced", *values))
                return
            if address == "/rtvox/get":
                self._send(peer, str(values[0]) if values else "")
                answer = tuple(values)
            else:
                answer = self._commands.run(address, values)
            self._post(peer, encode("/rtvox/done", address, *answer))
        except RtvoxError as error:
            self._post(peer, failure(address, str(error)))
        except Exception as error:  # a mistake of ours; the engine lives on
            self._post(peer, failure(address, f"{type(error).__name__}: {error}"))

    def _send(self, peer: Peer, wanted: str) -> None:
        for address, values in self._commands.asked(wanted):
            self._post(peer, encode(address, *values))


def failure(address: str, reason: str) -> bytes:
    """Return a /rtvox/fail whose texts are short, one line, and can be encoded, whatever they were."""
    shown = (" ".join(text.encode("utf-8", "replace").decode("utf-8").split())[:1000] for text in (address, reason))
    return encode("/rtvox/fail", *shown)

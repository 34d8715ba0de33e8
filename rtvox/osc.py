"""OscClient, and OSC packets as bytes: the only file that imports pythonosc.

In: addresses and values. Out: datagrams, and the other way round. `OscClient` is what the window and any Python script
use; it needs nothing else of rtvox. Read next: `osc_tree.py`, the addresses, and docs/osc.md.

    with OscClient("127.0.0.1", 9000, print) as client:
        client.subscribe()
        client.send("/rtvox/param/mix", 0.5)
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

from pythonosc import slip as slip_frame
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message import ParseError as MessageError
from pythonosc.osc_message_builder import BuildError, build_msg
from pythonosc.parsing.ntp import IMMEDIATELY, ntp_to_system_time, system_time_to_ntp

from rtvox.errors import OscError
from rtvox.osc_tree import PORT

Value = float | int | bool | str | bytes
Receive = Callable[[str, list[Value]], None]  # called with address and values, in the client's own thread

MAX_PACKET = 8192  # bytes taken from others: hundreds of controls in one bundle; SuperCollider's own limit
MAX_DATAGRAM = 65507  # bytes of one UDP datagram, what we may send
MAX_DEPTH = 8  # bundles in bundles
MAX_ADDRESS = 256  # characters; ours have 40 at most
CALL_TIMEOUT_S = 30.0  # a model from a slow disk, a device that must be tried twice
SLIP_END = bytes(slip_frame.END)
_BUNDLE = b"#bundle\0"
_SIZES = {ord("i"): 4, ord("f"): 4, ord("h"): 8, ord("d"): 8}
_TYPES = b",ifhdsbrmtTFN[]"  # what python-osc reads; it logs every other letter, which a flood must not make it do


def encode(address: str, *values: Value) -> bytes:
    """Return one message as bytes. Raises: OscError if a value is not an OSC one."""
    try:
        return bytes(build_msg(address, list(values)).dgram)
    except (BuildError, ValueError, OverflowError) as error:
        raise OscError(f"{address} {values}: cannot be said in OSC ({error})") from None


def slip(packet: bytes) -> bytes:
    """Return a packet as OSC 1.1 sends it over TCP: a SLIP frame (RFC 1055) with an END on both sides."""
    return bytes(slip_frame.encode(packet))


def unslip(frame: bytes) -> bytes:
    """Return the packet of a SLIP frame, without its ENDs or with them. Raises: OscError."""
    try:
        return bytes(slip_frame.decode(frame))
    except slip_frame.ProtocolError:
        raise OscError("not a SLIP frame") from None


def bundle(messages: Sequence[bytes], at: float | None = None) -> bytes:
    """Return messages as one bundle, for now or for a Unix time in seconds."""
    time_tag = IMMEDIATELY if at is None else system_time_to_ntp(at)
    return b"".join([_BUNDLE, time_tag, *(len(message).to_bytes(4, "big") + message for message in messages)])


def decode(packet: bytes) -> list[tuple[float, str, list[Value]]]:
    """Return the messages of a packet, bundle or not, as (Unix time or 0 for now, address, values).

    Raises: OscError for anything that is not OSC.

    >>> decode(encode("/a", 1, "two"))
    [(0.0, '/a', [1, 'two'])]
    """
    found: list[tuple[float, str, list[Value]]] = []
    todo = [(packet, 0.0, 0)]
    while todo:
        part, at, depth = todo.pop()
        if part.startswith(_BUNDLE):
            if depth == MAX_DEPTH:
                raise OscError(f"bundles nested deeper than {MAX_DEPTH}")
            inner = _elements(part)
            todo += [(element, max(at, _unix_time(part[8:16])), depth + 1) for element in reversed(inner)]
        else:
            found.append((at, *_message(part)))
    return found


class OscClient:
    """Speaks with an engine over UDP, from any thread, and never waits for it except in `call`.

    Messages that arrive are given to `receive` one by one in a thread of the client's own, bundles taken apart.

    Attributes:
        heard: `time.monotonic()` of the last datagram from the engine, 0 if there was none; subscribed clients hear
            30 a second.
        error: what `receive` last raised, or empty.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = PORT, receive: Receive | None = None) -> None:
        """Open a port of our own. Raises: OscError if there is no such host."""
        self.heard, self.error = 0.0, ""
        self._receive = receive
        self._waiting: list[tuple[str, list[Value], threading.Event]] = []
        try:
            family, kind, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self.engine = (str(found[0]), int(found[1]))  # its address and port
            self._socket = socket.socket(family, kind)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._socket.connect(found)
        except OSError as error:
            raise OscError(f"{host}:{port}: cannot send there ({error}); needs HOST:PORT of an engine") from None
        self._open = True
        self._thread = threading.Thread(target=self._run, name="rtvox-osc-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> OscClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The local port, where answers arrive."""
        return int(self._socket.getsockname()[1])

    def send(self, address: str, *values: Value) -> None:
        """Send one message. UDP: if no engine is there, nothing happens. Raises: OscError for an impossible value."""
        self.send_packet(encode(address, *values))

    def send_packet(self, packet: bytes) -> None:
        """Send what `encode` or `bundle` returned."""
        with contextlib.suppress(OSError):  # the engine is away (ICMP said so): as if it were lost on the way
            self._socket.send(packet)

    def subscribe(self, spectra: bool = False) -> None:
        """Ask for everything as it is now and for every change, status and meters, with spectra if wanted."""
        self.send("/rtvox/notify", 2 if spectra else 1)

    def unsubscribe(self) -> None:
        """Ask for nothing more."""
        self.send("/rtvox/notify", 0)

    def call(self, address: str, *values: Value, timeout_s: float = CALL_TIMEOUT_S) -> list[Value]:
        """Send a command that answers, wait for /rtvox/done and return its values.

        Not to be called from `receive`. Raises: OscError with the engine's reason, or if no answer comes in time.
        """
        answer: list[Value] = []
        entry = (address, answer, threading.Event())
        self._waiting.append(entry)
        try:
            self.send(address, *values)
            if not entry[2].wait(timeout_s):
                raise OscError(f"{address}: no answer from {self.engine[0]}:{self.engine[1]} in {timeout_s:g} s")
        finally:
            self._waiting.remove(entry)
        if answer.pop(0) == "/rtvox/fail":
            raise OscError(str(answer[0]) if answer else address)
        return answer

    def close(self) -> None:
        """Unsubscribe and close; harmless twice. `receive` is not called any more on return, unless it calls this."""
        if not self._open:
            return
        self.unsubscribe()
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while self._open:
            try:
                packet = self._socket.recv(MAX_DATAGRAM)
            except ConnectionError:  # nobody is there (yet): that was ICMP's word about something sent
                continue
            except OSError:
                return
            self.heard = time.monotonic()
            try:
                for _, address, values in decode(packet):
                    self._answer(address, values)
                    if self._receive:
                        self._receive(address, values)
            except Exception as error:  # a receiver's mistake must not end the connection
                self.error = f"{type(error).__name__}: {error}"

    def _answer(self, address: str, values: list[Value]) -> None:
        """Wake the first `call` that waits for this."""
        if address not in ("/rtvox/done", "/rtvox/fail") or not values:
            return
        for command, answer, event in list(self._waiting):
            if command == values[0] and not event.is_set():
                answer += [address, *values[1:]]
                event.set()
                return


def _message(part: bytes) -> tuple[str, list[Value]]:
    at = (part.find(b"\0") | 3) + 1
    tags = part[at:].partition(b"\0")[0]
    if part[:1] != b"/" or at > MAX_ADDRESS or (tags and not tags.startswith(b",")) or tags.strip(_TYPES):
        raise OscError("not an OSC message")
    least = sum(_SIZES.get(tag, 0) for tag in tags)
    if (
        len(part) < at + (len(tags) // 4 + 1) * 4 * bool(tags) + least
    ):  # python-osc would take zeros for what is missing
        raise OscError("an OSC message that was cut off")
    try:
        message = OscMessage(part)
    except (MessageError, ValueError, RecursionError) as error:  # ValueError: text that is not UTF-8
        raise OscError(f"not an OSC message: {error}") from None
    return message.address, list(message.params)


def _elements(part: bytes) -> list[bytes]:
    """Return what a bundle holds; python-osc's own reader never returns from a negative size."""
    found, at = [], 16
    if len(part) < at:
        raise OscError("a bundle without a time tag")
    while at < len(part):
        size = int.from_bytes(part[at : at + 4], "big")
        at += 4 + size
        if size == 0 or size % 4 or at > len(part):
            raise OscError(f"an element of {size} bytes in a bundle of {len(part)}")
        found.append(part[at - size : at])
    return found


def _unix_time(time_tag: bytes) -> float:
    """Return the time in seconds, 0 for now; python-osc reads "immediately" as a moment in 1900."""
    return 0.0 if time_tag == IMMEDIATELY else float(ntp_to_system_time(time_tag))

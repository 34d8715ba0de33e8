"""Who speaks with the OSC server: clients over UDP, connections over TCP (OSC or HTTP), and who wants to be told.

In: bytes from sockets. Out: packets, and bytes to sockets. All of it belongs to the server thread; nothing waits: what
a client does not take in time is lost (UDP) or ends its connection (TCP). Read next: `osc_server.py`.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from rtvox.errors import OscError
from rtvox.osc import MAX_PACKET, SLIP_END, slip, unslip

MAX_SUBSCRIBERS = 32
MAX_UNSENT = 1 << 18  # bytes that a TCP client may be behind: seconds of everything
MAX_UNREAD = 2 * MAX_PACKET + 2  # bytes of a frame in which every byte is escaped


class Peer(Protocol):
    """Someone who can be answered. Hashable; equal if it is the same client."""

    def send(self, packet: bytes) -> None:
        """Send one packet, or lose it."""
        ...


@dataclass(frozen=True)
class UdpPeer:
    """A client by its address and port."""

    sock: socket.socket = field(compare=False)
    address: tuple[object, ...]

    def send(self, packet: bytes) -> None:
        """Send one datagram, or lose it."""
        with contextlib.suppress(OSError):  # its buffer is full, its port is closed, the packet is too long
            self.sock.sendto(packet, self.address)


class Connection:
    """A TCP connection: SLIP frames of OSC, or, if it begins with GET, one HTTP request.

    Attributes:
        heard: `time.monotonic()` when it last sent something.
    """

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        on_packet: Callable[[Peer, bytes], None],
        on_query: Callable[[str, str], object],
        on_end: Callable[[Connection, bool], None],
    ) -> None:
        """Take over an accepted, non-blocking socket.

        Args:
            on_packet: called with each OSC packet.
            on_query: called with path and query of a GET; returns what to answer as JSON, None if it is not there.
            on_end: called when it is over, with whether the client broke the rules.
        """
        self._sock, self._selector = sock, selector
        self._on_packet, self._on_query, self._on_end = on_packet, on_query, on_end
        self._unread, self._unsent, self.heard = b"", b"", time.monotonic()
        self._last = False  # close when all is sent
        selector.register(sock, selectors.EVENT_READ, self._act)

    def send(self, packet: bytes) -> None:
        """Send one packet; a client that is far behind is left."""
        self._write(slip(packet))

    def close(self) -> None:
        """End; harmless twice."""
        self._end(malformed=False)

    def _act(self) -> None:
        if self._unsent:
            self._write(b"")
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except (OSError, ValueError):  # reset, or closed by the write above
            data = b""
        if not data:
            self._end(malformed=False)
            return
        self._unread += data
        self.heard = time.monotonic()
        if self._unread[:4] == b"GET "[: len(self._unread)]:
            self._http()
            return
        if self._unread[:1] not in (SLIP_END, b"/", b"#"):
            self._end(malformed=True)
            return
        *frames, self._unread = self._unread.split(SLIP_END)
        for frame in filter(None, frames):
            try:
                self._on_packet(self, unslip(frame))
            except OscError:
                self._end(malformed=True)
                return
        if len(self._unread) > MAX_UNREAD:
            self._end(malformed=True)
        elif frames:
            self._unread = SLIP_END + self._unread  # what comes now is OSC, however it begins

    def _http(self) -> None:
        head, whole, _ = self._unread.partition(b"\r\n\r\n")
        if len(head) > MAX_PACKET:
            self._end(malformed=True)
        elif whole and not self._last:
            target = head.split(b" ", 2)[1].decode("ascii", "replace")
            path, _, query = target.partition("?")
            answer = self._on_query(path, query)
            body = json.dumps(answer if answer is not None else {"error": f"{path}: no such address"}).encode()
            status = "200 OK" if answer is not None else "404 Not Found"
            header = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self._last = True
            self._write(f"{header}Connection: close\r\n\r\n".encode() + body)

    def _write(self, data: bytes) -> None:
        self._unsent += data
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(malformed=False)
            return
        self._unsent = self._unsent[sent:]
        if len(self._unsent) > MAX_UNSENT or (self._last and not self._unsent):
            self._end(malformed=False)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._selector.get_key(self._sock).events != wanted:
            self._selector.modify(self._sock, wanted, self._act)

    def _end(self, malformed: bool) -> None:
        if self._sock.fileno() < 0:
            return
        self._selector.unregister(self._sock)
        self._sock.close()
        self._on_end(self, malformed)


@dataclass
class _Client:
    peer: Peer  # who is told
    level: int  # 0 nothing, 1 all but spectra, 2 all
    heard: float  # when it last spoke


class Subscribers:
    """Who wants to be told, and where; the one that was silent for longest makes room when there are too many."""

    def __init__(self) -> None:
        self._clients: dict[Peer, _Client] = {}
        self.want_spectra = False

    def __bool__(self) -> bool:
        """Return whether anyone wants to be told."""
        return any(client.level for client in self._clients.values())

    def set(self, peer: Peer, level: int, port: int | None) -> Peer | None:
        """Subscribe the sender at a level, at another port of its host if given; return who is told, if anyone.

        `peer` may be the port that was named before (see `known`).
        """
        key = next((key for key, client in self._clients.items() if client.peer == peer), peer)
        told = peer
        if port is not None and isinstance(peer, UdpPeer):
            told = UdpPeer(peer.sock, (peer.address[0], port, *peer.address[2:]))
        self._clients.pop(key, None)
        if level or told != key:
            if len(self._clients) >= MAX_SUBSCRIBERS:
                del self._clients[min(self._clients, key=lambda known: self._clients[known].heard)]
            self._clients[key] = _Client(told, level, time.monotonic())
        self.want_spectra = any(client.level == 2 for client in self._clients.values())
        return told if level else None

    def known(self, peer: Peer) -> Peer:
        """Return where the answers to a sender go: the port that it named, or the one it sent from."""
        client = self._clients.get(peer)
        if client is None:
            return peer
        client.heard = time.monotonic()
        return client.peer

    def remove(self, peer: Peer) -> None:
        """Forget a client that has gone."""
        self._clients.pop(peer, None)
        self.want_spectra = any(client.level == 2 for client in self._clients.values())

    def peers(self) -> list[Peer]:
        """Return all who are told."""
        return [client.peer for client in self._clients.values() if client.level]

    def levels(self) -> Iterator[tuple[Peer, bool]]:
        """Return all who are told, and whether with spectra."""
        return iter([(client.peer, client.level == 2) for client in self._clients.values() if client.level])


def open_port(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a UDP socket and a listening TCP socket on the same port number. Raises: OscError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        for _ in range(100 if port == 0 else 1):  # the number that UDP got may be taken for TCP
            udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                udp.bind(address)
                tcp = socket.create_server((host, udp.getsockname()[1]), family=family)
            except OSError as error:
                udp.close()
                if port:
                    raise
                failure = error
            else:
                return udp, tcp
        raise failure
    except OSError as error:
        raise OscError(
            f"OSC on {host}:{port}: {error.strerror or error}; is it taken? --osc-port takes another"
        ) from None

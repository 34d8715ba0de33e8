"""OscServer: the engine's ear and mouth: UDP, TCP and HTTP on one port number, in a thread of its own.

Threads, and what each may do:

* the server thread: receives, does what takes microseconds (`osc_commands.py`), sends. It waits for sockets only.
* the worker thread (`osc_worker.py`): does asynchronous commands, and hands answers to the server thread.

The converter is never waited for, and never waits: controls are plain values in `Params`. What comes in is taken for
hostile: sizes, counts, rates and queues are limited, and what is refused is counted in `ignored`. Read next:
`osc_peers.py`, who sends and receives.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Self

from rtvox.errors import OscError, RtvoxError
from rtvox.osc import MAX_DATAGRAM, MAX_PACKET, Value, decode, encode
from rtvox.osc_commands import Commands
from rtvox.osc_notices import Notices
from rtvox.osc_peers import MAX_UNSENT, Connection, Peer, Subscribers, UdpPeer, open_port
from rtvox.osc_query import describe
from rtvox.osc_tree import METER_HZ, PORT
from rtvox.osc_worker import Worker, failure
from rtvox.priority import CONTROL_PRIORITY, raise_priority

BATCH = 32  # datagrams taken before anything else gets its turn
BREATH_S = 0.001  # after a full batch: a flood is taken at 30 000 a second, and leaves time to others
MAX_SCHEDULED, MAX_AHEAD_S = 4096, 60.0  # messages of bundles for later
MAX_CONNECTIONS = 16
FAILS_PER_S = 50.0  # answers to what is wrong; a flood of nonsense must not make us shout back


class OscServer:
    """Serves one Session until it is closed. Also a context manager.

    Single writers: the server thread, except `_outbox` (the worker appends, the server thread takes away).

    Attributes:
        port: UDP and TCP.
        is_local: only this machine can reach it.
        ignored: datagrams and connections that were malformed, too long or not allowed.
    """

    def __init__(
        self, commands: Commands, host: str = "127.0.0.1", port: int = PORT, allow: Sequence[str] = ()
    ) -> None:
        """Open the port; `start` begins to listen.

        Args:
            host: the address to listen on; 0.0.0.0 is all networks.
            port: 0 takes one that is free.
            allow: addresses or networks that may speak; none means all. This machine always may.

        Raises: OscError if the port or an address cannot be used.
        """
        self.ignored = 0
        self._commands = commands
        try:
            self._allowed = [ip_network(text, strict=False) for text in allow]
        except ValueError as error:
            raise OscError(f"{error}: needs an address or a network, as 192.168.1.0/24") from None
        self._udp, self._tcp = open_port(host, port)
        self.port = int(self._udp.getsockname()[1])
        self.is_local = ip_address(self._udp.getsockname()[0].partition("%")[0]).is_loopback
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake = socket.socketpair()
        for sock in (self._udp, self._tcp, self._wake_in, self._wake):
            sock.setblocking(False)
        for sock, act in ((self._udp, self._receive), (self._tcp, self._accept), (self._wake_in, self._woken)):
            self._selector.register(sock, selectors.EVENT_READ, act)
        self._connections: set[Connection] = set()
        self._subscribers = Subscribers()
        self._scheduled: list[tuple[float, int, Peer, str, list[Value]]] = []
        self._order = count()
        self._outbox: deque[tuple[Peer, bytes]] = deque()
        self._worker, self._notices = Worker(commands, self._post), Notices(commands, lambda: self.ignored)
        self._fails, self._fails_at = FAILS_PER_S, 0.0
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="rtvox-osc", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to listen."""
        self._worker.start()
        self._thread.start()

    def close(self) -> None:
        """Finish the command under way, say goodbye to subscribers, and free the port."""
        self._worker.close()
        self._open = False
        self._poke()
        self._thread.join()
        farewell = encode("/rtvox/status/state", "stopped")
        for peer in self._subscribers.peers():
            peer.send(farewell)
        for connection in list(self._connections):
            connection.close()
        for sock in (self._udp, self._tcp, self._wake_in, self._wake):
            sock.close()
        self._selector.close()

    def _serve(self) -> None:
        raise_priority(CONTROL_PRIORITY)
        next_tick = time.monotonic()
        while self._open:
            now = time.monotonic()
            due = next_tick if self._subscribers else now + 1.0
            if self._scheduled:
                due = min(due, now + self._scheduled[0][0] - time.time())
            try:
                for key, _ in self._selector.select(max(0.0, due - now)):
                    key.data()
                self._run_scheduled()
                if self._subscribers and time.monotonic() >= next_tick:
                    next_tick = max(next_tick + 1.0 / METER_HZ, time.monotonic())
                    self._tick()
            except Exception as error:  # a mistake of ours; we go on listening
                self._commands.session.fault = f"OSC: {type(error).__name__}: {error}"

    def _receive(self) -> None:
        for _ in range(BATCH):
            try:
                packet, address = self._udp.recvfrom(MAX_DATAGRAM)
            except OSError:  # nothing more; or what ICMP says about a client that has gone
                return
            if self._may(address[0]):
                self._packet(self._subscribers.known(UdpPeer(self._udp, address)), packet)
        time.sleep(BREATH_S)

    def _may(self, address: str) -> bool:
        ip = ip_address(address.partition("%")[0])
        allowed = not self._allowed or ip.is_loopback or any(ip in network for network in self._allowed)
        self.ignored += not allowed
        return allowed

    def _accept(self) -> None:
        try:
            sock, address = self._tcp.accept()
        except OSError:
            return
        if not self._may(address[0]):
            sock.close()
            return
        if len(self._connections) >= MAX_CONNECTIONS:  # or else who opens many and says nothing keeps all others out
            min(self._connections, key=lambda known: known.heard).close()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_UNSENT)
        connection = Connection(sock, self._selector, self._packet, self._query, self._gone)
        self._connections.add(connection)

    def _gone(self, connection: Connection, malformed: bool) -> None:
        self._connections.discard(connection)
        self._subscribers.remove(connection)
        self.ignored += malformed

    def _woken(self) -> None:
        self._wake_in.recv(4096)
        while self._outbox:
            peer, packet = self._outbox.popleft()
            peer.send(packet)

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it will wake anyway
            self._wake.send(b"\0")

    def _query(self, path: str, query: str) -> object:
        return describe(self._commands.session, self.port, path, query)

    def _packet(self, peer: Peer, packet: bytes) -> None:
        """Take one packet, whoever sent it and whatever it is."""
        try:
            if len(packet) > MAX_PACKET:
                raise OscError(f"{len(packet)} bytes; at most {MAX_PACKET}")
            messages = decode(packet)
        except OscError:  # no answer: there is no address to answer to
            self.ignored += 1
            return
        now = time.time()
        for at, address, values in messages:
            if at <= now:
                self._message(peer, address, values)
            elif at > now + MAX_AHEAD_S or len(self._scheduled) >= MAX_SCHEDULED:
                self._fail(peer, address, f"due in {at - now:.0f} s; at most {MAX_SCHEDULED} wait, {MAX_AHEAD_S:g} s")
            else:
                heapq.heappush(self._scheduled, (at, next(self._order), peer, address, values))

    def _run_scheduled(self) -> None:
        while self._scheduled and self._scheduled[0][0] <= time.time():
            _, _, peer, address, values = heapq.heappop(self._scheduled)
            self._message(peer, address, values)

    def _message(self, peer: Peer, pattern: str, values: list[Value]) -> None:
        """Do one message, or hand it to the worker; whatever goes wrong is answered."""
        try:
            if pattern == "/rtvox/notify":
                self._notify(peer, values)
            elif pattern in self._commands.waiting:
                self._worker.ask(peer, pattern, values)
            else:
                for address in self._commands.addresses(pattern):
                    if answer := self._commands.run(address, values):
                        peer.send(encode(address, *answer))
        except RtvoxError as error:
            self._fail(peer, pattern, str(error))
        except Exception as error:  # a mistake of ours; the engine lives on
            self._fail(peer, pattern, f"{type(error).__name__}: {error}")

    def _fail(self, peer: Peer, address: str, reason: str) -> None:
        """Answer /rtvox/fail, as often as allowed; the rest is counted."""
        now = time.monotonic()
        self._fails = min(FAILS_PER_S, self._fails + (now - self._fails_at) * FAILS_PER_S)
        self._fails_at = now
        if self._fails < 1.0:
            self.ignored += 1
            return
        self._fails -= 1.0
        peer.send(failure(address, reason))

    def _notify(self, peer: Peer, values: list[Value]) -> None:
        numbers = [value for value in values if isinstance(value, int | float)]
        if not 1 <= len(numbers) == len(values) <= 2 or not 0 <= numbers[-1] < 65536:
            raise OscError("needs 0, 1 or 2, and a port if others than yours shall hear it")
        if not self._subscribers:
            self._notices.begin()
        subscribed = self._subscribers.set(peer, int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else None)
        if subscribed:
            self._worker.tell_all(subscribed)

    def _post(self, peer: Peer, packet: bytes) -> None:
        self._outbox.append((peer, packet))
        self._poke()

    def _tick(self) -> None:
        packets = self._notices.next()
        spectra = self._notices.spectra() if self._subscribers.want_spectra else []
        for peer, with_spectra in self._subscribers.levels():
            for packet in packets + spectra if with_spectra else packets:
                peer.send(packet)

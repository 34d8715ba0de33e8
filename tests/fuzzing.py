"""Hostile datagrams: malformed, truncated, too long, nested, or OSC that asks for what is not.

Hypothesis draws them; each is sent as it is, and MUTANTS times with random damage, which costs less time than drawing.
`python tests/fuzzing.py PORT SECONDS` floods an engine, for `soak.py`.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from steering import Played, serving

from rtvox.osc import MAX_DATAGRAM, OscClient, Value, bundle, encode

BATCH = 50  # datagrams per example: hypothesis takes longer to begin one than to draw one
MUTANTS = 9

_floats = st.floats(width=32, allow_subnormal=False) | st.sampled_from([float("nan"), float("inf"), -1e30])
_values = st.one_of(
    _floats,
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(min_size=1, max_size=40),
    st.sampled_from(["", "on", "é", "%n%s"]),
)
# What must not be hit by chance: /rtvox/quit, and what stops the sound.
_COMMANDS = ("model", "preset/load", "notify", "get", "sync", "bypass", "device", "param/mix", "param/nix")
STOPPING = (b"quit", b"stop", b"record")
_PATTERNS = (
    "param/*",
    "param/[a-z]*",
    "{param,x}/mix",
    "param/*a*a*a*a",
    "param/" + "{" * 30,
    "param/[z-a]",
    "?" * 500,
)
_addresses = st.sampled_from([f"/rtvox/{path}" for path in (*_COMMANDS, *_PATTERNS)] + ["/nix", "//"])
_messages = st.builds(lambda address, values: encode(address, *values), _addresses, st.lists(_values, max_size=4))
_bundles = st.builds(
    lambda messages, at: bundle(messages, at),
    st.lists(_messages, max_size=5),
    st.none() | st.floats(0.0, 2e9, allow_subnormal=False),
)


def _nested(depth: int) -> bytes:
    packet = encode("/rtvox/param/mix", 0.5)
    for _ in range(depth):
        packet = bundle([packet])
    return packet


def _damaged(packet: bytes, at: int, junk: bytes) -> bytes:
    at %= len(packet) + 1
    return packet[:at] + junk + packet[at + len(junk) :]


def _truncated(packet: bytes, at: int) -> bytes:
    return packet[: at % (len(packet) + 1)]


DATAGRAMS = st.one_of(
    st.binary(max_size=64),
    st.builds(
        lambda tags: b"/rtvox/param/mix\0\0\0\0," + tags, st.text("ifsbhdtTFNI[]rmSc\0", max_size=40).map(str.encode)
    ),
    _messages,
    _bundles,
    st.builds(_nested, st.integers(0, 300)),
    st.builds(_truncated, _messages | _bundles, st.integers(0, 400)),
    st.builds(_damaged, _messages | _bundles, st.integers(0, 400), st.binary(min_size=1, max_size=8)),
    st.builds(
        lambda size, filler: filler * size,
        st.sampled_from([8193, 16000, MAX_DATAGRAM]),
        st.sampled_from([b"/", b"\0", b"#"]),
    ),
    st.builds(
        lambda size: b"#bundle\0" + bytes(8) + size.to_bytes(4, "big", signed=True) + b"/a\0\0", st.integers(-100, 100)
    ),
)


def flood(count: int, reserve_ms: float = 0.0) -> Played:
    """Send so many hostile datagrams to an engine that plays; it must answer at the end."""
    rng = random.Random(440)
    with serving(reserve_ms) as (port, played), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        @settings(
            max_examples=max(1, count // (BATCH * (1 + MUTANTS))),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(DATAGRAMS, min_size=BATCH, max_size=BATCH))
        def send(datagrams: list[bytes]) -> None:
            for drawn in datagrams:
                for datagram in (drawn, *(_mutant(drawn, rng) for _ in range(MUTANTS))):
                    if not any(word in datagram for word in STOPPING):
                        sock.sendto(datagram, ("127.0.0.1", port))
                time.sleep(0.0005)

        send()
        with OscClient("127.0.0.1", port) as client:
            client.call("/rtvox/get", "/rtvox/version", timeout_s=20.0)
            client.send("/rtvox/param/resynthesis", 0.0)  # a vocoder that was wished for last would count as growth
            client.call("/rtvox/model", "none", timeout_s=20.0)
    return played[0]


def _mutant(datagram: bytes, rng: random.Random) -> bytes:
    """Return the datagram cut off, doubled, or with some bits turned over."""
    kind, changed = rng.randrange(4), bytearray(datagram)
    if kind == 0:
        return datagram[: rng.randrange(len(datagram) + 1)]
    if kind == 1:
        return (datagram * 2)[:MAX_DATAGRAM]
    for _ in range(rng.randrange(1, 8) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def barrage(port: int, seconds: float) -> int:
    """Send hostile datagrams for so long, as fast as this thread can; return how many."""
    rng, count, end = random.Random(440), 0, time.monotonic() + seconds
    values: list[Value] = [0.5, -1e30, float("nan"), 2**40, True, "", "on", b"x", "none"]
    messages = [encode(f"/rtvox/{path}", value) for path in (*_COMMANDS, *_PATTERNS) for value in values]
    packets = [*messages, *(bundle(rng.sample(messages, 5)) for _ in range(50)), _nested(300)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while time.monotonic() < end:
            datagram = _mutant(rng.choice(packets), rng)
            if not any(word in datagram for word in STOPPING):
                sock.sendto(datagram, ("127.0.0.1", port))
                count += 1
    return count


def tcp_flood(port: int, count: int) -> None:
    """Open connections that say nonsense, or nothing."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(os.urandom(number % 200) if number % 3 else b"\xc0" + os.urandom(300) + b"\xc0")


if __name__ == "__main__":
    barrage(int(sys.argv[1]), float(sys.argv[2]))

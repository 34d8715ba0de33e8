"""OSC packets and OscClient: bytes in, messages out, for peers of all kinds; and what is no OSC at all."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from fuzzing import DATAGRAMS
from hypothesis import given
from hypothesis import strategies as st
from playing import wait_for
from steering import Ear

from rtvox.errors import OscError
from rtvox.osc import MAX_DEPTH, OscClient, bundle, decode, encode, slip, unslip

# Datagrams as real programs sent them to an engine. tests/test_patches.py has them send the same again.
PURE_DATA = {  # Pd 0.53.1 with examples/rtvox.pd: floats for whatever is a number
    b"/rtvox/notify\0\0\0,f\0\0?\x80\0\0": ("/rtvox/notify", [1.0]),
    b"/rtvox/param/mix\0\0\0\0,f\0\0>\x80\0\0": ("/rtvox/param/mix", [0.25]),
    b"/rtvox/model\0\0\0\0,s\0\0isolate\0": ("/rtvox/model", ["isolate"]),
}
SUPERCOLLIDER = {  # sclang 3.13.0 with examples/rtvox.scd: ints stay ints, true and false become ints
    b"/rtvox/notify\0\0\0,i\0\0\0\0\0\1": ("/rtvox/notify", [1]),
    b"/rtvox/param/mix\0\0\0\0,f\0\0>\x80\0\0": ("/rtvox/param/mix", [0.25]),
    b"/rtvox/param/bypass\0,i\0\0\0\0\0\1": ("/rtvox/param/bypass", [1]),
}
SUPERCOLLIDER_BUNDLE = (  # sendBundle(0.2, ...): two messages for 2026-11-21 13:42:51.95 UTC
    b"#bundle\0\xee\xac\x1e[\xc0F\xfa\xf6"
    b"\0\0\0$/rtvox/param/output_gain\0\0\0\0,i\0\0\xff\xff\xff\xfa\0\0\0\x1c/rtvox/param/mute\0\0\0,i\0\0\0\0\0\1"
)
TOUCH_OSC = (  # in the form that TouchOSC sends: a bundle for "immediately" around a fader and its touch
    b"#bundle\0\0\0\0\0\0\0\0\1"
    b"\0\0\0\x1c/rtvox/param/mix\0\0\0\0,f\0\0?@\0\0\0\0\0\x1c/rtvox/param/mix/z\0\0,f\0\0?\x80\0\0"
)


@pytest.mark.parametrize(("packet", "message"), [*PURE_DATA.items(), *SUPERCOLLIDER.items()])
def test_captured_messages_are_understood(packet: bytes, message: tuple[str, list[object]]) -> None:
    assert decode(packet) == [(0.0, *message)]


def test_captured_bundles_are_understood() -> None:
    at, address, values = decode(SUPERCOLLIDER_BUNDLE)[0]
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) == "2026-11-21 13:42:51"
    assert (address, values) == ("/rtvox/param/output_gain", [-6])
    assert decode(SUPERCOLLIDER_BUNDLE)[1] == (at, "/rtvox/param/mute", [1])
    assert [message[:2] for message in decode(TOUCH_OSC)] == [(0.0, "/rtvox/param/mix"), (0.0, "/rtvox/param/mix/z")]


@given(
    st.lists(
        st.one_of(
            st.floats(width=32, allow_nan=False, allow_subnormal=False),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            st.binary(min_size=1),
        ),
        max_size=8,
    ),
    st.none() | st.floats(1.0, 2e9),
)
def test_what_is_encoded_comes_back(values: list[float | int | bool | str | bytes], at: float | None) -> None:
    message = encode("/rtvox/x", *values)
    assert decode(message) == [(0.0, "/rtvox/x", values)]
    ((due, *rest),) = decode(bundle([message], at))
    assert rest == ["/rtvox/x", values]
    assert due == pytest.approx(at or 0.0, abs=1e-6)
    assert unslip(slip(message)) == message


def test_nested_bundles_are_due_when_the_latest_is() -> None:
    inner = bundle([encode("/a"), encode("/b")], 1000.0)
    assert [message[:2] for message in decode(bundle([inner, encode("/c")], 2000.0))] == [
        (2000.0, "/a"),
        (2000.0, "/b"),
        (2000.0, "/c"),
    ]


def _nested(depth: int) -> bytes:
    packet = encode("/a")
    for _ in range(depth):
        packet = bundle([packet])
    return packet


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"hello",
        b"/",
        b"/a",  # no end
        b"/a\0\0,f\0\0",  # no value
        b"/a\0\0,s\0\0abcd",  # no end of the text
        b"/a\0\0,b\0\0\x7f\xff\xff\xff",  # more bytes than there are
        b"/a\0\0,I\0\0",  # a type that nobody has
        b"/a\0\0,[\0\0",
        b"/a\0\0,]\0\0",
        b"/\xff\xff\0,\0\0\0",  # not UTF-8
        b"/" + b"a" * 300 + b"\0\0\0,\0\0\0",
        b"#bundle\0",
        b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc/a\0\0",  # a negative size: python-osc's own reader never returns
        b"#bundle\0" + bytes(8) + b"\0\0\0\0",
        b"#bundle\0" + bytes(8) + b"\0\0\0\7/a\0\0,\0\0",
        _nested(MAX_DEPTH + 1),
        _nested(2000),
    ],
)
def test_what_is_not_osc_is_refused(packet: bytes) -> None:
    with pytest.raises(OscError):
        decode(packet)


@given(DATAGRAMS)
def test_nothing_but_an_osc_error_comes_of_hostile_packets(packet: bytes) -> None:
    with contextlib.suppress(OscError):
        decode(packet)


def test_what_osc_cannot_say_is_refused() -> None:
    for value in (1 << 64, object(), "\ud800"):
        with pytest.raises(OscError, match="cannot be said in OSC"):
            encode("/a", value)  # type: ignore[arg-type]


class TestClient:
    @pytest.fixture
    def far(self) -> Iterator[socket.socket]:
        """The other end: a bare socket."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(5.0)
            yield sock

    def test_it_sends_and_receives(self, far: socket.socket) -> None:
        ear = Ear()
        with OscClient("127.0.0.1", far.getsockname()[1], ear) as client:
            client.subscribe(spectra=True)
            packet, back = far.recvfrom(1000)
            assert decode(packet) == [(0.0, "/rtvox/notify", [2])]
            assert back[1] == client.port
            far.sendto(bundle([encode("/a", 1), encode("/b", "two")]), back)
            wait_for(lambda: len(ear.heard) == 2)
            assert ear.heard == [("/a", [1]), ("/b", ["two"])]
            assert 0.0 <= time.monotonic() - client.heard < 5.0
        assert decode(far.recv(1000)) == [(0.0, "/rtvox/notify", [0])]

    def test_nonsense_and_a_failing_receiver_do_not_end_it(self, far: socket.socket) -> None:
        heard = []

        def receive(address: str, values: list[object]) -> None:
            heard.append(address)
            raise ValueError("out of tune")

        with OscClient("127.0.0.1", far.getsockname()[1], receive) as client:
            for packet in (b"nonsense", encode("/a"), encode("/b")):
                far.sendto(packet, ("127.0.0.1", client.port))
            wait_for(lambda: heard == ["/a", "/b"])
            wait_for(lambda: client.error == "ValueError: out of tune")

    def test_nobody_there_is_no_error_until_an_answer_is_asked_for(self, far: socket.socket) -> None:
        port = far.getsockname()[1]
        far.close()
        with OscClient("127.0.0.1", port) as client:
            for _ in range(3):
                client.send("/rtvox/panic")
                time.sleep(0.01)
            with pytest.raises(OscError, match=f"no answer from 127.0.0.1:{port} in 0.1 s"):
                client.call("/rtvox/sync", timeout_s=0.1)

    def test_only_what_the_engine_sends_is_heard(self, far: socket.socket) -> None:
        ear = Ear()
        with (
            OscClient("127.0.0.1", far.getsockname()[1], ear) as client,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        ):
            stranger.sendto(encode("/stranger"), ("127.0.0.1", client.port))
            far.sendto(encode("/engine"), ("127.0.0.1", client.port))
            wait_for(lambda: bool(ear.heard))
            assert ear.heard == [("/engine", [])]

    def test_a_host_that_does_not_exist_is_named(self) -> None:
        with pytest.raises(OscError, match=r"nowhere\.invalid:9000: cannot send there"):
            OscClient("nowhere.invalid", 9000)

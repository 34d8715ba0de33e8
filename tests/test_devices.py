"""Finding, opening and watching devices, without any: rows and streams are made up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from audio_systems import wait_for

from rtvox import device_list, devices, portaudio
from rtvox.device import Callback
from rtvox.devices import SoundCard, find_device
from rtvox.errors import DeviceError, ParameterError
from rtvox.features import Array
from rtvox.host import DeviceRow, Request, play_silence
from rtvox.loopback import Probe, measure_loopback
from rtvox.rhythm import Rhythm

ROWS = [
    DeviceRow("JACK", "system", "system", 2, 2, 48000, True, True),
    DeviceRow("PulseAudio", "usb-mic", "usb-mic", 1, 0, 44100, True, False, "USB Microphone"),
    DeviceRow("PulseAudio", "speakers", "speakers", 0, 2, 44100, False, True, "Built-in Speakers"),
    DeviceRow("ALSA", "USB: Audio (hw:1,0)", 0, 1, 0, 44100, True, False),
    DeviceRow("ALSA", "PCH: Analog (hw:0,0)", 1, 2, 8, 48000, False, True),
    DeviceRow("ALSA", "PCH: Digital (hw:0,3)", 2, 0, 2, 48000),
    DeviceRow("Windows MME", "USB Microphone", 3, 1, 0, 44100, True, False),
    DeviceRow("Windows MME", "Line", 4, 0, 2, 44100, False, True),
]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[DeviceRow]:
    """All devices there are; a test may change them."""
    there = list(ROWS)
    monkeypatch.setattr(device_list, "list_devices", lambda: list(there))
    monkeypatch.setattr("rtvox.jack_host.rows", lambda: [row for row in there if row.host == "JACK"])
    return there


class FakeStream:
    """A HostStream that a thread drives until it is told to stop, vanish or hang."""

    patience_s = 0.3
    message = ""
    latency = 300
    period = 128

    def __init__(self, request: Request) -> None:
        self.request, self.callback = request, play_silence
        self.callback: Callback
        self.sample_rate, self.max_block, self.fixed_block = 48000, self.period, True
        self.calls, self.xruns = 0, 7
        self.fault: Exception | None = None
        self.closed, self.frozen, self.hangs = threading.Event(), False, False
        self.heard = np.zeros((self.period, request.channels_in), np.float32)
        self.played = np.ones((self.period, request.channels_out), np.float32)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.closed.wait(0.002):
            if not self.frozen:
                self.callback(self.heard, self.played)
                self.calls += 1

    def close(self) -> None:
        while self.hangs:
            time.sleep(0.1)
        self.closed.set()


@pytest.fixture
def streams(rows: list[DeviceRow], monkeypatch: pytest.MonkeyPatch) -> list[FakeStream]:
    """All streams that were opened, the newest last."""
    opened: list[FakeStream] = []

    def open_fake(request: Request) -> FakeStream:
        opened.append(FakeStream(request))
        return opened[-1]

    monkeypatch.setattr(devices, "PortAudioStream", open_fake)
    monkeypatch.setattr(devices, "_STREAMS", {})
    return opened


@pytest.mark.parametrize(
    ("wanted", "kind", "found"),
    [
        (None, "input", "JACK: system"),
        ("speakers", "output", "PulseAudio: speakers"),
        ("SPEAK", "output", "PulseAudio: speakers"),
        ("built-in", "output", "PulseAudio: speakers"),  # by its description
        ("USB Microphone", "input", "Windows MME: USB Microphone"),  # an exact name before a description
        ("usb", "input", "PulseAudio: usb-mic"),  # of the preferred host
        ("ALSA: USB", "input", "ALSA: USB: Audio (hw:1,0)"),
        ("Digital", "output", "ALSA: PCH: Digital (hw:0,3)"),
        (4, "input", "ALSA: PCH: Analog (hw:0,0)"),
        ("4", "output", "ALSA: PCH: Analog (hw:0,0)"),
    ],
)
def test_a_device_is_found_by(rows: list[DeviceRow], wanted: str, kind: devices.Kind, found: str) -> None:
    assert find_device(wanted, kind).full_name == found


@pytest.mark.parametrize(
    ("wanted", "kind", "error"),
    [
        ("usb mike", "input", r"input 'usb mike': no such device; near it: usb-mic.*; see `rtvox devices`"),
        ("PCH", "output", r"output 'PCH': means 2 devices: ALSA: PCH: Analog \(hw:0,0\), ALSA: PCH: Digital"),
        ("usb-mic", "output", "output 'usb-mic': no such device"),
        ("5", "input", "input 5: no input device has that number"),
        (99, "output", "output 99: no output device has that number"),
        ("", "input", "input '': no such device"),
    ],
)
def test_a_device_is_not_found_by(rows: list[DeviceRow], wanted: str, kind: devices.Kind, error: str) -> None:
    with pytest.raises(DeviceError, match=error):
        find_device(wanted, kind)


def test_no_device_at_all(rows: list[DeviceRow]) -> None:
    rows.clear()
    with pytest.raises(DeviceError, match="no input device is there; plug one in"):
        find_device(None, "input")
    with pytest.raises(DeviceError, match="there is none at all"):
        find_device("mic", "input")


def test_the_other_side_comes_from_the_same_host(rows: list[DeviceRow]) -> None:
    source, sink = device_list.find_pair("usb-mic", None)
    assert (source.full_name, sink.full_name) == ("PulseAudio: usb-mic", "PulseAudio: speakers")
    source, sink = device_list.find_pair("usb", "Line")  # several have the first, one has both
    assert (source.full_name, sink.full_name) == ("Windows MME: USB Microphone", "Windows MME: Line")


def test_two_clocks_are_refused_or_noted(rows: list[DeviceRow]) -> None:
    with pytest.raises(DeviceError, match=r"two sound cards, whose clocks drift apart; take both from one card, or"):
        device_list.find_pair("ALSA: USB", "Analog")
    assert device_list.find_pair("Analog", "Digital")[1].key == 2  # one card
    with pytest.raises(DeviceError, match="belong to different sound systems"):
        device_list.find_pair("usb-mic", "Line")
    pair = device_list.find_pair("Windows MME: USB", "Line")
    assert "two devices" in device_list.clock_note(*pair)
    assert not device_list.clock_note(*device_list.find_pair("usb-mic", "speakers"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"block": 0}, "block=0: needs 1 to 65536 samples"),
        ({"sample_rate": 3}, "sample_rate=3: needs 8000 to 384000 Hz"),
        ({"source": "usb-mic", "channels_in": 2}, "input PulseAudio: usb-mic: 2 channels asked, it has 1"),
        ({"sink": "Analog", "source": "Analog", "channels_out": 9}, "9 channels asked, it has 8"),
    ],
)
def test_a_card_refuses(streams: list[FakeStream], arguments: dict[str, int], error: str) -> None:
    with pytest.raises((DeviceError, ParameterError), match=error):
        SoundCard(**arguments)  # type: ignore[arg-type]
    assert not streams


def test_a_card_plays_silence_until_it_is_started(streams: list[FakeStream]) -> None:
    card = SoundCard("Analog", "Analog")
    wait_for(lambda: streams[0].calls > 2, "calls")
    assert not streams[0].played.any()
    assert (card.channels_in, card.channels_out, card.latency, card.max_block) == (2, 2, 300, 128)

    def ones(_indata: Array, outdata: Array) -> None:
        outdata.fill(1.0)

    card.start(ones, pytest.fail)
    assert card.xruns == 0
    wait_for(lambda: bool(streams[0].played.all()), "sound")
    card.stop()
    card.stop()
    assert streams[0].closed.is_set()
    assert (card.latency, card.stream) == (300, None)  # what is shown after the end


@pytest.mark.parametrize(
    ("happen", "error"),
    [
        (lambda stream: setattr(stream, "fault", DeviceError("unplugged")), "JACK: system: unplugged"),
        (lambda stream: setattr(stream, "frozen", True), "JACK: system: no callback for 0.3 s"),
    ],
)
def test_a_loss_is_reported_once(streams: list[FakeStream], happen: Callable[[FakeStream], None], error: str) -> None:
    card = SoundCard()
    lost: list[Exception] = []
    card.start(play_silence, lost.append)
    happen(streams[0])
    wait_for(lambda: bool(lost), "report", 2.0)
    time.sleep(0.5)
    assert [str(one) for one in lost] == [error]
    card.stop()


def test_a_card_that_came_back_otherwise_asks_to_be_started_anew(
    streams: list[FakeStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = SoundCard()
    card.start(play_silence, pytest.fail)
    card.stop()
    monkeypatch.setattr(FakeStream, "period", 256)
    with pytest.raises(DeviceError, match="JACK: system: back at 48000 Hz, 256 samples"):
        card.start(play_silence, pytest.fail)
    assert card.max_block == 256
    card.stop()
    card.start(play_silence, pytest.fail)
    card.stop()


def test_a_default_card_stays_with_its_host(streams: list[FakeStream], rows: list[DeviceRow]) -> None:
    card = SoundCard()
    card.stop()
    del rows[0]  # JACK's server has gone; PulseAudio must not be opened in its place
    with pytest.raises(DeviceError, match="no input device is there"):
        card.start(play_silence, pytest.fail)


def test_a_sound_system_that_hangs_does_not_hang_us(streams: list[FakeStream], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CLOSE_S", 0.2)
    card = SoundCard()
    streams[0].hangs = True
    begin = time.monotonic()
    card.stop()
    assert time.monotonic() - begin < 2.0
    streams[0].hangs = False


def test_rhythm_knows_bursts() -> None:
    rhythm = Rhythm(128)

    def play() -> None:
        for _ in range(60):
            time.sleep(0.0106)
            for _ in range(4):
                rhythm.beat(128)

    threading.Thread(target=play, daemon=True).start()
    assert rhythm.settle(48000, 3.0, lambda: True) == 512
    assert Rhythm(128).settle(48000, 0.6, lambda: True) == 0  # nothing comes


def test_loopback_by_cable_finds_the_delay() -> None:
    class Cable:
        """A device whose output comes back into its input 200 samples later, in real time."""

        sample_rate, max_block, fixed_block, realtime = 48000, 128, True, False
        channels_in = channels_out = 1
        latency, xruns = 200, 0

        def start(self, callback: Callback, on_lost: Callable[[Exception], None]) -> None:
            self._ending = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(callback,), daemon=True)
            self._thread.start()

        def _run(self, callback: Callback) -> None:
            wire, out = np.zeros((200, 1), np.float32), np.zeros((128, 1), np.float32)
            while not self._ending.is_set():
                indata, wire = wire[:128], wire[128:]
                callback(indata, out)
                wire = np.concatenate([wire, out])

        def stop(self) -> None:
            self._ending.set()
            self._thread.join()

    measured = measure_loopback(Cable(), bursts=4)
    assert (measured.samples, measured.spread, measured.bursts) == (measured.stated, 0, 4)
    assert measured.agrees


@pytest.mark.parametrize(("background", "count"), [(0.0, 3), (0.02, 3), (1.0, 0)])
def test_loopback_knows_other_noise_by_its_envelope(background: float, count: int, rng: np.random.Generator) -> None:
    """A vocoder gives back bursts as long and as loud, but of other noise; a noise that is always there is no burst."""
    probe, played, wire = Probe(48000, 3), np.zeros(128, np.float32), np.zeros(500 + 128, np.float32)
    while not probe.done:
        other = np.abs(wire[:128]) * rng.choice([-1.0, 1.0], 128) + background * rng.uniform(-0.3, 0.3, 128)
        probe.turn(other.astype(np.float32), played)
        wire = np.concatenate([wire[128:], played])
    assert len(probe.delays()) == count
    assert all(abs(delay - 628) < 40 for delay in probe.delays())  # 500, and the block that is played in turn


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (-9985, "another program holds it"),
        (-9996, "it is not there any more"),
        (-9997, "96000 Hz asked; try 48000 Hz or 44100 Hz, or leave the rate out"),
        (-9998, "1 in and 2 out asked; ask for fewer channels"),
        (-9993, "take input and output of one device"),
        (-9999, "is it plugged in, and free"),
    ],
)
def test_portaudios_errors_become_ours(code: int, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class PortAudioError(Exception):
        pass

    def refuse(**_options: object) -> None:
        raise PortAudioError("Error opening Stream: No luck", code, (0, 0, "the host's own words"))

    fake = ModuleType("sounddevice")
    fake.PortAudioError, fake.Stream = PortAudioError, refuse  # type: ignore[attr-defined]
    fake._initialize = fake._terminate = lambda: None  # type: ignore[attr-defined]
    fake.query_hostapis = lambda: [{"name": "ALSA"}]  # type: ignore[attr-defined]
    fake.query_devices = lambda: [{"hostapi": 0, "name": name, "index": 0} for name in ("mic", "out")]  # type: ignore[attr-defined]
    monkeypatch.setattr(portaudio, "_sounddevice", lambda: fake)
    pair = DeviceRow("ALSA", "mic", 0, 1, 0, 48000), DeviceRow("ALSA", "out", 1, 0, 2, 44100)
    with pytest.raises(DeviceError, match=hint) as caught:
        portaudio.open_stream(Request(*pair, 1, 2, 128, 96000), None, None)
    assert str(caught.value).startswith("ALSA: mic and ALSA: out: No luck: the host's own words; ")


def test_without_portaudio_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    portaudio._sounddevice.cache_clear()
    try:
        with pytest.raises(DeviceError, match="PortAudio: its library is not installed; install it"):
            portaudio.rows()
    finally:
        portaudio._sounddevice.cache_clear()

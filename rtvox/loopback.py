"""Measure mic-to-speaker latency through real devices, with noise bursts.

In: a SoundCard and a model. Out: a Loopback, to hold against what Status says. Main thread; the bursts are played and
recorded in the devices' audio threads. Two ways:

* JACK: a second client plays into rtvox's input ports and records its output ports. Its own loop, wired to itself, is
  measured first and subtracted; what the card adds at both ends is taken from the graph, as Status does.
* any other device: the bursts go out of the output and come back by a cable (or the monitor of a virtual output) into
  the input, and so into the engine. What the engine would play is not played but compared with the bursts. The path is
  output, cable, input, engine: the same parts as from microphone to speaker.

Read next: `devices.py`, `engine.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rtvox.device import Callback, Device, OnLost
from rtvox.devices import SoundCard
from rtvox.engine import Engine, Model
from rtvox.errors import DeviceError
from rtvox.features import Array, FeatureSpec
from rtvox.host import DeviceRow, Request
from rtvox.jack_host import HOST as JACK
from rtvox.jack_host import UNWIRED, JackStream
from rtvox.levels import SAMPLE_RATE
from rtvox.providers import AUTO, Provider

BURST_S = 0.04  # of noise, so that its correlation has one sharp peak
PERIOD_S = 0.4  # from burst to burst; nothing longer can be measured
LEVEL = 0.25  # peak, -12 dB: far above a room, far below the limiter
CLEAR = 0.5  # of a perfect correlation: below, the burst did not come back
TIMEOUT_S = 5.0  # beyond twice the time it should take
FADE_IN_S = 1.0  # until the models' and hosts' first moments are over
MIDDLE = ("part", 0.5)  # the isolation model's control and where it lets everything pass


@dataclass(frozen=True)
class Loopback:
    """What was measured; in samples at the device's rate."""

    sample_rate: int
    bursts: int  # that came back
    samples: float  # median, from microphone to speaker
    spread: int  # from the shortest to the longest
    own_loop: float  # of the measuring client, already subtracted
    stated: int  # what Status says
    block: int  # of the device: they should agree within one

    @property
    def milliseconds(self) -> float:
        """The median in milliseconds."""
        return self.samples * 1e3 / self.sample_rate

    @property
    def agrees(self) -> bool:
        """Return whether Status is right, within one block."""
        return abs(self.samples - self.stated) <= self.block


class Probe:
    """Plays bursts at known times and keeps what comes back. `turn` is called by one audio thread."""

    def __init__(self, sample_rate: int, bursts: int) -> None:
        rng = np.random.default_rng(440)
        self._sample_rate = sample_rate
        self._burst = (LEVEL * rng.uniform(-1.0, 1.0, round(BURST_S * sample_rate))).astype(np.float32)
        period = round(PERIOD_S * sample_rate)
        self._starts = round(FADE_IN_S * sample_rate) + period * np.arange(bursts)
        self._played = np.zeros(self._starts[-1] + 2 * period, np.float32)
        for start in self._starts:
            self._played[start : start + len(self._burst)] = self._burst
        self._heard = np.zeros_like(self._played)
        self._period, self._position = period, 0

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return len(self._played) / self._sample_rate

    @property
    def done(self) -> bool:
        """Return whether all was played."""
        return self._position >= len(self._played)

    def turn(self, heard: Array, played: Array) -> None:
        """Keep heard (B,), and fill played (B,) with what belongs to the same moment."""
        begin = min(self._position, len(self._played))
        end = min(begin + len(heard), len(self._played))
        self._heard[begin:end] = heard[: end - begin]
        played[: end - begin] = self._played[begin:end]
        played[end - begin :] = 0.0
        self._position = end

    def delays(self) -> list[int]:
        """Return how many samples after each burst it came back; those that did not are left out.

        A vocoder gives back other noise: if no burst comes back as it was, its envelope is looked for instead.
        """
        return self._delays(self._burst, self._heard) or self._delays(np.ones_like(self._burst), np.abs(self._heard))

    def _delays(self, burst: Array, sound: Array) -> list[int]:
        found = []
        for start in self._starts:
            heard = sound[start : start + self._period + len(burst)]
            heard = heard - heard.mean()
            size = len(heard) + len(burst)
            spectra = np.fft.rfft(heard, size) * np.fft.rfft(burst, size).conj()
            correlation = np.fft.irfft(spectra, size)[: self._period]
            delay = int(correlation.argmax())
            match = heard[delay : delay + len(burst)]
            perfect = float(np.linalg.norm(match) * np.linalg.norm(burst))
            if perfect and correlation[delay] > CLEAR * perfect:
                found.append(delay)
        return found


class CableDevice:
    """A Device around another: the other plays the probe's bursts, and the probe hears what the engine would play."""

    def __init__(self, device: Device, probe: Probe) -> None:
        self.sample_rate, self.max_block, self.fixed_block = device.sample_rate, device.max_block, device.fixed_block
        self.channels_in, self.channels_out, self.realtime = device.channels_in, 1, device.realtime
        self._device, self._probe = device, probe
        self._answer = np.zeros((device.max_block, 1), np.float32)
        self._burst = np.zeros(device.max_block, np.float32)

    @property
    def latency(self) -> int:
        """Samples, as the other device reports them."""
        return self._device.latency

    @property
    def xruns(self) -> int:
        """Buffers that the other device lost."""
        return self._device.xruns

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        """Start the other device."""

        def turn(indata: Array, outdata: Array) -> None:
            for at in range(0, len(indata), self.max_block):
                n = min(self.max_block, len(indata) - at)
                callback(indata[at : at + n], self._answer[:n])
                self._probe.turn(self._answer[:n, 0], self._burst[:n])
                outdata[at : at + n] = self._burst[:n, None]

        self._device.start(turn, on_lost)

    def stop(self) -> None:
        """Stop the other device."""
        self._device.stop()


def measure_loopback(
    device: Device,
    model: Model = None,
    settings: Mapping[str, float] | None = None,
    *,
    spec: FeatureSpec | None = None,
    provider: Provider = AUTO,
    bursts: int = 10,
) -> Loopback:
    """Measure from microphone to speaker and return it beside what Status says.

    A model that has the isolation control is set to let everything pass; another has to let noise pass by itself.
    Raises: DeviceError if fewer than half of the bursts come back; other RtvoxErrors as the engine.
    """
    stream = device.stream if isinstance(device, SoundCard) else None
    probe = Probe(device.sample_rate, bursts)
    own_loop, hardware = 0.0, 0
    if isinstance(stream, JackStream):
        row = DeviceRow(JACK, UNWIRED, UNWIRED, 1, 1, device.sample_rate)
        client = JackStream(Request(row, row, 1, 1, device.max_block), name="rtvox-loopback")
        try:
            own_loop = _own_loop(client, Probe(device.sample_rate, bursts))
            with _running(Engine(device, spec, provider=provider), model, settings or {}) as engine:
                _connect(client, stream)
                client.callback = lambda indata, outdata: probe.turn(indata[:, 0], outdata[:, 0])
                stated = _wait(probe, engine)
                hardware = device.latency
        finally:
            client.close()
    else:
        with _running(Engine(CableDevice(device, probe), spec, provider=provider), model, settings or {}) as engine:
            stated = _wait(probe, engine)
    delays = probe.delays()
    if len(delays) < max(1, bursts / 2):
        raise DeviceError(
            f"loopback: {len(delays)} of {bursts} bursts came back; connect the output to the input, turn both up, and "
            "choose a model that lets noise pass (or none)"
        )
    return Loopback(
        sample_rate=device.sample_rate,
        bursts=len(delays),
        samples=float(np.median(delays)) - own_loop + hardware,
        spread=max(delays) - min(delays),
        own_loop=own_loop,
        stated=stated,
        block=device.max_block,
    )


def _own_loop(client: JackStream, probe: Probe) -> float:
    """Return the samples that the measuring client takes to hear itself."""
    (ear,), (mouth,) = client.ports
    client.connect(mouth, ear)
    client.callback = lambda indata, outdata: probe.turn(indata[:, 0], outdata[:, 0])
    _wait(probe)
    client.disconnect(mouth, ear)
    if not (delays := probe.delays()):
        raise DeviceError("JACK: the measuring client does not hear itself; is the server overloaded?")
    return float(np.median(delays))


def _connect(client: JackStream, stream: JackStream) -> None:
    """Have the client play into all inputs of rtvox, and hear its first output."""
    (ear,), (mouth,) = client.ports
    inputs, outputs = stream.ports
    for port in inputs:
        client.connect(mouth, port)
    client.connect(outputs[0], ear)


@contextmanager
def _running(engine: Engine, model: Model, settings: Mapping[str, float]) -> Iterator[Engine]:
    with engine:
        engine.load(model)
        name, middle = MIDDLE
        if name in engine.params.table:
            engine.set(name, middle)
        for name, value in {"phase": 1.0, **settings}.items():  # Griffin-Lim from nothing would give other noise
            engine.set(name, value)
        engine.start()
        yield engine


def _wait(probe: Probe, engine: Engine | None = None) -> int:
    """Return when all bursts were played: what the engine's Status says then, in samples of the device."""
    deadline = time.monotonic() + 2.0 * probe.seconds + TIMEOUT_S
    while not probe.done:
        status = engine.status() if engine else None
        if time.monotonic() > deadline or (status and status.state != "running"):
            raise DeviceError(f"loopback: the device stands still; {status.error if status else 'it is lost'}")
        time.sleep(0.05)
    return round(engine.status().latency.total * engine.device.sample_rate / SAMPLE_RATE) if engine else 0

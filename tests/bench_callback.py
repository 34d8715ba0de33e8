"""Compare two audio callbacks over JACK's dummy driver: ours in Python, and rtmixer's in C with its ring buffers.

Both feed the same chain in a converter thread, at 48 kHz, 128 samples a period, with the same prefill of 384 samples.
Run by hand: `python tests/bench_callback.py --seconds 20 --model isolate`, six runs in some 130 s, a line each on the
way; docs/measurements.md keeps the figures. A miss is a callback that found no converted sound. The interval between
callbacks is only seen in Python.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import jack
import numpy as np
import rtmixer
import sounddevice
from audio_systems import jack_server, may_be_realtime
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from soak import busy_core

from rtvox import realtime
from rtvox.chain import Chain, build_chain
from rtvox.devices import SoundCard
from rtvox.engine import Engine
from rtvox.features import FeatureSpec
from rtvox.onnx_session import flush_denormals
from rtvox.params import Params
from rtvox.report import table
from rtvox.stage import prefill

RATE, BLOCK, HOP = 48000, 128, 256
LOADS = {"idle": (False, False), "other core busy": (True, False), "busy, and 1000 OSC messages/s": (True, True)}


@contextlib.contextmanager
def osc_traffic(wanted: bool) -> Iterator[None]:
    """Parse messages in a thread of this process, as an OSC server does."""
    ending = threading.Event()

    def parse() -> None:
        builder = OscMessageBuilder("/rtvox/mix")
        builder.add_arg(0.5)
        datagram = builder.build().dgram
        while not ending.wait(0.001):
            assert OscMessage(datagram).params == [0.5]

    thread = threading.Thread(target=parse)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        if wanted:
            thread.join()


@contextlib.contextmanager
def count_xruns() -> Iterator[list[float]]:
    """Collect what JACK's server reports: each time a client was late, a cycle is lost."""
    found: list[float] = []
    client = jack.Client("rtvox-xruns", no_start_server=True)
    client.set_xrun_callback(found.append)
    with client:
        yield found


def python_callback(chain: Chain, seconds: float) -> tuple[int, str]:
    """Return misses, and what intervals the callbacks came in, of the engine over its own JACK client."""
    moments = np.zeros(round(2 * seconds * RATE / BLOCK))
    with Engine(SoundCard()) as engine:
        engine.load(chain)
        engine.start()
        stream = engine.device.stream  # type: ignore[attr-defined]
        callback, count = stream.callback, 0

        def timed(indata: object, outdata: object) -> None:
            nonlocal count
            moments[count % len(moments)] = time.perf_counter()
            count += 1
            callback(indata, outdata)

        stream.callback = timed
        time.sleep(seconds)
        status = engine.status()
        intervals = np.diff(moments[: min(count, len(moments))]) * 1e3
    p50, p99, most = np.percentile(intervals, [50, 99, 100])
    return status.misses, f"{p50:.2f} / {p99:.2f} / {most:.2f} ms"


def c_callback(chain: Chain, seconds: float) -> tuple[int, str]:
    """Return the same of rtmixer, over PortAudio's JACK, without intervals."""
    sounddevice._initialize()  # anew: rtvox leaves it when idle
    device = next(i for i, d in enumerate(sounddevice.query_devices()) if d["name"] == "system")
    recorded, played = rtmixer.RingBuffer(4, 2**14), rtmixer.RingBuffer(4, 2**14)
    misses = 0
    ending = threading.Event()

    def convert(stream: rtmixer.MixerAndRecorder) -> None:
        nonlocal misses
        flush_denormals()
        params, hop = Params(), np.zeros(HOP, np.float32)
        silence = np.zeros(prefill(HOP, BLOCK), np.float32)
        played.write(silence)
        stream.record_ringbuffer(recorded)
        action = stream.play_ringbuffer(played)
        while not ending.is_set():
            if action not in stream.actions:  # it ends when it finds too little
                misses += 1
                played.write(silence)
                action = stream.play_ringbuffer(played)
            if recorded.read_available < HOP:
                time.sleep(2e-4)  # there is nothing to wait for but time
                continue
            recorded.readinto(hop)
            played.write(np.ascontiguousarray(chain.process(hop, hop, params)[0]))

    realtime.hold()
    stream = rtmixer.MixerAndRecorder(
        device=device, channels=1, samplerate=RATE, blocksize=BLOCK, latency="low", qsize=64
    )
    with stream:
        thread = threading.Thread(target=convert, args=(stream,))
        thread.start()
        time.sleep(seconds)
        ending.set()
        thread.join()
    realtime.release()
    sounddevice._terminate()
    return misses, "not seen"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--model", default="none")
    args = parser.parse_args()
    rows: list[list[str]] = []
    callbacks = (("Python, JACK client", python_callback), ("C, rtmixer 0.1.7", c_callback))
    for load, (busy, osc) in LOADS.items():
        for name, run in callbacks:
            chain = build_chain(args.model, FeatureSpec())
            chain.warm_up()
            with (
                jack_server(BLOCK, realtime=may_be_realtime()),
                busy_core(busy),
                osc_traffic(osc),
                count_xruns() as xruns,
            ):
                misses, intervals = run(chain, args.seconds)
            rows.append([name, load, f"{args.seconds * RATE / BLOCK:.0f}", str(misses), str(len(xruns)), intervals])
            done = f"{len(rows)} of {len(LOADS) * len(callbacks)}"
            print(f"{done}: {name}, {load}: {misses} misses, intervals {intervals}", file=sys.stderr, flush=True)
    header = ["callback", "load", "periods", "misses", "cycles lost", "interval p50 / p99 / max"]
    print(table(header, rows, markdown=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Thirty minutes through converter and vocoder: is it still what the whole signal gives? Drift, DC, states, faults.

For docs/measurements.md: `python tests/vocoder_stream.py --minutes 30 --model scream`, as fast as the machine can. The
suite runs a shorter one (`test_vocoder_path.py`). The whole signal is computed beside it without engine, timelines and
stages, the networks left aside: frames, log-mel and overlap-add of a minute at once, the last in double precision.

With `--switch`, on a real clock: from each resynthesis to the next and to another model, every 2 s. How long until it
sounds, how many misses, and the largest second difference (a click's) there and elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rtvox.chain import NO_MODEL, find_vocoder
from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.features import Array, log_mel, log_mel_of_spectrum, vocoder_window
from rtvox.file_device import FileDevice, PushDevice
from rtvox.griffin_lim import GriffinLim
from rtvox.model_file import ModelFile, find_model, load_model
from rtvox.onnx_stage import OnnxStage
from rtvox.params import PARAMS
from rtvox.pitch import QUIET_DB, REST_HZ, PitchTracker
from rtvox.stft import Analyzer

RATE, HOP = 48000, 256
MARK = 1e-4  # of full scale: the most by which the stream may differ from the whole
VOCODER = {"resynthesis": float(PARAMS["resynthesis"].parse("vocoder")), "ceiling": 0.0}


@dataclass
class Part:
    """What one part of the stream was like."""

    drift: float  # largest difference between stream and whole
    rms_db: float
    dc: float  # mean, of full scale
    states: dict[str, float]  # the largest value of each state tensor


def whole(blocks: Iterable[Array], converter: ModelFile | None, vocoder: ModelFile) -> Iterator[Array]:
    """Yield what converter and vocoder make of all blocks (whole hops); the first sample answers the first one."""
    spec = vocoder.manifest.features
    networks = [OnnxStage(file, "cpu") for file in (converter, vocoder) if file]
    skip = sum(network.delay for network in networks)
    griffin_lim = GriffinLim(spec) if vocoder.manifest.resynthesis == "griffin-lim" else None
    if griffin_lim:
        skip += griffin_lim.delay
    analyzer = Analyzer(spec)
    tracker = PitchTracker(analyzer)
    told = [np.array([REST_HZ, 0.0, QUIET_DB], np.float32)] * (converter.manifest.look_ahead if converter else 0)
    history, tail = np.zeros(spec.n_fft - HOP, np.float32), np.zeros(spec.n_fft - HOP)
    for block in blocks:
        samples = np.concatenate([history, block])
        history = samples[len(block) :]
        frames = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)[::HOP] * spec.analysis_window()
        mel = log_mel(frames, spec)
        for i, hop in enumerate(block.reshape(-1, HOP)):
            spectrum = analyzer.process(hop)
            told.append(tracker.process(spectrum).copy())
            if griffin_lim:  # which makes much of the last bit
                mel[i] = log_mel_of_spectrum(spectrum[None], spec)[0]
        out = np.concatenate([tail, np.zeros(len(block))])
        for i, frame in enumerate(mel):
            if converter:
                networks[0].told = told[-len(frames) + i]
                frame = networks[0].process(frame)
            networks[-1].told = told[i]
            spectrum = networks[-1].process(frame)
            if griffin_lim:
                out[i * HOP : (i + 1) * HOP] = griffin_lim.process(spectrum)
            else:
                out[i * HOP : i * HOP + spec.n_fft] += np.fft.irfft(spectrum, spec.n_fft) * vocoder_window(spec)
        del told[: len(frames)]
        tail = out[len(block) :]
        yield out[skip : len(block)].astype(np.float32)
        skip = max(0, skip - len(block))


def streamed(blocks: Iterable[Array], engine: Engine, device: PushDevice) -> Iterator[Array]:
    """Yield what the running engine makes of all blocks; the first sample answers the first one."""
    skip = engine.delay
    for block in blocks:
        size = device.max_block
        out = [device.push(block[i : i + size, None])[:, 0] for i in range(0, len(block), size)]
        yield np.concatenate(out)[skip:]
        skip = max(0, skip - len(block))


def compare(
    sound: Array, parts: int, seconds: float, model: str = NO_MODEL, settings: Mapping[str, float] | None = None
) -> Iterator[Part]:
    """Yield what so many parts of a stream were like, which repeats sound (N,). Raises: RtvoxError."""
    size = round(seconds * RATE / HOP) * HOP

    def blocks() -> Iterator[Array]:
        for i in range(parts):
            yield np.resize(np.roll(sound, -i * size), size)

    converter = None if model == NO_MODEL else load_model(find_model(model))
    device = PushDevice(RATE, 1024)
    with Engine(device, provider="cpu") as engine:
        engine.load(model)
        for name, value in {**VOCODER, **(settings or {})}.items():
            engine.set(name, value)
        engine.start()
        both = zip(streamed(blocks(), engine, device), whole(blocks(), converter, find_vocoder(converter)), strict=True)
        one, other = np.zeros((2, 0), np.float32)
        for got, wanted in both:
            one, other = np.concatenate([one, got]), np.concatenate([other, wanted])
            n = min(len(one), len(other))
            drift = float(np.abs(one[:n] - other[:n]).max())
            rms_db = float(10.0 * np.log10(np.mean(one[:n] ** 2, dtype=np.float64)))
            networks = engine._mixer.chain.networks
            states = {
                f"{network.manifest.name} {name.removeprefix('state_')}": float(np.abs(state).max())
                for network in networks
                for name, state in network._network.states().items()
            }
            yield Part(drift, rms_db, float(one[:n].mean(dtype=np.float64)), states)
            one, other = one[n:], other[n:]
            status = engine.status()
            assert (status.misses, status.failed_hops, status.error) == (0, 0, "")


def switch(model: str, other: str) -> int:
    """Change what makes the sound while it plays, in real time; print what happened; return the misses."""
    choices = PARAMS["resynthesis"].choices  # type: ignore[attr-defined]
    device = FileDevice(np.resize(read_clip(), 60 * RATE), clock="real")
    swaps: list[tuple[int, int]] = []
    with Engine(device) as engine:

        def change(what: str, ask: Callable[[], None]) -> None:
            time.sleep(2.0)
            old, asked, misses = engine._mixer.chain, device.position, engine.status().misses
            ask()
            while engine._mixer.chain is old:
                time.sleep(0.001)
            swaps.append((asked, device.position))
            late = (device.position - asked) * 1000.0 / RATE
            print(f"{what}: in {late:.0f} ms, {engine.status().misses - misses} misses", flush=True)

        engine.load(model)
        engine.start()
        for name in (*choices[1:], choices[2], choices[3], choices[1]):
            change(name, lambda name=name: engine.set("resynthesis", float(choices.index(name))))  # type: ignore[misc]
        change(other, lambda: engine.load(other, wait=False))
        engine.set("resynthesis", float(choices.index("vocoder")))
        change(f"{model}, vocoder", lambda: engine.load(model, wait=False))
        change("none, vocoder", lambda: engine.load(None, wait=False))
        time.sleep(2.0)
        position, status = device.position, engine.status()
    rough = np.abs(np.diff(device.output[:position, 0].astype(np.float64), 2))
    there = np.zeros(len(rough), bool)
    for asked, done in swaps:
        there[asked : done + RATE // 10] = True
    print(f"second difference: {rough[there].max():.3f} while changing, {rough[~there].max():.3f} elsewhere")
    print(f"{status.misses} misses in {status.callbacks} callbacks, {status.failed_hops} failed hops {status.error}")
    return status.misses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--model", default="scream")
    parser.add_argument("--switch", action="store_true", help="change resynthesis and model on a real clock instead")
    args = parser.parse_args()
    if args.switch:
        return 1 if switch(args.model, "isolate") else 0
    begin, seen = time.monotonic(), []
    sound = 0.2 * read_clip()  # so that the limiter, which the whole signal has not, never acts
    for part in compare(sound, args.minutes, 60.0, args.model):
        seen.append(part)
        figures = f"drift {part.drift:.1e}, rms {part.rms_db:.2f} dB, mean {part.dc:+.1e}"
        print(f"minute {len(seen)}: {figures}; {time.monotonic() - begin:.0f} s", flush=True)
    drift, dc = max(part.drift for part in seen), max(abs(part.dc) for part in seen)
    grown = {name: seen[-1].states[name] / max(first, 1e-9) for name, first in seen[0].states.items()}
    most = max(grown, key=grown.__getitem__)
    print(f"in all: drift {drift:.1e}, mean at most {dc:.1e}, no hop failed")
    print(f"states: {most} has grown most since the first minute, to {grown[most]:.2f} times")
    return 0 if drift <= MARK else 1


if __name__ == "__main__":
    sys.exit(main())

"""Compare streaming Griffin-Lim with what else finds phases, on the same magnitude frames of ten recordings.

    OMP_NUM_THREADS=1 python tests/bench_griffin_lim.py [--clips N]

Prints Markdown: spectral convergence in dB (mean over the clips, and the worst one), and the processor's time per hop.
Twice: for the true magnitudes at 1024/256, and for those that the live mel path gives (log-mel, then its inverse),
which no sound has exactly. Then what the input's own phase buys there. torchaudio, lws and pghipy: if installed.

    pip install torchaudio pghipy cython wheel
    LWS_USE_CYTHON=1 pip install --no-build-isolation lws    # from its source: the C++ file in it is for Python < 3.11
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from time import process_time

import librosa
import numpy as np
from copy_synthesis import CLIPS, DATA, clip, consistency_db, magnitudes, stream

from rtvox.features import MEL_SPEC, Array, Spectrum, log_mel_of_spectrum
from rtvox.file_device import convert_array
from rtvox.griffin_lim import GriffinLim
from rtvox.mel import LogMel, MelInverse

N_FFT, HOP = MEL_SPEC.n_fft, MEL_SPEC.hop
WINDOW = MEL_SPEC.analysis_window()
HANN_GAMMA = 0.25645 * N_FFT**2  # of the Gaussian nearest to Hann's window (Prusa, Balazs and Sondergaard 2017)
Method = Callable[[Array], Array]  # (T, K) magnitudes -> samples, frame 0 from the first on


def overlap_add(spectra: Spectrum) -> Array:
    """Return the least-squares sound of (T, K) spectra."""
    y = np.zeros((len(spectra) - 1) * HOP + N_FFT, np.float32)
    for i, frame in enumerate(np.fft.irfft(spectra, N_FFT) * MEL_SPEC.synthesis_window()):
        y[i * HOP : i * HOP + N_FFT] += frame
    return y


def of_librosa(momentum: float) -> Method:
    def run(goal: Array) -> Array:
        y = librosa.griffinlim(
            goal.T, n_iter=32, hop_length=HOP, win_length=N_FFT, window=WINDOW, momentum=momentum, random_state=440
        )
        return np.pad(y, N_FFT // 2)  # librosa's first frame begins half a window before the sound

    return run


def of_torchaudio(momentum: float) -> Method:
    import torch
    import torchaudio

    torch.set_num_threads(1)
    window = torch.from_numpy(WINDOW.copy())
    transform = torchaudio.transforms.GriffinLim(
        N_FFT, 32, N_FFT, HOP, window_fn=lambda _: window, power=1.0, momentum=momentum
    )

    def run(goal: Array) -> Array:
        torch.manual_seed(440)
        return np.pad(transform(torch.from_numpy(goal.T.copy())).numpy(), N_FFT // 2)

    return run


def of_lws(look_ahead: int) -> Method:
    import lws

    processor = lws.lws(
        WINDOW.astype(np.float64), HOP, look_ahead=look_ahead, nofuture_iterations=1, online_iterations=10
    )
    return lambda goal: overlap_add(processor.online_lws(processor.nofuture_lws(goal.astype(np.complex128))))


def of_pghi() -> Method:
    from pghipy import pghi

    def run(goal: Array) -> Array:
        phase = pghi(goal.astype(np.float64), N_FFT, HOP, HANN_GAMMA)
        return overlap_add(goal * np.exp(1j * phase))

    return run


def ours(look_ahead: int, iterations: int) -> Method:
    return lambda goal: stream(
        GriffinLim(MEL_SPEC, look_ahead=look_ahead, iterations=iterations), goal.astype(np.complex64)
    )


def methods() -> Iterator[tuple[str, str, Method]]:
    """Yield name, delay and method."""
    for look_ahead in (-2, -1, 0, 1, 2, 3):
        ms = (N_FFT + look_ahead * HOP) / 48
        yield f"rtvox, look-ahead {look_ahead}, 10 rounds", f"{ms:.1f} ms", ours(look_ahead, 10)
    yield "rtvox, look-ahead 0, 6 rounds", "21.3 ms", ours(0, 6)
    yield "rtvox, look-ahead 3, 24 rounds", "37.3 ms", ours(3, 24)
    yield "librosa Griffin-Lim, 32 rounds", "whole file", of_librosa(0.0)
    yield "librosa fast Griffin-Lim (0.99), 32 rounds", "whole file", of_librosa(0.99)
    optional: list[tuple[str, str, Callable[[], Method]]] = [
        ("torchaudio Griffin-Lim (0), 32 rounds", "whole file", lambda: of_torchaudio(0.0)),
        ("torchaudio Griffin-Lim (0.99), 32 rounds", "whole file", lambda: of_torchaudio(0.99)),
        ("lws online, look-ahead 0", "21.3 ms", lambda: of_lws(0)),
        ("lws online, look-ahead 3", "37.3 ms", lambda: of_lws(3)),
        ("pghipy (phase-gradient heap integration)", "whole file", of_pghi),
    ]
    for name, delay, make in optional:
        try:
            yield name, delay, make()
        except ImportError as error:
            print(f"{name}: left out ({error})", file=sys.stderr)


def through_mel(x: Array, *, use_input: bool = False) -> Array:
    """Return the (T, K) magnitudes that the mel path makes of the frames of x."""
    log_mel = LogMel(MEL_SPEC)
    inverse = MelInverse(MEL_SPEC, log_mel.heard, use_input=use_input)
    frames = magnitudes(x).astype(np.complex64)
    return np.stack([np.abs(inverse.process(log_mel.process(frame))) for frame in frames])


def compare(title: str, goals: list[Array]) -> None:
    print(f"\n| {title} | delay | mean | worst clip | ms per hop | % of a hop |\n|---|---|---|---|---|---|")
    for name, delay, method in methods():
        method(goals[0][:64])  # compiles and plans
        reached, seconds = [], 0.0
        for goal in goals:
            begin = process_time()
            y = method(goal)
            seconds += process_time() - begin
            reached.append(consistency_db(y, goal))
        ms = 1e3 * seconds / sum(len(goal) for goal in goals)
        row = f"{np.mean(reached):.1f} dB | {max(reached):.1f} dB | {ms:.2f} | {ms / (1e3 * HOP / 48000):.1%}"
        print(f"| {name} | {delay} | {row} |", flush=True)


def phase_table(sounds: list[Array]) -> None:
    """Print what the input's phase buys where the network changes nothing."""
    print("\n| mel path, identity | error of the waveform | log-mel distance |\n|---|---|---|")
    settings = {
        "Griffin-Lim, phase free": {"resynthesis": 2.0},
        "Griffin-Lim, phase input": {"resynthesis": 2.0, "phase": 1.0},
        "Griffin-Lim, phase input, no round": {"resynthesis": 2.0, "phase": 1.0, "iterations": 0.0},
    }
    for name, chosen in settings.items():
        errors, distances = [], []
        for x in sounds:
            y = convert_array(x, 48000, None, {"ceiling": 0.0, **chosen})
            errors.append(10 * np.log10(np.sum((y - x) ** 2) / np.sum(x**2)))
            a, b = (log_mel_of_spectrum(magnitudes(z).astype(np.complex64), MEL_SPEC) for z in (y, x))
            distances.append(float(np.mean(np.abs(a - b)) * 20 / np.log(10)))
        print(f"| {name} | {np.mean(errors):.1f} dB | {np.mean(distances):.2f} dB |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=len(CLIPS), metavar="N", help="the first N clips only")
    args = parser.parse_args()
    if not CLIPS:
        print(f"{DATA}: no recordings there; name a folder with RTVOX_DATA", file=sys.stderr)
        return 1
    sounds = [clip(name) for name in CLIPS[: args.clips]]
    print("; ".join(CLIPS[: args.clips]))
    compare("1024/256, true magnitudes", [magnitudes(x) for x in sounds])
    compare("live mel path", [through_mel(x) for x in sounds])
    phase_table(sounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Status: the engine at one moment, for the command line, the window and OSC. Plain values; any thread may read them.

`Counts` is where the audio and the converter thread count. Read next: `engine.py`, which puts a Status together.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtvox.levels import SAMPLE_RATE


@dataclass
class Counts:
    """Counted since `Engine.start`. Single writers: the audio thread the first four, the converter thread the rest."""

    callbacks: int = 0
    misses: int = 0  # callbacks that lacked samples
    missed_samples: int = 0
    repaired: int = 0  # input samples that were NaN, infinite or beyond all measure, and became silence
    dropped: int = 0  # input samples that were too old to be converted
    failed_hops: int = 0  # hops in which a stage raised an error


@dataclass(frozen=True)
class Latency:
    """From microphone to speaker, in samples at 48 kHz (docs/design.md, section 7).

    >>> Latency(device=256, prefill=128, framing=512).total
    896
    """

    device: int = 0  # what the host reports, input plus output
    prefill: int = 0  # reserve for scheduling; the time the model computes is hidden in it
    framing: int = 0  # the hop that is gathered, and overlap-add
    look_ahead: int = 0  # of the network
    edge: int = 0  # resampling to and from the device's rate

    @property
    def total(self) -> int:
        """The sum."""
        return self.device + self.prefill + self.framing + self.look_ahead + self.edge

    @property
    def total_ms(self) -> float:
        """The sum in milliseconds."""
        return self.total * 1000.0 / SAMPLE_RATE


@dataclass(frozen=True)
class Status:
    """The engine at one moment; levels in dB of full scale, counts since `start`."""

    state: str  # "stopped", "running" or "device lost"
    model: str
    provider: str  # where the model runs, a name of PROVIDERS; empty without one
    sample_rate: int  # of the device, Hz
    block: int  # the most samples the device asks for at once
    latency: Latency
    compute_p50_ms: float  # of one hop, over the last 22 s, as are the next five
    compute_p95_ms: float
    compute_p99_ms: float
    compute_p999_ms: float
    compute_max_ms: float
    load: float  # mean part of a hop's time that its conversion takes
    callbacks: int
    misses: int  # callbacks that lacked samples
    missed_samples: int
    dropped: int  # input samples that were too old to be converted
    failed_hops: int  # hops in which a stage raised an error, or a model gave what is not a number
    fallbacks: int  # how many times a model moved to the CPU, its provider having failed
    xruns: int  # blocks that the host lost
    input_peak_db: float
    input_rms_db: float
    output_peak_db: float
    output_rms_db: float
    recording: str  # the file being recorded, or why recording ended early, or empty
    recorded_s: float  # of sound in that file
    message: str  # what to know about how the model runs, or empty
    error: str  # the last fault, or empty

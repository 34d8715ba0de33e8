"""Manifest: what a model file says about itself, as frozen values that were checked when they were built.

In: the JSON text under the ONNX metadata key `rtvox` (format 1, described in docs/design.md section 7). Out: a
Manifest, or a ModelFileError that names the field, its value and what is allowed. Pure values, any thread.
Read next: `model_file.py`, which finds the text in the file and holds the graph to it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtvox.errors import ModelFileError
from rtvox.features import FeatureSpec
from rtvox.manifest_json import FORMAT, convert, need
from rtvox.params import Param, Scale
from rtvox.phonemes import MAX_TOKENS
from rtvox.pitch import CONDITIONS

# Role -> what may turn its output into sound, named in `resynthesis`; a role that is not here cannot run.
RESYNTHESIS = {
    "mask": ("istft",),
    "mel": ("griffin-lim", "input-phase", "vocoder"),
    "vocoder": ("overlap-add", "griffin-lim"),  # of a network that makes phases, and of one that leaves them open
    "speaker": ("griffin-lim", "vocoder"),
}
SPEAKER = "speaker"  # the role of voices that speak text
SAMPLE_RATE = 48000  # Hz; stages run at no other, devices are resampled at the edge
MAX_N_FFT = 16384  # samples, 0.34 s; like the limits below: far above any live model, far under what a machine holds
MAX_N_MELS = 1024
MAX_LOOK_AHEAD = 64  # frames
SPEECH_FRAMES = 6  # that a speaker makes in one step: 32 ms
SPEECH_MEASURES = 3  # of each beside log-mel: natural log of the pitch in Hz, voicing, 1 until the sentence has ended
VOCODER_LATE = 2  # hops by which all vocoders lag (Griffin-Lim's at its default), so that models can state their delay
MAX_ELEMENTS = 2**22  # of one tensor: 16 MiB
MAX_GOLDEN_FRAMES = 4096
RING = "ring_"  # begins the name of a state that may be changed where it lies: the graph reads no place that it writes

DOMAIN_CONTROLS = "domain", "towards"  # whose value is the number of one of `domains`

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")  # a control's name is also an OSC address and a flag
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TensorShape:
    """Name and fixed shape of one float32 tensor of the graph; of a state, the name without `state_` and `next_`."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Recordings that a model learned from, and whom to thank."""

    source: str
    licence: str
    attribution: str


@dataclass(frozen=True)
class Provenance:
    """How a model came to be."""

    data: tuple[Source, ...]
    recipe: str
    commit: str
    seed: int
    steps: int


@dataclass(frozen=True)
class Golden:
    """A model's proof: `golden_input(frames, seed)` through the graph must give these summary numbers.

    `output` is empty until export has measured it (`golden.make_golden`); a file on disk is always sealed.
    """

    frames: int
    seed: int
    input_sha256: str = ""
    output: tuple[float, ...] = ()
    tolerance: float = 1e-3  # relative to the largest number; machines differ by 1e-6, TF32 on a GPU by 1e-4


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that the runtime and a reader need to know about one model.

    Raises: ModelFileError naming the field when a value is not allowed (also when built in code).
    """

    name: str
    title: str
    role: str
    features: FeatureSpec
    look_ahead: int  # frames
    inputs: tuple[TensorShape, ...]  # signal and conditions: states and controls have their own lists
    outputs: tuple[TensorShape, ...]
    states: tuple[TensorShape, ...]
    controls: tuple[Param, ...]
    domains: tuple[str, ...]
    resynthesis: str
    provenance: Provenance
    metrics: dict[str, float | str]
    golden: Golden
    graph_sha256: str = ""  # filled by `write_model`
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Check what types alone cannot say."""
        _check_format(self.format)
        need(_NAME.fullmatch(self.name), "name", self.name, "1 to 64 of a-z 0-9 _ -, no _ or - in front")
        need(self.role in RESYNTHESIS, "role", self.role, f"one of {', '.join(RESYNTHESIS)}; update rtvox for others")
        allowed = RESYNTHESIS[self.role]
        need(self.resynthesis in allowed, "resynthesis", self.resynthesis, f"one of {', '.join(allowed)}")
        need(0 <= self.look_ahead <= MAX_LOOK_AHEAD, "look_ahead", self.look_ahead, f"0 to {MAX_LOOK_AHEAD} frames")
        if self.role == "vocoder":
            wanted = VOCODER_LATE if self.resynthesis == "overlap-add" else 0
            need(self.look_ahead == wanted, "look_ahead", self.look_ahead, f"{wanted} frames for {self.resynthesis}")
        self._check_features()
        self._check_tensors()
        for control in self.controls:
            _check_control(control)
        golden = self.golden
        need(1 <= golden.frames <= MAX_GOLDEN_FRAMES, "golden.frames", golden.frames, f"1 to {MAX_GOLDEN_FRAMES}")
        need(0 <= golden.seed < 2**32, "golden.seed", golden.seed, "0 to 2^32 - 1")
        need(0.0 < golden.tolerance <= 0.1, "golden.tolerance", golden.tolerance, "above 0, at most 0.1")
        if self.graph_sha256:
            need(_SHA256.fullmatch(self.graph_sha256), "graph_sha256", self.graph_sha256, "64 hexadecimal digits")

    @property
    def conditions(self) -> tuple[str, ...]:
        """What the network is told of the voice beside the signal: names of `pitch.CONDITIONS`, in their order."""
        return tuple(name for name in CONDITIONS if name in {tensor.name for tensor in self.inputs})

    @property
    def rows(self) -> tuple[Param, ...]:
        """The controls as rows of the table of controls: those that count `domains` take their names too."""
        count = len(self.domains)
        return tuple(
            Scale(**vars(row), names=self.domains) if row.name in DOMAIN_CONTROLS and row.high == count - 1 else row
            for row in self.controls
        )

    @property
    def delay(self) -> int:
        """Samples that the network waits for: its look-ahead."""
        return self.look_ahead * self.features.hop

    def to_json(self) -> str:
        """Return the text that `from_json` reads back to an equal Manifest."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=1)

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Return the Manifest that this text describes.

        Raises: ModelFileError (without the file's name, which the caller knows).
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"its manifest is not JSON ({error}): export the model again") from None
        if not isinstance(values, dict):
            raise ModelFileError("its manifest is not a JSON object: export the model again")
        _check_format(values.get("format"))
        manifest: Manifest = convert(Manifest, values, "")
        return manifest

    def _check_features(self) -> None:
        spec = self.features
        need(spec.sample_rate == SAMPLE_RATE, "features.sample_rate", spec.sample_rate, f"{SAMPLE_RATE} Hz")
        need(spec.n_fft <= MAX_N_FFT, "features.n_fft", spec.n_fft, f"at most {MAX_N_FFT}")
        need(spec.n_mels <= MAX_N_MELS, "features.n_mels", spec.n_mels, f"at most {MAX_N_MELS}")
        if self.role != "mask":  # magnitudes alone: no phase fits frames that overlap less
            fits = spec.n_synthesis == spec.n_fft >= 4 * spec.hop
            shown = f"{spec.n_fft}, n_synthesis {spec.n_synthesis}, hop {spec.hop}"
            need(fits, "features.n_fft", shown, f"n_synthesis == n_fft, 4 or more hops, for role {self.role}")

    def _check_tensors(self) -> None:
        signal, out = signal_in(self.role, self.features), signal_out(self.role, self.features)
        told = tuple(TensorShape(name, (1,)) for name in self.conditions)
        allowed = f"{signal.name} {signal.shape}, and of {', '.join(CONDITIONS)} what is wanted, in this order, as (1,)"
        need(self.inputs == (signal, *told), "inputs", _shown(self.inputs), allowed)
        need(self.outputs == (out,), "outputs", _shown(self.outputs), f"{out.name} {out.shape} alone")
        for state in self.states:
            need(_IDENTIFIER.fullmatch(state.name), "states.name", state.name, "a-z first, then a-z 0-9 _")
            fits = all(size >= 1 for size in state.shape) and math.prod(state.shape) <= MAX_ELEMENTS
            need(fits, f"states.{state.name}.shape", state.shape, f"sizes >= 1, product at most {MAX_ELEMENTS}")
        total = sum(math.prod(state.shape) for state in self.states)
        need(total <= MAX_ELEMENTS, "states", f"{total} elements", f"at most {MAX_ELEMENTS} in all")
        names = [*graph_inputs(self)]
        count = len(self.inputs) + len(self.states) + len(self.controls)
        need(len(names) == count, "states, controls", names, "no name twice")


def signal_in(role: str, spec: FeatureSpec) -> TensorShape:
    """Return the one signal input of a role: a spectrum as pairs of real and imaginary, log-mel, or a sentence."""
    if role == "mask":
        return TensorShape("spectrum", (1, 1, spec.n_bins, 2))
    if role == SPEAKER:
        return TensorShape("tokens", (1, 1, MAX_TOKENS))
    return TensorShape("mel", (1, 1, spec.n_mels))


def signal_out(role: str, spec: FeatureSpec) -> TensorShape:
    """Return the one signal output of a role: as its input and called after it; a vocoder's spectrum; speech."""
    if role == SPEAKER:
        return TensorShape("speech", (1, 1, SPEECH_FRAMES * (spec.n_mels + SPEECH_MEASURES)))
    signal = signal_in("mel" if role == "mel" else "mask", spec)
    return TensorShape(f"{signal.name}_out", signal.shape)


def graph_inputs(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Return the inputs that the graph must have, and their shapes."""
    signal = {tensor.name: tensor.shape for tensor in manifest.inputs}
    states = {f"state_{tensor.name}": tensor.shape for tensor in manifest.states}
    return signal | states | {control.name: (1,) for control in manifest.controls}


def graph_outputs(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Return the outputs that the graph must have, and their shapes."""
    signal = {tensor.name: tensor.shape for tensor in manifest.outputs}
    return signal | {f"next_{tensor.name}": tensor.shape for tensor in manifest.states}


def _check_format(value: Any) -> None:
    if type(value) is not int or value != FORMAT:
        newer = type(value) is int and value > FORMAT
        way_out = "update rtvox, or use an older export of the model" if newer else "export the model again"
        raise ModelFileError(f"manifest field format={value!r}: this rtvox reads format {FORMAT}; {way_out}")


def _check_control(control: Param) -> None:
    where = f"controls.{control.name}"
    need(_IDENTIFIER.fullmatch(control.name), "controls.name", control.name, "a-z first, then a-z 0-9 _")
    need(control.low < control.high, where, f"{control.low} to {control.high}", "low < high")
    need(control.low <= control.default <= control.high, f"{where}.default", control.default, "low to high")
    need(control.smoothing_ms >= 0.0, f"{where}.smoothing_ms", control.smoothing_ms, "0 or more")


def _shown(tensors: Sequence[TensorShape]) -> str:
    return ", ".join(f"{tensor.name} {tensor.shape}" for tensor in tensors)

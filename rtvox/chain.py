"""Chain: one model's wet path, and the dry paths that are delayed exactly as much.

In: a hop at 48 kHz. Out: the same moment three times: converted (wet), as it went in (dry), and before gain and gate
(raw). Built in a loading thread, then owned by the converter thread. Read next: `converter.py`, which mixes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from rtvox.errors import ModelFileError, RtvoxError
from rtvox.features import Array, FeatureSpec
from rtvox.levels import Delay, Ramp
from rtvox.model_file import find_model, load_model
from rtvox.onnx_stage import OnnxStage, Provider
from rtvox.params import Param, Params
from rtvox.stage import Pipeline, Stage
from rtvox.stft import Analyzer, Synthesizer

NO_MODEL = "none"  # the name under which analysis and synthesis alone can be loaded
WARM_UP_HOPS = 50  # as many as onnx_stage.py uses: caches, FFT plans and the arena are settled by then


class Chain:
    """A pipeline with its controls and its aligned dry paths.

    Attributes:
        name: of the model, for the user.
        pipeline: the wet path; `bench` puts timed stages in place of its own.
        delay: samples at 48 kHz beyond the hop, the same for wet, dry and raw.
        look_ahead: the part of it that the network asks for.
        controls: the model's own.
        message: what the user should know about how it runs; often empty.
        faults: returns how many hops so far were not numbers, and became silence.
    """

    def __init__(
        self,
        name: str,
        pipeline: Stage,
        hop: int,
        *,
        look_ahead: int = 0,
        controls: Sequence[Param] = (),
        set_control: Callable[[str, float], None] | None = None,
        message: str = "",
        faults: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name, self.hop, self.delay, self.look_ahead = name, hop, pipeline.delay, look_ahead
        self.controls, self.message, self.faults = tuple(controls), message, faults
        self.pipeline = pipeline
        self._set_control = set_control
        self._ramps = [(control.name, Ramp(control, hop)) for control in controls]
        self._dry, self._raw = Delay(self.delay, hop), Delay(self.delay, hop)

    def process(self, x: Array, raw: Array, params: Params | None) -> tuple[Array, Array, Array]:
        """Return (wet, dry, raw), each (hop,) and valid until the next call. With params, the controls follow them."""
        for name, ramp in self._ramps:
            before, value = ramp.advance(params.target(name, ramp.value) if params else ramp.value)
            if value != before and self._set_control:
                self._set_control(name, value)
        return self.pipeline.process(x), self._dry.process(x), self._raw.process(raw)

    def reset(self) -> None:
        """Forget everything heard."""
        for part in (self.pipeline, self._dry, self._raw):
            part.reset()

    def warm_up(self) -> None:
        """Run on noise until times are steady. In the loading thread. Raises: RtvoxError if a stage fails."""
        noise = np.random.default_rng(440).uniform(-0.1, 0.1, self.hop).astype(np.float32)
        try:
            for _ in range(WARM_UP_HOPS):
                self.process(noise, noise, None)
        except Exception as error:  # whatever a stage raises: the model cannot be used
            raise RtvoxError(f"model {self.name}: {type(error).__name__}: {error}") from None

    def settle(self, params: Params) -> None:
        """Be as new, with every control where the user has it. Before it is handed to the converter thread."""
        self.reset()
        for name, ramp in self._ramps:
            ramp.jump(params.target(name, ramp.value))
            if self._set_control:
                self._set_control(name, ramp.value)


def pass_through(spec: FeatureSpec) -> Chain:
    """Return the chain of no model: analysis and synthesis, which give the input back."""
    return Chain(NO_MODEL, Pipeline([Analyzer(spec), Synthesizer(spec)]), spec.hop)


def build_chain(model: str | os.PathLike[str] | None, spec: FeatureSpec, provider: Provider = "auto") -> Chain:
    """Load a model by name or path, and return its chain; None and "none" give analysis and synthesis alone.

    Raises: ModelFileError if the file is no model, cannot run here, or works on hops of another length than spec's.
    """
    if model is None or str(model) == NO_MODEL:
        return pass_through(spec)
    file = load_model(find_model(os.fspath(model)))
    manifest = file.manifest
    if manifest.features.hop != spec.hop:
        raise ModelFileError(
            f"{file.path}: works on hops of {manifest.features.hop} samples, the engine runs on {spec.hop}: "
            "needs an engine started with the model's own FeatureSpec"
        )
    stage = OnnxStage(file, provider)
    return Chain(
        manifest.name,
        Pipeline([Analyzer(manifest.features), stage, Synthesizer(manifest.features)]),
        spec.hop,
        look_ahead=stage.delay,
        controls=manifest.controls,
        set_control=stage.set_control,
        message=stage.message,
        faults=lambda: stage.faults,
    )

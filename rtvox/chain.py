"""Chain: one model's wet path, and the dry paths that are delayed exactly as much.

In: a hop at 48 kHz. Out: the same moment three times: converted (wet), as it went in (dry), and before gain and gate
(raw). Built in a loading thread, then owned by the converter thread. Read next: `converter.py`, which mixes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rtvox.errors import ModelFileError, ParameterError, RtvoxError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.griffin_lim import GriffinLim
from rtvox.levels import Delay, Ramp
from rtvox.manifest import Manifest
from rtvox.mel import LogMel, MelInverse
from rtvox.model_file import find_model, load_model
from rtvox.onnx_stage import OnnxStage
from rtvox.params import Param, Params
from rtvox.providers import AUTO, Provider
from rtvox.stage import Pipeline, Stage
from rtvox.stft import Analyzer, Synthesizer
from rtvox.synthesis import wanted_synthesis

NO_MODEL = "none"  # the name under which analysis and synthesis alone can be loaded
WARM_UP_HOPS = 50  # as many as onnx_stage.py uses: caches, FFT plans and the arena are settled by then


class Chain:
    """A pipeline with its controls and its aligned dry paths.

    Attributes:
        name: of the model, for the user.
        pipeline: the wet path; `bench` puts timed stages in place of its own.
        delay: samples at 48 kHz beyond the hop, the same for wet, dry and raw.
        look_ahead: the part of it that the networks ask for.
        synthesis: what makes the sound, and its look-ahead in frames.
        manifest: of the model; None without one.
        controls: the networks' own.
        networks: the model, and the vocoder if that makes the sound.
    """

    def __init__(
        self,
        name: str,
        pipeline: Stage,
        hop: int,
        *,
        look_ahead: int = 0,
        synthesis: tuple[str, int] = ("istft", 0),
        manifest: Manifest | None = None,
        follow: Callable[[Params], None] | None = None,
        networks: Sequence[OnnxStage] = (),
    ) -> None:
        self.name, self.hop, self.delay, self.look_ahead = name, hop, pipeline.delay, look_ahead
        self.synthesis, self.manifest, self._follow = synthesis, manifest, follow or _ignore
        self.networks, self.pipeline = tuple(networks), pipeline
        self.controls: tuple[Param, ...] = tuple(row for stage in networks for row in stage.manifest.controls)
        self._ramps = [(stage, row.name, Ramp(row, hop)) for stage in networks for row in stage.manifest.controls]
        self._dry, self._raw = Delay(self.delay, hop), Delay(self.delay, hop)

    @property
    def provider(self) -> str:
        """Where the networks run, names of PROVIDERS; empty without one."""
        return ", ".join(dict.fromkeys(network.provider for network in self.networks))

    @property
    def message(self) -> str:
        """What the user should know about how they run; often empty."""
        return "; ".join(dict.fromkeys(network.message for network in self.networks if network.message))

    @property
    def faults(self) -> tuple[int, int]:
        """How many hops so far were not numbers and became silence, and how often a network moved to the CPU."""
        return sum(network.faults for network in self.networks), sum(network.fallbacks for network in self.networks)

    def process(self, x: Array, raw: Array, params: Params | None) -> tuple[Array, Array, Array]:
        """Return (wet, dry, raw), each (hop,) and valid until the next call. With params, the controls follow them."""
        for network, name, ramp in self._ramps:
            before, value = ramp.advance(params.target(name, ramp.value) if params else ramp.value)
            if value != before:
                network.set_control(name, value)
        if params:
            self._follow(params)
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
        for network, name, ramp in self._ramps:
            ramp.jump(params.target(name, ramp.value))
            network.set_control(name, ramp.value)
        self._follow(params)


def pass_through(spec: FeatureSpec) -> Chain:
    """Return the chain of no model: analysis and synthesis, which give the input back."""
    return Chain(NO_MODEL, Pipeline([Analyzer(spec), Synthesizer(spec)]), spec.hop)


def build_chain(
    model: str | os.PathLike[str] | None,
    spec: FeatureSpec,
    provider: Provider = AUTO,
    settings: Mapping[str, float] | None = None,
) -> Chain:
    """Load a model by name or path, and return its chain; None and "none" give analysis and synthesis alone.

    Args:
        settings: see `wanted_synthesis`.

    Raises: ModelFileError if the file is no model, cannot run here, or works on hops of another length than spec's;
        ParameterError if no model is asked for with Griffin-Lim on hops of another length than MEL_SPEC's.
    """
    if model is None or str(model) == NO_MODEL:
        synthesis = wanted_synthesis(None, settings or {})
        if synthesis[0] == "istft":
            return pass_through(spec)
        if spec.hop != MEL_SPEC.hop:
            raise ParameterError(
                f"resynthesis=griffin-lim without a model: needs hops of {MEL_SPEC.hop}, not {spec.hop}"
            )
        stages, follow = _mel_stages(MEL_SPEC, None, synthesis)
        return Chain(NO_MODEL, Pipeline(stages), spec.hop, synthesis=synthesis, follow=follow)
    file = load_model(find_model(os.fspath(model)))
    manifest = file.manifest
    if manifest.features.hop != spec.hop:
        raise ModelFileError(
            f"{file.path}: works on hops of {manifest.features.hop} samples, the engine runs on {spec.hop}: "
            "needs an engine started with the model's own FeatureSpec"
        )
    network = OnnxStage(file, provider)
    synthesis = wanted_synthesis(manifest, settings or {})
    if manifest.role == "mel":
        stages, follow = _mel_stages(manifest.features, network, synthesis)
    else:
        stages, follow = [Analyzer(manifest.features), network, Synthesizer(manifest.features)], _ignore
    return Chain(
        manifest.name,
        Pipeline(stages),
        spec.hop,
        look_ahead=network.delay,
        synthesis=synthesis,
        manifest=manifest,
        follow=follow,
        networks=[network],
    )


def _mel_stages(
    spec: FeatureSpec, network: OnnxStage | None, synthesis: tuple[str, int]
) -> tuple[list[Stage], Callable[[Params], None]]:
    """Return the stages of the mel path, and what makes them follow the controls that need no other stages."""
    log_mel = LogMel(spec, network.delay // spec.hop if network else 0)
    inverse = MelInverse(spec, log_mel.heard)
    stages: list[Stage] = [Analyzer(spec), log_mel, *([network] if network else []), inverse]
    kind, look_ahead = synthesis
    if kind == "input-phase":
        inverse.use_input = True
        return [*stages, Synthesizer(spec)], _ignore
    griffin_lim = GriffinLim(spec, look_ahead=look_ahead)

    def follow(params: Params) -> None:
        griffin_lim.iterations = round(params["iterations"])
        griffin_lim.use_phase = inverse.use_input = params["phase"] == 1.0

    return [*stages, griffin_lim], follow


def _ignore(_: Params) -> None: ...

"""Chain: one model's wet path, and the dry paths that are delayed exactly as much.

In: a hop at 48 kHz. Out: the same moment three times: converted (wet), as it went in (dry), and before gain and gate
(raw). Built in a loading thread, then owned by the converter thread. Read next: `converter.py`, which mixes them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rtvox.errors import ModelFileError, ParameterError, RtvoxError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.griffin_lim import GriffinLim
from rtvox.levels import SAMPLE_RATE, SILENCE_DB, Delay, Ramp, amplitude
from rtvox.listener import Listener
from rtvox.manifest import SPEAKER, Manifest
from rtvox.mel import LogMel, MelInverse
from rtvox.model_file import ModelFile, find_model, load_model
from rtvox.onnx_stage import OnnxStage
from rtvox.params import Param, Params
from rtvox.providers import AUTO, Provider
from rtvox.stage import Pipeline, Stage
from rtvox.stft import Analyzer, Synthesizer
from rtvox.synthesis import wanted_synthesis

NO_MODEL = "none"  # the name under which analysis and synthesis alone can be loaded
VOCODER = "vocoder"  # the name under which the vocoder is looked for among the models; also its role
OCTAVE = "octave"  # a converter's control by that name moves the pitch, and so the vocoder's
REST_S = 1.0  # of silence at both ends, after which a chain is as new; longer than anything stays in its delay lines
WARM_UP_HOPS = 50  # as many as onnx_stage.py uses: caches, FFT plans and the arena are settled by then


class Chain:
    """A pipeline with its controls and its aligned dry paths.

    A rest makes it as new: once it has heard nothing and said nothing for REST_S, all that it remembers is dropped
    before the next sound, as nobody can hear. So what a phrase sounds like depends on nothing before the last rest,
    however long it has played. Without rests networks forget as slowly as they do, and phases found for a sound lead to
    those of all that follows.

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
        self._quiet = hop * amplitude(SILENCE_DB) ** 2  # energy of a hop of silence
        self._rest, self._long_rest = 0, math.ceil(REST_S * SAMPLE_RATE / hop)  # hops of it, so far and for a rest

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
        quiet = self._is_quiet(x)
        if self._rest >= self._long_rest and not quiet:
            self.pipeline.reset()
        wet = self.pipeline.process(x)
        self._rest = self._rest + 1 if quiet and self._is_quiet(wet) else 0
        return wet, self._dry.process(x), self._raw.process(raw)

    def _is_quiet(self, x: Array) -> bool:
        return float(np.dot(x, x)) <= self._quiet

    def reset(self) -> None:
        """Forget everything heard."""
        for part in (self.pipeline, self._dry, self._raw):
            part.reset()
        self._rest = 0

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
        settings: see `wanted_synthesis`. A vocoder that they ask for is the model of that name.

    Raises: ModelFileError if the file is no model, cannot run here, is a vocoder, or works on hops of another length
        than spec's, or if there is no vocoder that fits; ParameterError if no model is asked for with a resynthesis on
        hops of another length than spec's.
    """
    file = None if model is None or str(model) == NO_MODEL else load_model(find_model(os.fspath(model)))
    manifest = file.manifest if file else None
    if file and manifest:
        check_converter(file.path, manifest)
        if manifest.features.hop != spec.hop:
            raise ModelFileError(
                f"{file.path}: works on hops of {manifest.features.hop} samples, the engine runs on {spec.hop}: "
                "needs an engine started with the model's own FeatureSpec"
            )
    synthesis = wanted_synthesis(manifest, settings or {})
    kind = synthesis[0]
    if not manifest and kind == "istft":
        return pass_through(spec)
    vocoder_file = find_vocoder(file) if kind == "vocoder" else None
    features = manifest.features if manifest else vocoder_file.manifest.features if vocoder_file else MEL_SPEC
    if features.hop != spec.hop:
        raise ParameterError(f"resynthesis={kind} without a model: needs hops of {features.hop}, not {spec.hop}")
    network = OnnxStage(file, provider) if file else None
    vocoder = OnnxStage(vocoder_file, provider) if vocoder_file else None
    networks = [stage for stage in (network, vocoder) if stage]
    follow: Callable[[Params], None] = _ignore
    analyzer = Analyzer(features)
    if kind == "istft":
        stages: list[Stage] = [*networks, Synthesizer(features)]
    else:
        stages, follow = _mel_stages(features, network, vocoder, synthesis)
    listeners = _listen(analyzer, network, vocoder)
    if listeners and vocoder and network and OCTAVE in {row.name for row in network.manifest.controls}:
        follow = _move_pitch(listeners[0], follow)
    return Chain(
        manifest.name if manifest else NO_MODEL,
        Pipeline([analyzer, *listeners, *stages]),
        spec.hop,
        look_ahead=sum(stage.delay for stage in networks),
        synthesis=synthesis,
        manifest=manifest,
        follow=follow,
        networks=networks,
    )


def find_vocoder(converter: ModelFile | None) -> ModelFile:
    """Return the vocoder, for the frames of a converter or (None) of the voice itself.

    Raises: ModelFileError if it is not there, is none, or takes other frames.
    """
    try:
        path = find_model(VOCODER)
    except ModelFileError as error:
        raise ModelFileError(f"resynthesis=vocoder: {error}; or another resynthesis") from None
    vocoder = load_model(path)
    if vocoder.manifest.role != VOCODER:
        raise ModelFileError(f"{path}: is of role {vocoder.manifest.role}: resynthesis=vocoder needs role vocoder")
    if converter and converter.manifest.features != vocoder.manifest.features:
        wanted, given = vocoder.manifest.features.to_dict(), converter.manifest.features.to_dict()
        name = next(name for name in wanted if wanted[name] != given[name])
        raise ModelFileError(
            f"{path}: takes frames of {name}={wanted[name]}, {converter.path} gives {given[name]}: needs a vocoder of "
            "the same features, or another resynthesis"
        )
    return vocoder


def check_converter(path: str | os.PathLike[str], manifest: Manifest) -> None:
    """Raise ModelFileError if a model is none that can be loaded, but a vocoder or a voice."""
    if manifest.role == SPEAKER:
        raise ModelFileError(f"{path}: is a voice, which converts nothing: `rtvox say` speaks with it")
    if manifest.role == VOCODER:
        raise ModelFileError(
            f"{path}: is a vocoder, which makes the sound of other models: load one of those, or none, and set "
            "resynthesis=vocoder"
        )


def _listen(analyzer: Analyzer, network: OnnxStage | None, vocoder: OnnxStage | None) -> list[Listener]:
    """Return the stage that measures the voice for networks that are told of it; none if they are not."""
    if not any(stage and stage.manifest.conditions for stage in (network, vocoder)):
        return []
    listener = Listener(analyzer, network.delay // analyzer.spec.hop if network else 0)
    if network:
        network.told = listener.now
    if vocoder:
        vocoder.told = listener.answered
    return [listener]


def _move_pitch(listener: Listener, follow: Callable[[Params], None]) -> Callable[[Params], None]:
    """Return what does as `follow`, and keeps the vocoder's pitch where the model's own control moves it."""

    def both(params: Params) -> None:
        follow(params)
        listener.octave = params.target(OCTAVE, listener.octave)

    return both


def _mel_stages(
    spec: FeatureSpec, network: OnnxStage | None, vocoder: OnnxStage | None, synthesis: tuple[str, int]
) -> tuple[list[Stage], Callable[[Params], None]]:
    """Return the mel path's stages after the analysis, and what makes them follow controls that need no others."""
    log_mel = LogMel(spec, network.delay // spec.hop if network else 0)
    stages: list[Stage] = [log_mel, *([network] if network else [])]
    inverse = MelInverse(spec, log_mel.heard)
    kind, look_ahead = synthesis
    if vocoder and vocoder.manifest.resynthesis == "overlap-add":
        return [*stages, vocoder, Synthesizer(spec, vocoder=True)], _ignore
    if kind == "input-phase":
        inverse.use_input = True
        return [*stages, inverse, Synthesizer(spec)], _ignore
    griffin_lim = GriffinLim(spec, look_ahead=look_ahead)

    def follow(params: Params) -> None:
        griffin_lim.iterations = round(params["iterations"])
        griffin_lim.use_phase = inverse.use_input = params["phase"] == 1.0 and not vocoder

    return [*stages, vocoder or inverse, griffin_lim], follow


def _ignore(_: Params) -> None: ...

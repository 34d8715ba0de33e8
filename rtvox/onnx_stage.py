"""OnnxStage: a frame network as a Stage.

In: one frame, a spectrum (K,) complex64 or log-mel (M,) float32, and what is told of the voice. Out: the network's
frame, look-ahead frames late. Built in any thread, then run by the converter thread alone. If the provider fails while
it runs, the CPU takes over.
Read next: `network.py`, `provider_choice.py`; `engine.py`.
"""

from __future__ import annotations

import hashlib
import math
from time import perf_counter

import numpy as np

from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Array, Frame
from rtvox.golden import GOLDEN_CONDITIONS, golden_input, golden_summary
from rtvox.model_file import ModelFile
from rtvox.network import Network
from rtvox.network_thread import NetworkThread, ProviderError
from rtvox.pitch import CONDITIONS
from rtvox.provider_choice import Runner, choose_provider
from rtvox.providers import AUTO, CPU, Provider

REPLAYED = 64  # frames that the CPU hears again when a state is lost with its GPU: 0.34 s at the house's hop
REPLAY_S = 0.05  # and the longest that may take; the callback plays the dry sound meanwhile


class OnnxStage:
    """Run a model file frame by frame.

    Single writer of what may change: the thread that calls `process`.

    Attributes:
        delay: samples, the model's look-ahead frames times the hop.
        provider: where it runs, a name of PROVIDERS.
        told: (len(CONDITIONS),) float32, what holds for the next frame, as `PitchTracker` gives it; read by networks
            that ask for conditions. Whoever owns the stage may put another array here, and writes into it.
        message: what runs it and why, or why a wanted provider does not; empty if all is as asked.
        faults: frames that were not finite; each was replaced by silence, and the state by zeros (NaN in a recurrent
            state never heals).
        fallbacks: how many times the CPU had to take over.
    """

    def __init__(self, model: ModelFile, provider: Provider = AUTO) -> None:
        """Choose a provider, build the session there and run it warm.

        Raises: ModelFileError if onnxruntime refuses the graph, ParameterError if no provider has that name.
        """
        choice = choose_provider(model, provider)
        self.manifest = model.manifest
        self.delay = model.manifest.delay
        self.provider, self.message = choice.name, choice.message
        self.faults = self.fallbacks = 0
        self._network, self._spare = choice.network, choice.spare
        self.told: Array = np.array([GOLDEN_CONDITIONS[name] for name in CONDITIONS], np.float32)
        self._asks = [(name, CONDITIONS.index(name)) for name in model.manifest.conditions]
        self._failed: Runner | None = None  # freed with the stage: to free a session takes long
        self._controls = {control.name: control for control in model.manifest.controls}
        # What a frame of silence is: in log-mel, the floor.
        self._silence = math.log(model.manifest.features.floor) if model.manifest.role == "mel" else 0.0
        frame = self._network.frame
        self._heard = np.zeros((REPLAYED, *frame.shape), frame.dtype)
        self._was_told = np.zeros((REPLAYED, len(CONDITIONS)), np.float32)
        self._frames = 0  # heard since the state was zero

    def process(self, x: Frame) -> Frame:
        """Return the frame, (K,) complex64 or (M,) float32, that answers this one; valid until the next call."""
        network = self._network
        try:
            self._run(network, x, self.told)
        except ProviderError as error:
            network = self._fall_back(error)
            self._run(network, x, self.told)
        if self._spare:
            at = self._frames % REPLAYED
            self._heard[at], self._was_told[at] = x, self.told
            self._frames += 1
        out = network.out
        if not math.isfinite(out.view(np.float32).sum()):
            self.faults += 1
            self.reset()
        return out

    def set_control(self, name: str, value: float) -> None:
        """Set a control of the model from the next frame on. Converter thread only.

        The value was checked where it came in (`Param.check`) and ramped since; what rounding puts outside is clipped.
        Raises: ParameterError if the model has no such control.
        """
        control = self._controls.get(name)
        if control is None:
            names = ", ".join(self._controls) or "no controls"
            raise ParameterError(f"control {name!r}: model {self.manifest.name} has {names}")
        clipped = min(control.high, max(control.low, value))
        self._network.set_control(name, clipped)
        if self._spare:
            self._spare.set_control(name, clipped)

    def reset(self) -> None:
        """Forget everything heard: all state to zero. Controls, `faults` and `fallbacks` stay: they were not heard."""
        self._network.clear()
        self._network.out[:] = self._silence
        self._frames = 0

    def _run(self, network: Runner, x: Frame, told: Array) -> None:
        network.frame[:] = x
        for name, place in self._asks:
            network.set_control(name, float(told[place]))
        network.run()

    def _fall_back(self, failure: ProviderError) -> Network:
        """Put the CPU in the provider's place, with its state, or with one made of the frames heard last."""
        begin, failed, spare = perf_counter(), self._network, self._spare
        assert spare
        assert isinstance(failed, NetworkThread)
        try:
            spare.take(failed.states())
        except ProviderError:
            spare.clear()
            for frame in range(max(0, self._frames - REPLAYED), self._frames):
                if perf_counter() - begin > REPLAY_S:
                    break
                self._run(spare, self._heard[frame % REPLAYED], self._was_told[frame % REPLAYED])
        self.message = f"{self.provider} failed ({failure}): running on the CPU since; load the model again to go back"
        self.fallbacks += 1
        failed.end()
        self._failed, self._network, self._spare, self.provider = failed, spare, None, CPU
        return spare


def verify_golden(model: ModelFile, provider: Provider = "cpu") -> list[float]:
    """Replay a model's golden digest and return the summary numbers that came out.

    Raises: ModelFileError if they differ from the manifest's by more than its tolerance (relative to the largest).
    """
    golden = model.manifest.golden
    frames = golden_input(model.manifest, golden.frames, golden.seed)
    if hashlib.sha256(frames.tobytes()).hexdigest() != golden.input_sha256:
        raise ModelFileError(f"{model.path}: golden input differs from the one at export: export the model again")
    stage = OnnxStage(model, provider)
    summary = golden_summary(np.stack([stage.process(frame).copy() for frame in frames]))
    allowed = golden.tolerance * max(abs(value) for value in golden.output)
    off = max((abs(a - b) for a, b in zip(summary, golden.output, strict=False)), default=math.inf)
    if len(summary) != len(golden.output) or not off <= allowed:
        raise ModelFileError(
            f"{model.path}: golden output is off by {off:.3g}, at most {allowed:.3g} is allowed: this machine runs the "
            "model otherwise than the one that exported it; run it on the CPU, or export it again"
        )
    return summary

"""Speaker: text to sound in the voice of a model, hop by hop.

In: text. Out: hops (hop,) of samples at 48 kHz, faster than they last. A model of role speaker makes six frames of
log-mel, pitch and voicing a step; a vocoder or Griffin-Lim makes their sound, going on from one sentence to the next.
Belongs to one thread, never an audio thread. Read next: `phonemes.py`; `speech.py`, which says texts into an engine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping

import numpy as np

from rtvox.chain import find_vocoder
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Array
from rtvox.griffin_lim import GriffinLim
from rtvox.manifest import RESYNTHESIS, SAMPLE_RATE, SPEAKER, SPEECH_FRAMES, SPEECH_MEASURES
from rtvox.mel import MelInverse
from rtvox.model_file import find_model, list_models, load_model, model_folders
from rtvox.onnx_stage import OnnxStage
from rtvox.phonemes import MAX_TOKENS, sentences
from rtvox.pitch import REST_HZ
from rtvox.providers import CPU
from rtvox.stft import Synthesizer
from rtvox.synthesis import wanted_synthesis

LANGUAGE = "en-us"  # of a voice whose manifest names none
LONGEST_S = 60.0  # of a sentence: a model that has not ended it by then never does
PITCH_HZ = 60.0, 1500.0  # that vocoders take
LOOK_AHEAD = 3  # frames of Griffin-Lim: nobody waits for a voice that answers nobody


class Speaker:
    """One voice.

    Attributes:
        name: of its model.
        synthesis: what makes its sound: "vocoder" or "griffin-lim".
        hop: samples of a hop at 48 kHz.
    """

    def __init__(self, voice: str | None = None, settings: Mapping[str, float] | None = None) -> None:
        """Load a voice by name or path; None takes the first one there is.

        Args:
            settings: its controls, and `resynthesis` of PARAMS.

        Raises: ModelFileError if there is none, or it is no voice; ParameterError if a setting is not allowed.
        """
        settings = dict(settings or {})
        file = load_model(find_voice(voice))
        if file.manifest.role != SPEAKER:
            raise ModelFileError(
                f"{file.path}: is of role {file.manifest.role}, not a voice; `rtvox models` lists them"
            )
        self.name, self.hop, self._spec = file.manifest.name, file.manifest.features.hop, file.manifest.features
        self.language = file.manifest.domains[0] if file.manifest.domains else LANGUAGE
        self.synthesis = wanted_synthesis(file.manifest, settings)[0]
        if self.synthesis not in RESYNTHESIS[SPEAKER]:
            raise ParameterError(f"resynthesis={self.synthesis}: a voice needs {' or '.join(RESYNTHESIS[SPEAKER])}")
        self._stage = OnnxStage(file, CPU)
        for row in file.manifest.controls:
            self._stage.set_control(row.name, row.check(settings.pop(row.name, row.default)))
        self._tokens = np.zeros(MAX_TOKENS, np.float32)
        self._silence = np.full(self._spec.n_mels + SPEECH_MEASURES, math.log(self._spec.floor), np.float32)
        self._silence[-SPEECH_MEASURES:] = math.log(REST_HZ), 0.0, 0.0
        self._vocoder = OnnxStage(find_vocoder(file), CPU) if self.synthesis == "vocoder" else None
        self._inverse = MelInverse(self._spec, np.zeros(self._spec.n_bins, np.complex64))
        self._sound: Synthesizer | GriffinLim = GriffinLim(self._spec, look_ahead=LOOK_AHEAD)
        if self._vocoder and self._vocoder.manifest.resynthesis == "overlap-add":
            self._sound = Synthesizer(self._spec, vocoder=True)
        self.delay = self._sound.delay + (self._vocoder.delay if self._vocoder else 0)

    def say(self, text: str) -> Iterator[Array]:
        """Yield the hops (hop,) of a text, each valid until the next; sentences follow each other without a gap.

        Raises: ParameterError if it cannot be spoken, MissingExtraError without espeak-ng.
        """
        self._sound.reset()
        if self._vocoder:
            self._vocoder.reset()
        for tokens in sentences(text, self.language):
            for frame in self._speak(tokens):
                yield self._hop(frame)
        for _ in range(self.delay // self.hop):  # what the synthesis still holds
            yield self._hop(self._silence)

    def _speak(self, tokens: list[int]) -> Iterator[Array]:
        """Yield the frames (M + SPEECH_MEASURES,) of a sentence."""
        self._tokens[:] = 0.0
        self._tokens[: len(tokens)] = tokens
        self._stage.reset()
        for _ in range(round(LONGEST_S * SAMPLE_RATE / self.hop / SPEECH_FRAMES)):
            for frame in self._stage.process(self._tokens).reshape(SPEECH_FRAMES, -1):
                if frame[-1] < 0.5:
                    return
                yield frame

    def _hop(self, frame: Array) -> Array:
        mel, (pitch, voicing, _) = frame[:-SPEECH_MEASURES], frame[-SPEECH_MEASURES:]
        if self._vocoder:
            self._vocoder.told[:2] = min(max(np.exp(pitch), PITCH_HZ[0]), PITCH_HZ[1]), voicing
            return self._sound.process(self._vocoder.process(mel))
        return self._sound.process(self._inverse.process(mel))


def find_voice(name: str | None) -> str | os.PathLike[str]:
    """Return the path of a voice, by default of the first one. Raises: ModelFileError if there is none."""
    if name:
        return find_model(name)
    for folder in model_folders():
        for path, manifest in list_models(folder):
            if not isinstance(manifest, ModelFileError) and manifest.role == SPEAKER:
                return path
    searched = ", ".join(str(folder) for folder in model_folders()) or "no folder of models"
    raise ModelFileError(f"no voice (a model of role {SPEAKER}) in {searched}: train one, README.md says how")

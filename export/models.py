"""MODELS: every kind of network, and what the command line does with it. A new kind is one row here, and one file each
in `networks/` and `tasks/`; a recipe names its row as `model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.evaluate_accompany import evaluate_accompany
from export.evaluate_isolate import evaluate_isolate
from export.evaluate_say import evaluate_say
from export.evaluate_scream import evaluate_scream
from export.evaluate_timbre import evaluate_timbre
from export.evaluate_vocoder import evaluate_vocoder
from export.networks.accompany import Accompany
from export.networks.isolate import Isolate
from export.networks.magnitudes import Magnitudes
from export.networks.say import Say
from export.networks.scream import Scream
from export.networks.streaming import FrameNetwork
from export.networks.timbre import Timbre
from export.networks.vocoder import Vocoder
from export.networks.waveglow import WaveGlow
from export.recipe import Recipe
from export.recordings.clips import prepare_clips
from export.recordings.domains import prepare_domains
from export.recordings.library import prepare
from export.recordings.made import make
from export.recordings.pairs import prepare_pairs, read_pairs
from export.recordings.sentences import prepare_sentences
from export.recordings.statistics import compare
from export.tasks import accompany, isolate, magnitudes, say, scream, timbre, vocoder, waveglow
from export.train import Training
from rtvox.errors import ParameterError
from rtvox.features import FeatureSpec


@dataclass(frozen=True)
class Model:
    """One kind of network."""

    network: Callable[..., FrameNetwork]  # (spec, **recipe.network)
    spec: FeatureSpec
    training: Callable[[Recipe, Path], Training]  # (recipe, cache)
    prepare: Callable[[Recipe, Sequence[Path], Path], None]  # (recipe, folders of recordings, cache)
    # (recipe, model file, folders of recordings, cache, folder of pictures) -> figures by name
    evaluate: Callable[[Recipe, Path, Sequence[Path], Path, Path], dict[str, float]]


def _prepare_library(recipe: Recipe, folders: Sequence[Path], cache: Path) -> None:
    prepare(make(recipe.made, folders), cache, recipe.sources)


def _prepare_say(recipe: Recipe, folders: Sequence[Path], cache: Path) -> None:
    prepare_sentences(recipe.speech, folders, cache)


def _prepare_scream(recipe: Recipe, folders: Sequence[Path], cache: Path) -> None:
    prepare_pairs(recipe.pairs, folders, cache, recipe.seed)
    print(compare(read_pairs(cache), folders, cache / "pairs" / "statistics.csv"))


def _prepare_vocoder(recipe: Recipe, folders: Sequence[Path], cache: Path) -> None:
    prepare(make(recipe.made, folders), cache, recipe.sources)
    prepare_pairs(recipe.pairs, folders, cache, recipe.seed)
    prepare_clips(recipe.clips, cache)


def _prepare_timbre(recipe: Recipe, folders: Sequence[Path], cache: Path) -> None:
    prepare_domains(recipe.domains, folders, cache, recipe.seed)


MODELS = {
    "accompany": Model(Accompany, accompany.SPEC, accompany.AccompanyTraining, _prepare_library, evaluate_accompany),
    "isolate": Model(Isolate, isolate.SPEC, isolate.IsolateTraining, _prepare_library, evaluate_isolate),
    "say": Model(Say, say.SPEC, say.SayTraining, _prepare_say, evaluate_say),
    "scream": Model(Scream, scream.SPEC, scream.ScreamTraining, _prepare_scream, evaluate_scream),
    "timbre": Model(Timbre, timbre.SPEC, timbre.TimbreTraining, _prepare_timbre, evaluate_timbre),
    "magnitudes": Model(Magnitudes, magnitudes.SPEC, magnitudes.MagnitudesTraining, _prepare_vocoder, evaluate_vocoder),
    "vocoder": Model(Vocoder, vocoder.SPEC, vocoder.VocoderTraining, _prepare_vocoder, evaluate_vocoder),
    "waveglow": Model(WaveGlow, waveglow.SPEC, waveglow.WaveGlowTraining, _prepare_vocoder, evaluate_vocoder),
}


def find_model(name: str) -> Model:
    """Return a row of MODELS.

    Raises: ParameterError naming the rows there are.
    """
    if name not in MODELS:
        raise ParameterError(f"model = {name!r} in the recipe: there are {', '.join(MODELS)}")
    return MODELS[name]

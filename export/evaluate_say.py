"""How well does a voice speak sentences that it never learned? Against the recordings of the same sentences.

In: a model file of role speaker, the cache that it was trained from, a vocoder's file beside it. Out: figures, a
picture of alignments, and spectrograms of a sentence beside its recording. English words are counted by PocketSphinx,
where it is installed (its old models miss some of the recordings' words, too, so both are stated). Runs in the caller's
thread. Read next: `recordings/forced.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import soxr

from export.evaluate import show_spectrograms
from export.evaluate_vocoder import CEPSTRA, MCD_SCALE
from export.measures import frechet_distance
from export.recipe import Recipe
from export.recordings.forced import Aligner
from export.recordings.library import RATE, read_mono
from export.recordings.pairs import voice_files
from export.recordings.sentences import HELD, read_sentences, texts_of
from export.recordings.takes import make_take
from export.resynthesis import resynthesise, vocode_frames
from export.spectra import mel_of
from export.timbre_measures import embed_all
from export.verify import Graph
from rtvox.errors import ModelFileError
from rtvox.features import MEL_SPEC, Array, FeatureSpec, mfcc
from rtvox.manifest import SPEECH_FRAMES, SPEECH_MEASURES
from rtvox.model_file import ModelFile, load_model
from rtvox.phonemes import MAX_TOKENS, sentences

LONGEST_STEPS = 1000  # 32 s: a sentence that has not ended then never does
SURE = 99.0  # percentile: a phoneme that is less like itself than so many of the recordings' was not heard
IN_A_ROW = 3  # phonemes that were not heard are a word


@dataclass(frozen=True)
class Spoken:
    """What a voice made of a sentence: (T, M) log-mel, (T,) pitch in Hz and voicing, (L,) frames of each token."""

    mel: Array
    told: dict[str, Array]
    durations: Array
    ended: bool
    seconds: float  # that it took


def speak(file: ModelFile, tokens: np.ndarray) -> Spoken:
    """Speak (L,) tokens in onnxruntime."""
    frame = np.zeros((1, MAX_TOKENS), np.float32)
    frame[0, : len(tokens)] = tokens
    graph, out = Graph(file.data, **{row.name: row.default for row in file.manifest.controls}), list[Array]()
    begin = time.process_time()
    while (not out or out[-1][-1, -1] > 0.5) and len(out) < LONGEST_STEPS:
        out.append(graph.run(frame)[0].reshape(SPEECH_FRAMES, -1))
    seconds = time.process_time() - begin
    frames = np.concatenate(out)
    sounding = frames[frames[:, -1] > 0.5]
    told = {"pitch": np.exp(sounding[:, -3]), "voicing": sounding[:, -2]}
    durations = graph.state("durations")[0, : len(tokens)]
    return Spoken(sounding[:, :-SPEECH_MEASURES].copy(), told, durations, len(sounding) < len(frames), seconds)


def evaluate_say(recipe: Recipe, model: Path, folders: Sequence[Path], cache: Path, pictures: Path) -> dict[str, float]:
    """Measure on one take of each held-out sentence, and on the recipe's unseen texts; see the module.

    Of the takes, `mcd_db`: mel-cepstral distance to the recording, after time warping; `word_error` and
    `word_error_recordings`: parts of the words that the recogniser got wrong. Of both, `ended`, `whole`: parts of the
    sentences that ended, and in which no IN_A_ROW phonemes in a row are less like themselves than those of the
    recordings; `alignment_ms`: median distance of where a phoneme begins from where it was to begin; `speed`: seconds
    of frames made in a second. With another speaker in the recipe, `speaker_part`: how far (Frechet distance of
    `embed_all`) what is said is from the recordings, as a part of how far it is from those of the other;
    `speaker_part_recordings`: the same of one half of the held takes, from the other half.

    Raises: ModelFileError if the model cannot be used, ParameterError if nothing is prepared or a text cannot be said.
    """
    file = load_model(model)
    spec = file.manifest.features
    held = list({tuple(s.tokens): s for s in read_sentences(cache, held=True)}.values())
    asked = {s.name: s.tokens for s in held}
    for text in recipe.speech.unseen:
        asked[text] = np.array([token for part in sentences(text, recipe.speech.language) for token in part])
    learned = read_sentences(cache)
    aligner = Aligner([(s.mel.astype(np.float32), s.tokens) for s in learned], [s.durations for s in learned])
    spoken = {name: speak(file, tokens) for name, tokens in asked.items()}
    recorded = [aligner.align(s.mel.astype(np.float32), s.tokens)[1] for s in held]
    made = {name: aligner.align(a.mel, asked[name]) for name, a in spoken.items()}
    limit = np.percentile(np.concatenate(recorded), SURE)
    off = [np.abs(np.cumsum(spoken[name].durations) - np.cumsum(spans))[:-1] for name, (spans, _) in made.items()]
    _show_alignments(
        pictures / f"{recipe.name}-alignments.png", {n: (a.durations, made[n][0]) for n, a in spoken.items()}
    )
    frames, seconds = (sum(part) for part in zip(*((len(a.mel), a.seconds) for a in spoken.values()), strict=True))
    figures = {
        "mcd_db": float(np.mean([mcd(s.mel.astype(np.float32), spoken[s.name].mel, spec) for s in held])),
        "ended": float(np.mean([a.ended for a in spoken.values()])),
        "whole": float(np.mean([longest_run(unlike > limit) < IN_A_ROW for _, unlike in made.values()])),
        "alignment_ms": 1000.0 * float(np.median(np.concatenate(off))) * spec.hop / RATE,
        "speed": frames * spec.hop / RATE / seconds,
    }
    if others := [mel_of(read_mono(path)) for _, path in voice_files(folders, recipe.speech.other)]:
        other, own, half = embed_all(others), [s.mel.astype(np.float32) for s in held], len(held) // 2
        figures["speaker_part"] = _part(embed_all([a.mel for a in spoken.values()]), embed_all(own), other)
        figures["speaker_part_recordings"] = _part(embed_all(own[:half]), embed_all(own[half:]), other)
    texts = _texts(recipe, folders)
    takes = {path.stem: path for _, path in voice_files(folders, recipe.speech.held)}
    names = [s.name.removeprefix(HELD) for s in held]
    sounds = [sound_of(file, model.with_name("vocoder.onnx"), spoken[s.name]) for s in held]
    originals = [make_take(name, read_mono(takes[name])).samples for name in names if name in takes]
    if originals:
        show_spectrograms(pictures / f"{recipe.name}.png", {"recording": originals[0], "spoken": sounds[0]})
        said = [texts[name] for name in names if name in takes]
        for what, heard in (("word_error", sounds), ("word_error_recordings", originals)):
            if recipe.speech.language.startswith("en") and (found := word_error(heard, said)) is not None:
                figures[what] = found
    return figures


def _part(made: Array, own: Array, other: Array) -> float:
    return frechet_distance(made, own) / frechet_distance(made, other)


def sound_of(file: ModelFile, vocoder: Path, spoken: Spoken) -> Array:
    """Return the samples of what was spoken: by the vocoder that lies beside the voice, or Griffin-Lim."""
    try:
        return vocode_frames(load_model(vocoder), spoken.mel, spoken.told)
    except ModelFileError:
        return resynthesise(spoken.mel, file.manifest.features)


def mcd(mel: Array, other: Array, spec: FeatureSpec) -> float:
    """Return the mel-cepstral distance in dB of two log-mel (T, M), (T', M), aligned by time warping."""
    spec = replace(spec, n_mfcc=CEPSTRA)
    a, b = (mfcc(x, spec)[:, 1:] * (2.0 / spec.n_mels) ** 0.5 for x in (mel, other))
    _, path = librosa.sequence.dtw(a.T, b.T)
    return float(MCD_SCALE * np.sqrt(((a[path[:, 0]] - b[path[:, 1]]) ** 2).sum(1)).mean())


def longest_run(flags: np.ndarray) -> int:
    """Return how many flags in a row are set at most.

    >>> longest_run(np.array([True, True, False, True]))
    2
    """
    run = longest = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def word_error(sounds: Sequence[Array], texts: Sequence[str]) -> float | None:
    """Return the part of the words that PocketSphinx hears otherwise than they are written; None if it is not there."""
    try:
        from pocketsphinx import Decoder  # optional
    except ImportError:
        return None
    decoder, wrong, count = Decoder(samprate=16000, loglevel="FATAL"), 0, 0
    for sound, text in zip(sounds, texts, strict=True):
        samples = soxr.resample(sound / max(1.0, float(np.abs(sound).max())), RATE, 16000)
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        words = re.findall(r"[a-z']+", text.lower())
        wrong += edits(words, hypothesis.hypstr.split() if hypothesis else [])
        count += len(words)
    return wrong / max(count, 1)


def edits(words: Sequence[str], others: Sequence[str]) -> int:
    """Return how many words must be put in, taken out or changed (Levenshtein 1966).

    >>> edits("the cat sat".split(), "a cat sat down".split())
    2
    """
    row = list(range(len(others) + 1))
    for i, word in enumerate(words):
        before, row = row, [i + 1]
        for j, other in enumerate(others):
            row.append(min(before[j] + (word != other), before[j + 1] + 1, row[j] + 1))
    return row[-1]


def _texts(recipe: Recipe, folders: Sequence[Path]) -> Mapping[str, str]:
    return {path.stem: text for folder in folders for path, text in texts_of(folder).items()}


def _show_alignments(path: Path, alignments: Mapping[str, tuple[Array, np.ndarray]]) -> None:
    """Write a picture: of each sentence when its phonemes were to sound, and when they do, as (L,) frames of each."""
    from matplotlib.figure import Figure  # slow to import

    columns = 8
    figure = Figure(figsize=(24, 2.2 * -(-len(alignments) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(alignments) // columns), columns, squeeze=False).ravel()
    for axis, (name, spans) in zip(axes, alignments.items(), strict=False):
        for frames, what in zip(spans, ("asked for", "heard"), strict=True):
            axis.step(np.cumsum(frames) * MEL_SPEC.hop / RATE, np.arange(len(frames)), label=what)
        axis.set_title(name[:32], fontsize=8)
    axes[0].legend()
    axes[0].set(xlabel="s", ylabel="phoneme")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)

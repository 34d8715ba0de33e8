"""From recordings and their texts to a voice: alignment, the network's promises, and the command line end to end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from made_voice import tiny_voice

from export.__main__ import main
from export.evaluate_say import edits, longest_run, mcd
from export.networks.say import SPEED, Say, from_speech, to_speech
from export.recordings.forced import Aligner, align_all
from export.recordings.sentences import HELD, pitch_of, read_sentences, texts_of
from export.tasks.say import SayTraining, SentenceStream, duration_loss
from export.to_onnx import cost
from rtvox.features import MEL_SPEC, Array
from rtvox.manifest import SPEECH_FRAMES
from rtvox.model_file import load_model
from rtvox.phonemes import MAX_TOKENS

RECIPE = """
name = "tiny-voice"
title = "Tiny voice"
model = "say"
seed = 440
[speech]
recordings = ["wavs/*"]
held = ["wavs/held*"]
[network]
channels = 12
blocks = 1
hidden = 18
smooth = 8
[training]
batch = 2
steps = 2
learning_rate = 1e-3
"""
TEXTS = {"one": "The cat sat on the mat.", "two": "Nobody came.", "three": "What a day!", "held": "A cat came."}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the form of LJSpeech: four sentences, said by espeak-ng."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "wavs").mkdir()
    for name, text in TEXTS.items():
        subprocess.run(["espeak-ng", "-w", str(folder / "wavs" / f"{name}.wav"), text], check=True)
    (folder / "metadata.csv").write_text("".join(f"{name}|{text}|{text}\n" for name, text in TEXTS.items()))
    (folder / "tiny-voice.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def cache(data: Path) -> Path:
    recipe = str(data / "tiny-voice.toml")
    assert main(["prepare", recipe, "--data", str(data), "--cache", str(data / "cache")]) == 0
    return data / "cache"


@pytest.fixture
def network() -> Say:
    return tiny_voice()


def test_made_phonemes_are_found_where_they_are(rng: np.random.Generator) -> None:
    colours = rng.normal(-5.0, 2.0, (8, MEL_SPEC.n_mels))
    takes, truth = [], []
    for _ in range(24):
        tokens = rng.permutation(8)[:6] + 10
        spans = 2 * rng.integers(3, 15, 6)
        noise = 0.3 * rng.standard_normal((spans.sum(), MEL_SPEC.n_mels))
        takes.append(((np.repeat(colours[tokens - 10], spans, 0) + noise).astype(np.float32), tokens))
        truth.append(spans)
    found = align_all(takes)
    off = [np.abs(np.cumsum(a) - np.cumsum(b)).max() for a, b in zip(truth, found, strict=True) if b is not None]
    assert len(off) == 24
    assert np.median(off) <= 4  # frames, 21 ms
    assert all(spans.sum() == len(mel) for spans, (mel, _) in zip(found, takes, strict=True) if spans is not None)


def test_a_take_too_short_for_its_text_has_no_alignment(rng: np.random.Generator) -> None:
    long = rng.standard_normal((400, MEL_SPEC.n_mels)).astype(np.float32)
    assert [spans is None for spans in align_all([(long, np.arange(20)), (long[:30], np.arange(20))])] == [False, True]


def test_what_is_not_said_sounds_unlike_it(cache: Path) -> None:
    known = read_sentences(cache)
    takes = [(s.mel.astype(np.float32), s.tokens) for s in known]
    aligner = Aligner(takes, [s.durations for s in known])
    np.testing.assert_array_equal(aligner.align(*takes[0])[0], known[0].durations)
    right, wrong = (aligner.align(takes[0][0], takes[i][1])[1].mean() for i in (0, 1))
    assert right < wrong


def test_pitch_is_told_as_late_as_the_tracker_does(sine: Array) -> None:
    pitch, voicing = pitch_of(np.concatenate([np.zeros_like(sine), sine]), 375)
    assert abs(np.median(pitch[260:]) / 440.0 - 1.0) < 0.02
    assert voicing[260:].mean() > 0.9
    assert voicing[:150].mean() < 0.1


def test_attention_goes_through_every_token_in_order(network: Say) -> None:
    durations = torch.tensor([[3.0, 20.0, 1.0, 7.0, 4.0, 0.0]])
    memory = torch.randn(1, 6, 12)
    steps = -(-35 // SPEECH_FRAMES)
    attention = network.look(memory, durations, torch.zeros(1, 1), steps)[1][0].detach().numpy()
    assert np.allclose(attention.sum(1), 1.0, atol=1e-5)
    assert not attention[:, 5].any()  # no token there
    centres = attention @ np.arange(6)
    assert (np.diff(centres) >= -1e-4).all()
    assert attention.max(0)[[0, 1, 3, 4]].min() > 0.5


def test_every_sentence_ends_after_its_tokens(network: Say) -> None:
    tokens = torch.zeros(1, 1, MAX_TOKENS)
    tokens[..., :5] = 30.0
    said = {}
    for speed in (1.0, 2.0):
        with torch.no_grad():
            out, _ = network(tokens.expand(-1, 40, -1), torch.tensor([speed]), network.zero_state())
        more = out.reshape(40 * SPEECH_FRAMES, -1)[:, -1].numpy()
        assert set(more) == {0.0, 1.0}
        assert (np.diff(more) <= 0.0).all()
        said[speed] = more.sum()
    assert said[1.0] == pytest.approx(2 * said[2.0], abs=2)
    assert SPEED.low == 0.5


def test_frames_and_speech_are_each_others_inverse(rng: np.random.Generator) -> None:
    mel = torch.tensor(rng.uniform(-11.0, 2.0, (7, MEL_SPEC.n_mels)))
    pitch, voicing = torch.tensor(rng.uniform(120.0, 400.0, 7)), torch.tensor(rng.integers(0, 2, 7).astype(float))
    speech = to_speech(from_speech(mel, pitch, voicing), MEL_SPEC)
    torch.testing.assert_close(speech, torch.cat([mel, torch.log(pitch)[:, None], voicing[:, None]], 1))


def test_cost_of_the_full_size_is_within_the_plan() -> None:
    figures = cost(Say(MEL_SPEC))
    assert 3e6 < float(figures["parameters"]) < 4.2e6  # 16 MiB of float32
    assert float(figures["gmac_per_second"]) < 0.2


class TestPrepared:
    def test_texts_come_from_lists(self, data: Path) -> None:
        assert texts_of(data)[data / "wavs" / "two.wav"] == "Nobody came."
        (data / "more").mkdir(exist_ok=True)
        (data / "more" / "index.csv").write_text("path,source,licence,seconds,text\na/b.opus,me,CC0-1.0,3,Hello.\n")
        assert texts_of(data / "more") == {data / "more" / "a" / "b.opus": "Hello."}

    def test_sentences_are_kept_and_held_out(self, cache: Path) -> None:
        assert [s.name for s in read_sentences(cache)] == ["one", "three", "two"]
        assert [s.name for s in read_sentences(cache, held=True)] == [f"{HELD}held"]
        for sentence in read_sentences(cache):
            assert len(sentence.tokens) == len(sentence.durations)
            assert sentence.durations.min() >= 2
            assert sentence.durations.sum() == len(sentence.mel) == len(sentence.pitch) == len(sentence.voicing)

    def test_a_batch_is_of_about_one_length(self, cache: Path, data: Path) -> None:
        items = [(torch.zeros(2), torch.zeros(2), torch.zeros(n, 3)) for n in range(5, 200)]
        drawn = iter(SentenceStream(items, [0], 4))  # type: ignore[arg-type]
        batches = [[len(next(drawn)[2]) for _ in range(4)] for _ in range(20)]
        assert np.mean([max(batch) - min(batch) for batch in batches]) < 40
        assert SayTraining.collate(items[:2])[2].shape == (2, SPEECH_FRAMES, 3)  # type: ignore[arg-type]

    def test_from_recordings_to_a_model_file(self, cache: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe, runs, model = str(data / "tiny-voice.toml"), str(data / "runs"), data / "tiny-voice.onnx"
        monkeypatch.setattr("export.evaluate_say.word_error", lambda *_: None)
        common = ["--cache", str(cache), "--runs", runs]
        train = ["--accelerator", "cpu", "--precision", "32-true", "--workers", "0", "--validate-every", "2"]
        assert main(["train", recipe, *common, *train]) == 0
        assert main(["export", recipe, *common, "--model", str(model)]) == 0
        pictures = data / "pictures"
        evaluate = ["--data", str(data), "--model", str(model), "--pictures", str(pictures), "--write"]
        assert main(["evaluate", recipe, *common, *evaluate]) == 0
        manifest = load_model(model).manifest
        assert (manifest.role, manifest.domains, manifest.provenance.steps) == ("speaker", ("en-us",), 2)
        assert manifest.metrics["ended"] == 1.0
        assert float(manifest.metrics["speed"]) > 1.0
        assert {path.name for path in pictures.iterdir()} == {"tiny-voice.png", "tiny-voice-alignments.png"}


def test_durations_are_right_on_average() -> None:
    durations, length = torch.tensor([2.0, 2.0, 2.0, 30.0]), torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.SGD([length], 0.2)
    for _ in range(100):
        optimizer.zero_grad()
        duration_loss(length.expand(4), durations).backward()
        optimizer.step()
    assert float(torch.exp(length.detach())) == pytest.approx(9.0, rel=0.01)
    assert float(duration_loss(torch.log(durations), durations)) == pytest.approx(0.0, abs=1e-6)


def test_words_that_differ_are_counted() -> None:
    assert edits(["a", "b", "c"], ["a", "c"]) == 1
    assert edits(["a", "b", "c"], []) == 3
    assert longest_run(np.array([False, True, True, True, False, True])) == 3


def test_distance_is_none_of_the_same_and_warps(cache: Path, network: Say) -> None:
    mel = read_sentences(cache)[0].mel.astype(np.float32)
    assert mcd(mel, mel, MEL_SPEC) < 1e-3
    assert mcd(mel, np.repeat(mel, 2, 0), MEL_SPEC) < 0.5

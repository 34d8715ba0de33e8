"""`timbre`: streams as it trains, keeps silence, follows its controls; its data, its training, its measures."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from stirring import stirred
from torch import Tensor

from export.__main__ import main
from export.networks.timbre import Timbre, controls
from export.networks.timbre_voices import Partials
from export.recipe import FOLDER, Recipe, read_losses, read_recipe
from export.recordings.credits import read_credits
from export.recordings.domains import STEP, Domain, level, prepare_domains, read_domains, to_part
from export.recordings.phrases import look_at_note, play
from export.spectra import mel_of
from export.tasks.timbre import FRAMES, DomainStream, TimbreTraining, Weights
from export.timbre_measures import (
    VGGISH,
    confusion,
    embed,
    loudness_correlation,
    onset_distances_ms,
    pitch_kept,
    pitch_of,
    seconds,
    train_classifier,
    vggish_distance,
)
from export.to_onnx import to_graph
from export.verify import ALLOWED, verify
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array
from rtvox.model_file import load_model
from rtvox.pitch import track

RATE = 48000
SILENCE = float(np.log(MEL_SPEC.floor))
DOMAINS = "violin", "man"
SMALL = "channels = 12\nlatent = 3\nblocks = 1\ntime = 3\n"


@pytest.fixture
def network() -> Timbre:
    """A narrow `timbre` with weights that are far from their quiet start."""
    return stirred(Timbre, MEL_SPEC, DOMAINS, amount=0.05, channels=12, latent=3, blocks=1, time=3)


@pytest.fixture
def frames(rng: np.random.Generator) -> Array:
    return (rng.standard_normal((60, MEL_SPEC.n_mels)) * 2.0 - 5.0).astype(np.float32)


def values(network: Timbre, **wanted: float) -> list[Tensor]:
    """Return controls and conditions, in order, at their defaults or as wanted."""
    default = {row.name: row.default for row in network.controls} | {"pitch": 220.0, "voicing": 1.0, "loudness": -20.0}
    assert wanted.keys() <= default.keys()
    return [torch.tensor([value]) for value in (default | wanted).values()]


@torch.no_grad()
def run(network: Timbre, frames: Array, chunk: int = 10**6, /, **wanted: float) -> Array:
    state, parts = network.zero_state(), []
    for start in range(0, len(frames), chunk):
        piece = torch.from_numpy(frames[None, start : start + chunk])
        out, state = network(piece, *values(network, **wanted), state)
        parts.append(out[0].numpy())
    return np.concatenate(parts)


def tone(hz: float, seconds_long: float = 2.0, tilt: float = 1.0, wobble: float = 0.0) -> Array:
    t = np.arange(round(seconds_long * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(hz * 2.0 ** (wobble * np.sin(2 * np.pi * 0.7 * t))) / RATE
    x = sum(np.sin(k * phase) / k**tilt for k in range(1, 20))
    return np.asarray(0.1 * x * np.minimum(1.0, 50.0 * np.minimum(t, t[::-1])), np.float32)


# -- the network --


@pytest.mark.parametrize("chunk", [1, 7, 59])
@pytest.mark.parametrize("played", [{}, {"hold": 0.5, "jitter": 0.5, "drift": 0.5, "morph": 0.5, "octave": 1.0}])
def test_chunks_equal_the_whole(network: Timbre, frames: Array, chunk: int, played: dict[str, float]) -> None:
    np.testing.assert_allclose(run(network, frames, chunk, **played), run(network, frames, **played), atol=1e-5)


def test_later_frames_change_nothing_earlier(network: Timbre, frames: Array) -> None:
    changed = frames.copy()
    changed[40:] += np.linspace(0.0, 3.0, MEL_SPEC.n_mels, dtype=np.float32)
    np.testing.assert_allclose(run(network, changed)[:40], run(network, frames)[:40], atol=1e-6)
    assert np.abs(run(network, changed)[40:] - run(network, frames)[40:]).max() > 0.01


def test_the_graph_gives_what_the_network_gives(network: Timbre) -> None:
    proof = verify(network, to_graph(network))
    assert proof["onnx_difference"] <= ALLOWED  # type: ignore[operator]
    assert proof["chunking_difference"] <= ALLOWED  # type: ignore[operator]


def test_silence_stays_silence_whatever_is_played(network: Timbre) -> None:
    silent = np.full((50, MEL_SPEC.n_mels), SILENCE, np.float32)
    out = run(network, silent, loudness=-100.0, jitter=1.0, drift=1.0, dynamics=0.0)
    np.testing.assert_array_equal(out, silent)


def test_morph_goes_from_one_domain_to_the_other(network: Timbre, frames: Array) -> None:
    violin, man = (run(network, frames, domain=float(i)) for i in (0, 1))
    assert np.abs(violin - man).max() > 0.1
    np.testing.assert_allclose(run(network, frames, domain=0.0, towards=1.0, morph=1.0), man, atol=1e-5)
    middle = (violin + man) / 2
    for between in (run(network, frames, domain=0.0, towards=1.0, morph=0.5), run(network, frames, domain=0.5)):
        apart = between - middle  # a level: what lies between is as loud as either
        np.testing.assert_allclose(apart - apart.mean(1, keepdims=True), 0.0, atol=1e-5)


def test_an_octave_is_a_pitch_twice_as_high(network: Timbre, frames: Array) -> None:
    np.testing.assert_allclose(run(network, frames, octave=1.0), run(network, frames, pitch=440.0), atol=1e-5)


def test_the_level_is_what_a_tracker_hears(network: Timbre) -> None:
    sound = np.concatenate([tone(220.0, 0.5), 0.01 * tone(700.0, 0.5, 2.0)])
    mel, told = mel_of(sound), track(sound)[:, 2]
    away = torch.from_numpy(mel[None]) + torch.linspace(-2.0, 2.0, len(mel))[None, :, None]
    again = network.level(away, torch.from_numpy(told[None, :, None]))[0].numpy()
    loud = told > -60.0
    assert np.abs(again - mel)[loud].max() < 0.15  # nat, 1.3 dB


def test_what_is_not_voiced_does_not_ripple_from_band_to_band(network: Timbre) -> None:
    slope = torch.linspace(-4.0, -8.0, MEL_SPEC.n_mels).expand(1, 3, -1)
    bars = slope + 0.8 * (torch.arange(MEL_SPEC.n_mels) % 2)
    voiced, half, hiss = network.smooth(bars, torch.tensor([[[1.0], [0.5], [0.0]]]))[0]
    torch.testing.assert_close(voiced, bars[0, 0])
    torch.testing.assert_close(half, 0.5 * (voiced + hiss))
    torch.testing.assert_close(hiss[2:-2], slope[0, 0, 2:-2] + 0.4, atol=1e-4, rtol=0.0)


def test_dynamics_move_the_loudness(network: Timbre, frames: Array) -> None:
    np.testing.assert_allclose(
        run(network, frames, dynamics=2.0, loudness=-35.0)[-1],
        run(network, frames, loudness=-35.0)[-1] - 1.15,
        atol=0.5,
    )
    steady = [run(network, frames, dynamics=0.0, loudness=db).mean() for db in (-40.0, -10.0)]
    moving = [run(network, frames, loudness=db).mean() for db in (-40.0, -10.0)]
    assert abs(steady[1] - steady[0]) < 0.3 * abs(moving[1] - moving[0])


def test_holding_freezes_the_latent_and_jitter_and_drift_move_it(network: Timbre, frames: Array) -> None:
    plain, held = run(network, frames), run(network, frames, hold=1.0)
    assert np.abs(np.diff(held[20:], axis=0)).max() < 1e-5 < np.abs(np.diff(plain[20:], axis=0)).max()
    for name in ("jitter", "drift"):
        moved = run(network, frames, hold=1.0, **{name: 1.0})
        assert np.abs(np.diff(moved[20:], axis=0)).max() > 1e-4


def test_partials_are_where_the_pitch_puts_them() -> None:
    picture = Partials(MEL_SPEC)
    for hz in (300.0, 600.0):
        seen = picture(torch.tensor([[hz]]))[0]
        nearest = [int((picture.centre - k * hz).abs().argmin()) for k in (1, 2, 3)]
        between = [int((picture.centre - (k + 0.5) * hz).abs().argmin()) for k in (1, 2)]
        assert seen[nearest].min() > -0.2
        assert seen[between].max() < -1.0


def test_each_control_can_be_reached_by_osc() -> None:
    rows = controls(("a", "b", "c"))
    assert [row.name for row in rows] == ["domain", "towards", "morph", "octave", "dynamics", "hold", "jitter", "drift"]
    assert rows[0].high == 2.0


def test_one_domain_is_too_few() -> None:
    with pytest.raises(ParameterError, match=r"domains \('violin',\): needs two or more"):
        Timbre(MEL_SPEC, ("violin",))


# -- phrases and domains --


def test_a_note_is_measured_and_a_noise_is_none(noise: Array) -> None:
    note = look_at_note(np.concatenate([np.zeros(RATE // 5, np.float32), tone(440.0)]))
    assert note is not None
    assert abs(1200.0 * np.log2(note.hz / 440.0)) < 3.0
    assert RATE // 10 < note.attack < note.start < note.end <= len(note.sound)
    assert look_at_note(noise) is None


def test_a_phrase_follows_pitch_and_loudness(rng: np.random.Generator) -> None:
    notes = [look_at_note(tone(hz)) for hz in 220.0 * 2.0 ** (np.arange(13) / 6.0)]
    voice = tone(260.0, 3.0, tilt=2.0, wobble=0.3)
    voice *= np.linspace(0.2, 1.0, len(voice), dtype=np.float32)
    told = track(voice)
    made = play([note for note in notes if note], told, rng)
    again = track(made)
    both = (told[:, 1] > 0.5) & (again[:, 1] > 0.5)
    assert both.mean() > 0.85
    cents = 1200.0 * np.log2(again[both, 0] / told[both, 0])
    assert np.mean(np.abs(cents) < 50.0) > 0.85
    assert np.corrcoef(told[both, 2], again[both, 2])[0, 1] > 0.9


def test_a_low_voice_is_moved_into_the_instrument_s_range(rng: np.random.Generator) -> None:
    notes = [look_at_note(tone(hz)) for hz in 440.0 * 2.0 ** (np.arange(7) / 6.0)]
    made = track(play([note for note in notes if note], track(tone(125.0)), rng))
    voiced = made[made[:, 1] > 0.9, 0]
    assert len(voiced) > 100
    assert abs(1200.0 * np.log2(np.median(voiced) / 500.0)) < 30.0


def test_all_domains_are_equally_loud() -> None:
    loud = [np.percentile(track(level(np.float32(gain) * tone(300.0)))[:, 2], 75) for gain in (0.01, 1.0)]
    np.testing.assert_allclose(loud, -20.0, atol=0.5)


def test_a_part_keeps_its_frames_within_half_a_grain() -> None:
    sound = tone(300.0, 0.5)
    mel, told = to_part(sound).frames()
    np.testing.assert_allclose(mel, mel_of(sound), atol=0.51 * STEP)
    np.testing.assert_allclose(told, track(sound), rtol=1e-3, atol=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of two domains: three tones each, and notes of one."""
    for name, hz, tilt in (("fiddle", 440.0, 0.7), ("hum", 150.0, 2.0)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            soundfile.write(tmp_path / "data" / name / f"{i}.wav", tone(hz * 2.0 ** (i / 12), 1.5, tilt, 0.02), RATE)
    return tmp_path / "data"


def prepared(folder: Path, cache: Path) -> dict[str, Domain]:
    domains = {
        "violin": Domain(
            ("fiddle/*",), held=("fiddle/2*",), shifts=(3.0,), notes=("fiddle/*",), voices=("hum/*",), made_minutes=0.05
        ),
        "man": Domain(("hum/*",), held=("hum/2*",)),
    }
    prepare_domains(domains, [folder], cache, 440)
    return domains


def test_domains_are_prepared_from_folders(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "cache")
    names = sorted(str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*.npz"))
    assert names == [
        "domains/man/held-part-000.npz", "domains/man/part-000.npz", "domains/violin/held-part-000.npz",
        "domains/violin/made-000.npz", "domains/violin/part-000-+3.npz", "domains/violin/part-000.npz",
    ]  # fmt: skip
    trained, held = (read_domains(tmp_path / "cache", DOMAINS, held=held) for held in (False, True))
    assert [len(trained["violin"]), len(trained["man"]), len(held["violin"])] == [3, 1, 1]
    assert read_credits(tmp_path / "cache") == {
        ("data", "your own"),
        ("violin: phrases rendered from single notes: cross-faded, pitch-warped, following voices", "your own"),
        ("violin: recordings heard again at +3 semitones, by speed", "your own"),
    }
    pitches = [np.median(part.frames()[1][:, 0]) for part in trained["violin"]]
    assert abs(1200.0 * np.log2(pitches[1] / pitches[2]) - 300.0) < 30.0  # -+3 comes first


def test_what_cannot_be_prepared_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"oboe/\*: no sound files"):
        prepare_domains({"oboe": Domain(("oboe/*",))}, [folder], tmp_path, 0)
    with pytest.raises(ParameterError, match="domain oboe: needs recordings or notes"):
        prepare_domains({"oboe": Domain()}, [folder], tmp_path, 0)
    with pytest.raises(ParameterError, match="oboe: not prepared"):
        read_domains(tmp_path, ["oboe"])


# -- training --


def small_recipe(cache: Path, folder: Path) -> Recipe:
    domains = prepared(folder, cache)
    network = {"domains": tuple(domains), "channels": 12, "latent": 3, "blocks": 1, "time": 3}
    return replace(read_recipe("timbre"), domains=domains, network=network, batch=4)


def test_domains_come_in_turns_however_long_they_are(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path)
    parts = [[part.frames() for part in parts] for parts in read_domains(tmp_path, DOMAINS).values()]
    stream = iter(DomainStream(parts, [0]))
    items = [next(stream) for _ in range(6)]
    assert [int(domain) for _, _, domain in items] == [0, 1, 0, 1, 0, 1]
    assert all(mel.shape == (FRAMES, MEL_SPEC.n_mels) and told.shape == (FRAMES, 3) for mel, told, _ in items)
    assert not torch.equal(items[0][0], items[2][0])


def batch_of(training: TimbreTraining) -> list[Tensor]:
    stream = iter(training.stream(0, 0, 1))
    return [torch.stack(tensors) for tensors in zip(*(next(stream) for _ in range(4)), strict=True)]


@pytest.mark.parametrize("game", ["least-squares", "wasserstein"])
def test_a_step_teaches_generators_and_discriminators_apart(folder: Path, tmp_path: Path, game: str) -> None:
    recipe = replace(small_recipe(tmp_path / "cache", folder), losses={"game": game})
    training = TimbreTraining(recipe, tmp_path / "cache")
    mel, told, source = batch_of(training)
    losses = training.losses(mel, told, source, 1 - source, training.move(told, 1 - source))
    judges = list(training.discriminators.parameters())
    assert all(value.isfinite() for value in losses.values())
    assert all(g is None for g in torch.autograd.grad(losses["gan"], judges, retain_graph=True, allow_unused=True))
    others = list(training.network.parameters())
    assert all(g is None for g in torch.autograd.grad(losses["judge"], others, retain_graph=True, allow_unused=True))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in training.parameters())
    moved = {id(parameter) for group in training.parameter_groups() for parameter in group["params"]}
    assert moved == {id(parameter) for parameter in training.parameters()}


def test_moved_pitches_lie_near_the_target_s_middle(folder: Path, tmp_path: Path) -> None:
    training = TimbreTraining(small_recipe(tmp_path / "cache", folder), tmp_path / "cache")
    _, told, source = batch_of(training)
    moved = training.move(told, 1 - source)
    octaves = torch.log2(moved[..., 0] / told[..., 0])
    torch.testing.assert_close(octaves, torch.round(octaves[:, :1]).expand_as(octaves), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(moved[..., 1:], told[..., 1:])
    middles = torch.log2(moved[..., 0]).median(1).values
    assert (middles - training.middles[1 - source]).abs().max() < 1.6


def test_a_loss_that_is_none_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"losses.gann in the recipe: there are game, rebuild"):
        read_losses(Weights, {"gann": 1.0})


def test_from_folders_to_a_model_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))  # no VGGish there
    text = f"""name = "moved"\ntitle = "Moved"\nmodel = "timbre"\nseed = 440
[domains.violin]\nrecordings = ["fiddle/*"]\nheld = ["fiddle/2*"]
[domains.man]\nrecordings = ["hum/*"]\nheld = ["hum/2*"]
[measured]\nsung = ["hum/0*"]\n[network]\n{SMALL}[training]\nbatch = 2\nsteps = 3\nlearning_rate = 1e-3\n"""
    recipe, cache, runs, model = (tmp_path / name for name in ("moved.toml", "cache", "runs", "moved.onnx"))
    recipe.write_text(text)
    places = ["--cache", str(cache), "--runs", str(runs)]
    assert main(["prepare", str(recipe), *places, "--data", str(folder)]) == 0
    assert main(["train", str(recipe), *places, "--workers", "0", "--accelerator", "cpu", "--validate-every", "2"]) == 0
    assert list(runs.rglob("events.*"))
    assert main(["export", str(recipe), *places, "--model", str(model)]) == 0
    file = load_model(model)
    assert file.manifest.domains == ("violin", "man")
    assert file.manifest.conditions == ("pitch", "voicing", "loudness")
    assert file.manifest.resynthesis == "vocoder"
    given = ["--data", str(folder), "--model", str(model), "--pictures", str(tmp_path), "--write"]
    assert main(["evaluate", str(recipe), *places, *given]) == 0
    assert load_model(model).manifest.metrics["silence_peak_db"] < -70.0  # type: ignore[operator]
    assert (tmp_path / "moved-sung.png").is_file()
    assert "Frechet audio distance on VGGish not measured: " in capsys.readouterr().out


def test_the_recipe_names_what_the_network_and_the_training_know() -> None:
    recipe = read_recipe("timbre")
    assert list(recipe.domains) == ["violin", "saxophone", "cello", "woman", "man"]
    assert read_losses(Weights, recipe.losses).game == "least-squares"
    assert recipe.batch % len(recipe.domains) == 0
    assert tomllib.loads((FOLDER / "timbre.toml").read_text())["name"] == "timbre"


# -- measures --


def test_pitch_is_kept_or_not() -> None:
    low, high = pitch_of(tone(220.0)), pitch_of(tone(440.0))
    near, both = pitch_kept(low, high, 1.0)
    assert near > 0.95 * both > 200
    assert pitch_kept(low, high, 0.0)[0] == 0


def test_loudness_and_onsets_of_the_same_sound_are_the_same() -> None:
    beats = np.concatenate([tone(220.0, 0.3), tone(330.0, 0.4)] * 3)
    assert loudness_correlation(beats, np.float32(0.3) * beats) > 0.99
    late = np.concatenate([np.zeros(480, np.float32), beats])
    assert len(onset_distances_ms(beats, late)) >= 3
    assert 4.0 < np.median(onset_distances_ms(beats, late)) < 16.0


def test_a_classifier_tells_domains_apart() -> None:
    bright, dark = ([mel_of(tone(hz, 3.0, tilt, 0.2)) for hz in (200.0, 300.0, 250.0)] for tilt in (0.5, 2.5))
    classifier = train_classifier({"bright": bright[:2], "dark": dark[:2]})
    assert set(classifier.predict(seconds(bright[2]))) == {"bright"}
    assert set(classifier.predict(seconds(dark[2]))) == {"dark"}
    called, *rows = (line.split() for line in confusion(classifier, {"a": bright[2:], "b": dark[2:]}).splitlines())
    assert called == ["called", "bright", "dark"]
    assert rows == [["a", "1.00", "0.00"], ["b", "0.00", "1.00"]]


def test_the_standard_distance_is_left_to_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Judge:
        def __init__(self, **kinds: object) -> None:
            assert kinds["model_name"] == "vggish"

        def score(self, real: str, made: str) -> float:
            return len(list(Path(real).iterdir())) + 0.5 * len(list(Path(made).iterdir()))

    weights = tmp_path / VGGISH
    weights.parent.mkdir()
    weights.touch()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "frechet_audio_distance", SimpleNamespace(FrechetAudioDistance=Judge))
    assert vggish_distance([tone(200.0)] * 3, [tone(200.0)]) == 3.5


def test_pauses_are_not_embedded() -> None:
    mel = mel_of(np.concatenate([tone(300.0, 1.0), np.zeros(RATE, np.float32)]))
    assert 0.4 * len(mel) < len(embed(mel)) < 0.55 * len(mel)

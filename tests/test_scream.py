"""`scream`: streams as it trains, is the voice itself at intensity 0, draws the same noise everywhere; its measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from stirring import stirred
from test_pairs import speak

from export.__main__ import main
from export.checkpoints import newest_checkpoint, read_checkpoint
from export.evaluate_scream import convert, summary
from export.losses import scream_losses
from export.measures import (
    band_levels_db,
    frechet_distance,
    harmonic_to_noise_db,
    modulation_db,
    modulation_shares,
    syllable_correlation,
)
from export.models import MODELS, find_model
from export.networks.scream import SHARED, Scream
from export.networks.streaming import MagnitudeNoise
from export.recipe import FOLDER, read_recipe
from export.resynthesis import resynthesise
from export.spectra import log_mel
from export.tasks.scream import PairStream
from export.to_onnx import cost, to_graph
from export.verify import ALLOWED, Graph, verify
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import MEL_SPEC, Array, log_mel_of_spectrum
from rtvox.model_file import load_model, read_manifest

RATE = 48000
SILENCE = float(np.log(MEL_SPEC.floor))


@pytest.fixture
def network() -> Scream:
    """A narrow `scream` with weights that are far from their quiet start."""
    return stirred(Scream, MEL_SPEC, amount=0.1, channels=12, latent=4, hidden=8)


@pytest.fixture
def frames(rng: np.random.Generator) -> Array:
    return (rng.standard_normal((60, MEL_SPEC.n_mels)) * 2.0 - 5.0).astype(np.float32)


@torch.no_grad()
def run(network: Scream, frames: Array, intensity: float = 1.0, style: float = 1.0) -> Array:
    controls = torch.tensor([intensity]), torch.tensor([style])
    return network(torch.from_numpy(frames)[None], *controls, network.zero_state())[0][0].numpy()


@pytest.mark.parametrize("chunk", [1, 7, 59])
def test_chunks_equal_the_whole(network: Scream, frames: Array, chunk: int) -> None:
    state, parts = network.zero_state(), []
    with torch.no_grad():
        for start in range(0, len(frames), chunk):
            piece = torch.from_numpy(frames[None, start : start + chunk])
            out, state = network(piece, torch.ones(1), torch.ones(1), state)
            parts.append(out[0].numpy())
    np.testing.assert_allclose(np.concatenate(parts), run(network, frames), atol=1e-5)


def test_later_frames_change_nothing_earlier(network: Scream, frames: Array) -> None:
    changed = frames.copy()
    changed[40:] += 3.0
    np.testing.assert_allclose(run(network, changed)[:40], run(network, frames)[:40], atol=1e-6)
    assert np.abs(run(network, changed)[40:] - run(network, frames)[40:]).max() > 0.1


def test_no_intensity_is_the_voice_itself_to_the_bit(network: Scream, frames: Array) -> None:
    frames = np.maximum(frames, SILENCE)
    np.testing.assert_array_equal(run(network, frames, intensity=0.0), frames)
    assert np.abs(run(network, frames) - frames).mean() > 0.1


def test_silence_stays_silence(network: Scream) -> None:
    silence = np.full((40, MEL_SPEC.n_mels), SILENCE, np.float32)
    np.testing.assert_array_equal(run(network, silence), silence)


def test_style_changes_the_scream(network: Scream, frames: Array) -> None:
    growl, between, shriek = (run(network, frames, style=style) for style in (0.0, 0.1, 2.0))
    assert np.abs(growl - shriek).mean() > np.abs(growl - between).mean() > 0.0


def test_controls_may_change_from_frame_to_frame(network: Scream, frames: Array) -> None:
    ramp = torch.linspace(0.0, 1.0, len(frames))[None, :, None]
    with torch.no_grad():
        out, _ = network(torch.from_numpy(frames)[None], ramp, torch.ones(1), network.zero_state())
    np.testing.assert_allclose(out[0, 0], frames[0], atol=1e-5)
    assert np.abs(out[0, -1].numpy() - frames[-1]).max() > 0.1


def test_graph_equals_network_over_500_frames(network: Scream) -> None:
    assert float(verify(network, to_graph(network))["onnx_difference"]) <= ALLOWED


def test_verify_refuses_a_graph_of_other_weights(network: Scream) -> None:
    graph = to_graph(network)
    network.head.bias.data.add_(1.0)
    with pytest.raises(ModelFileError, match=r"torch against onnxruntime, 500 frames: .* at most 0\.0001"):
        verify(network, graph)


def test_cost_of_the_shipped_recipe_is_within_the_plan() -> None:
    figures = cost(Scream(MEL_SPEC, **read_recipe("scream").network).eval())
    assert float(figures["parameters"]) <= 500_000
    assert 0.02 < float(figures["gmac_per_second"]) <= 0.5


def test_noise_is_the_same_in_torch_and_onnxruntime_and_as_designed(network: Scream) -> None:
    noise, shared = MagnitudeNoise(128), torch.tensor([SHARED])
    state = [noise.anywhere(8), torch.zeros(8, *noise.state_shapes[1])]
    whole, *after = noise(800, shared, state)
    parts = []
    for _ in range(800):
        part, *state = noise(1, shared, state)
        parts.append(part)
    assert torch.equal(torch.cat(parts, 1), whole)
    assert all(torch.equal(a, b) for a, b in zip(state, after, strict=True))
    settled = whole[:, 4:]
    assert float(settled.mean()) == pytest.approx(0.0, abs=0.06)
    assert float(settled.std()) == pytest.approx(1.0, abs=0.05)
    assert float(settled.mean(-1).var()) == pytest.approx(SHARED, abs=0.05)  # what all bands share
    neighbours = torch.corrcoef(settled.flatten(0, 1).T)[60]
    assert neighbours[61] > 0.5 > neighbours[70] > 0.3
    assert len(set(noise.factor.tolist())) == len(noise.factor)


def test_growls_rock_all_bands_at_once_and_shrieks_do_not(network: Scream) -> None:
    def shared(style: float) -> float:
        noise = network.draw(800, torch.tensor([style]), network.random_state(8))[0]
        return float(noise[:, 4:].mean(-1).var())

    growl, between, shriek = map(shared, (0.0, 0.5, 2.0))
    assert growl > between + 0.1 > shriek + 0.2
    assert shriek < 0.05


def test_losses_are_least_for_the_right_answer() -> None:
    torch.manual_seed(440)
    mel, target = torch.randn(2, 96, 128) - 5.0, torch.randn(2, 96, 128) - 5.0
    latent, dct = torch.zeros(2, 96, 8), torch.eye(128)[:20]
    noise = torch.randn(2, 96, 128)
    calm = torch.zeros_like(mel)
    right = scream_losses(mel, target, target, calm, noise, latent, dct)
    wrong = scream_losses(mel, target, target + 1.0, calm, noise, latent + 1.0, dct)
    assert float(right["mel"]) == float(right["mfcc"]) == float(right["kl"]) == 0.0
    assert all(float(wrong[name]) > 0.1 for name in ("mel", "mfcc", "kl"))
    smooth = torch.full_like(target, -5.0)  # the mean of a target that flutters by 1
    calm, as_it_is = (scream_losses(mel, target, smooth, calm + d, noise, latent, dct) for d in (0.1, 0.95))
    assert as_it_is["deviation"] < calm["deviation"]
    assert as_it_is["rough"] < calm["rough"]


def test_torch_log_mel_is_that_of_the_features(noise: Array) -> None:
    hops = noise[: len(noise) // 256 * 256]
    padded = np.concatenate([np.zeros(768, np.float32), hops])
    windowed = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::256] * MEL_SPEC.analysis_window()
    expected = log_mel_of_spectrum(np.fft.rfft(windowed).astype(np.complex64), MEL_SPEC)
    np.testing.assert_allclose(log_mel(torch.from_numpy(hops)[None], MEL_SPEC)[0], expected, atol=1e-4)


def test_harmonicity_of_known_noise(rng: np.random.Generator) -> None:
    seconds = np.arange(RATE) / RATE
    tone = sum(np.cos(2 * np.pi * 150.0 * k * seconds) for k in range(1, 8))
    noise = rng.standard_normal(RATE)
    for wanted_db in (0.0, 6.0, 12.0):
        scale = np.sqrt(np.mean(tone**2) / np.mean(noise**2)) * 10.0 ** (-wanted_db / 20.0)
        found = harmonic_to_noise_db((0.1 * (tone + scale * noise)).astype(np.float32))
        assert float(np.median(found)) == pytest.approx(wanted_db, abs=1.0)
    assert np.median(harmonic_to_noise_db(noise.astype(np.float32))) < -5.0
    assert np.all(harmonic_to_noise_db(np.zeros(RATE, np.float32)) == pytest.approx(-40.0, abs=0.1))


def test_modulation_of_a_known_depth(rng: np.random.Generator) -> None:
    """A carrier with depth m has modulation energy m^2 / 2 of its mean square, if it lies from 25 to 160 Hz."""
    seconds = np.arange(2 * RATE) / RATE
    carriers = sum(np.sin(2 * np.pi * hz * seconds) for hz in (600.0, 2000.0, 5000.0))
    for hz, depth in ((80.0, 1.0), (80.0, 0.5)):
        rough = (0.1 * carriers * (1.0 + depth * np.cos(2 * np.pi * hz * seconds))).astype(np.float32)
        assert modulation_db(rough) == pytest.approx(10 * np.log10(depth**2 / 2), abs=0.5)
        assert modulation_shares(rough)[1] > 0.8
    slow = (0.1 * carriers * (1.0 + np.cos(2 * np.pi * 4.0 * seconds))).astype(np.float32)
    assert modulation_db(slow) < -20.0


def test_distances_of_clouds_and_bands(rng: np.random.Generator) -> None:
    cloud = rng.standard_normal((20000, 4))
    assert frechet_distance(cloud, cloud) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(cloud, cloud + 2.0) == pytest.approx(16.0, abs=0.1)
    assert frechet_distance(cloud, 3.0 * cloud) == pytest.approx(16.0, rel=0.05)
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(RATE) / RATE).astype(np.float32)
    assert band_levels_db(tone, (0.0, 500.0, 2000.0, 5000.0))[1] == pytest.approx(0.0, abs=0.1)
    assert syllable_correlation(tone * np.hanning(RATE), tone * np.hanning(RATE)) == pytest.approx(1.0)


def test_resynthesis_gives_back_a_voice() -> None:
    voice = speak(2, 1.5)
    mel = log_mel(torch.from_numpy(np.pad(voice, (0, -len(voice) % 256)))[None], MEL_SPEC)[0].numpy()
    again = resynthesise(mel, MEL_SPEC)
    assert syllable_correlation(again[: len(voice) - 1024], voice[: len(again)][: len(voice) - 1024]) > 0.95


def test_items_are_cut_at_random_levels_and_padded_with_silence() -> None:
    mel = torch.full((30, 128), -4.0).half()
    stream = iter(PairStream([(mel, mel + 1.0, torch.full((30, 2), 0.5).half())], [440, 0], MEL_SPEC, 50))
    items = [next(stream) for _ in range(8)]
    for clean, screamed, manner in items:
        assert clean.shape == screamed.shape == (50, 128)
        assert manner.shape == (50, 2)
        torch.testing.assert_close(screamed[:30], clean[:30] + 1.0)
        assert torch.all(clean[30:] == SILENCE) or torch.all(clean[30:] >= SILENCE)
    assert len({float(clean[0, 0]) for clean, _, _ in items}) > 4


RECIPE = """
name = "tiny-scream"
title = "Tiny scream"
model = "scream"
seed = 440
[pairs]
minutes = { "voice/anna/*" = 1.0 }
stretch_s = 2.0
sentences = ["voice/anna/5.*"]
speakers = ["voice/ben/*"]
[network]
channels = 8
latent = 4
hidden = 8
[training]
batch = 2
steps = 2
learning_rate = 1e-3
"""


@pytest.mark.slow
def test_prepare_train_export_and_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a folder of voices to a model file whose figures are measured, with the command line."""
    for name, f0_hz, count in (("anna", 190.0, 6), ("ben", 110.0, 1)):
        folder = tmp_path / "data" / "voice" / name
        folder.mkdir(parents=True)
        for i in range(count):
            soundfile.write(folder / f"{i}.wav", speak(60 + i, 1.2, f0_hz), RATE)
    (tmp_path / "tiny-scream.toml").write_text(RECIPE)
    common = [str(tmp_path / "tiny-scream.toml"), "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    model = tmp_path / "tiny-scream.onnx"
    data = ["--data", str(tmp_path / "data")]
    assert main(["prepare", *common, *data]) == 0
    cpu = ["--accelerator", "cpu", "--workers", "0", "--validate-every", "2"]
    assert main(["train", *common, *cpu]) == 0
    assert main(["train", *common, *cpu, "--frame-step", "2"]) == 2
    assert read_checkpoint(newest_checkpoint(tmp_path / "runs" / "tiny-scream"))["global_step"] == 2
    assert main(["export", *common, "--model", str(model)]) == 0
    pictures = ["--pictures", str(tmp_path / "pictures")]
    assert main(["evaluate", *common, *data, "--model", str(model), "--write", *pictures]) == 0
    printed = capsys.readouterr().out
    manifest = read_manifest(model)
    for name in (
        "hnr_voice_db",
        "hnr_at_1_db",
        "modulation_as_growl_db",
        "frechet_angus_scream",
        "syllables_as_shriek",
    ):
        for group in ("sentences", "speakers"):
            assert f"{group}_{name}" in printed
    assert {"hnr_voice_db", "hnr_db", "frechet_part", "reconstruction_db"} <= manifest.metrics.keys()
    assert float(manifest.metrics["silence_peak_db"]) < -70.0
    assert {control.name: control.default for control in manifest.controls} == {"intensity": 1.0, "style": 1.0}
    assert manifest.provenance.data[0].licence == "your own"
    for group in ("sentences", "speakers"):
        assert (tmp_path / "pictures" / f"tiny-scream-{group}.png").stat().st_size > 10_000
    voice = speak(60, 1.2)
    assert convert(load_model(model), voice, intensity=0.0).shape == voice.shape
    missing = (tmp_path / "tiny-scream.toml").read_text().replace("voice/ben", "voice/carl")
    (tmp_path / "tiny-scream.toml").write_text(missing)
    assert main(["evaluate", *common, *data, "--model", str(model)]) == 2
    assert "no sound files" in capsys.readouterr().err


def test_summary_holds_the_worst_of_each_kind() -> None:
    figures = {"a_hnr_voice_db": 9.0, "a_reconstruction_db": 1.5}
    for group, worse in (("a", 0.0), ("b", 1.0)):
        figures |= {f"{group}_hnr_as_growl_db": worse - 2.0, f"{group}_modulation_as_growl_db": -3.0 - worse}
        figures |= {f"{group}_modulation_target_growl_db": -2.5, f"{group}_syllables_as_growl": 0.9 - 0.1 * worse}
        figures |= {f"{group}_frechet_as_growl": 0.2 + worse}
    found = summary(figures)
    assert found == pytest.approx(
        {
            "hnr_voice_db": 9.0,
            "hnr_db": -1.0,
            "modulation_from_target_db": 1.5,
            "syllable_correlation": 0.8,
            "frechet_part": 1.2,
            "reconstruction_db": 1.5,
        }
    )


def test_every_recipe_names_a_model_of_the_table() -> None:
    assert {read_recipe(path.stem).model for path in FOLDER.glob("*.toml")} <= set(MODELS)
    recipe = read_recipe("scream")
    held = recipe.pairs.sentences + recipe.pairs.speakers
    assert held
    assert not any("vctk" in pattern or "nathalie" in pattern for pattern in recipe.pairs.minutes)
    with pytest.raises(ParameterError, match=r"model = 'gone' in the recipe: there are .*scream, "):
        find_model("gone")


def test_graph_streams_with_its_controls(network: Scream, frames: Array) -> None:
    graph = Graph(to_graph(network), intensity=0.5, style=2.0)
    streamed = np.concatenate([graph.run(frames[:20]), graph.run(frames[20:])])
    np.testing.assert_allclose(streamed, run(network, frames, 0.5, 2.0), atol=1e-4)

"""`waveglow`: can be undone exactly, counts its volume right, streams as its graph does, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_reader import write_reader
from made_vocoder import write_vocoder
from stirring import stirred
from torch import Tensor

from export.__main__ import main
from export.networks.waveglow import WaveGlow
from export.recipe import read_recipe
from export.spectra import log_mel, overlap_add
from export.tasks.waveglow import WaveGlowTraining
from export.to_onnx import cost, to_graph
from export.verify import ALLOWED, verify
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.model_file import read_manifest

RATE, HOP = 48000, MEL_SPEC.hop
TINY = FeatureSpec(n_fft=64, n_synthesis=64, hop=16, n_mels=4, n_mfcc=4)


@pytest.fixture
def network() -> WaveGlow:
    return stirred(WaveGlow, MEL_SPEC, amount=0.05, flows=3, channels=8, layers=3, told=4)


def hops_of(sound: Array) -> tuple[Tensor, Tensor]:
    """Return the (1, T, hop) samples two hops back, and the log-mel (1, T, M), of (N,) samples."""
    x = torch.from_numpy(sound[: len(sound) // HOP * HOP])
    return x.reshape(1, -1, HOP)[:, :-2], log_mel(x[None], MEL_SPEC)[:, 2:]


@torch.no_grad()
def sound(network: WaveGlow, mel: Tensor) -> Array:
    return overlap_add(network(mel, network.zero_state())[0], MEL_SPEC)[0].numpy()


@torch.no_grad()
def test_noise_of_a_sound_makes_that_sound(network: WaveGlow, music: Array) -> None:
    hops, mel = hops_of(music[:RATE])
    noise, _ = network.noise_of(hops, mel)
    again, _ = network.sound_of(noise, mel, network.zero_state())
    assert noise.shape == hops.shape
    torch.testing.assert_close(again, hops, atol=1e-4, rtol=0.0)


def test_volume_is_that_of_the_jacobian(rng: np.random.Generator) -> None:
    network = stirred(WaveGlow, TINY, amount=0.05, group=4, flows=3, channels=4, layers=2, told=2).double()
    samples, mel = (torch.from_numpy(rng.standard_normal((1, 3, n))) for n in (TINY.hop, TINY.n_mels))
    jacobian = torch.func.jacrev(lambda x: network.noise_of(x, mel)[0].flatten())(samples)
    expected = torch.linalg.slogdet(jacobian.reshape(3 * TINY.hop, -1))[1]
    torch.testing.assert_close(network.noise_of(samples, mel)[1].sum(), expected)


def test_graph_and_chunks_equal_the_network(network: WaveGlow) -> None:
    found = verify(network, to_graph(network))
    assert float(found["onnx_difference"]) <= ALLOWED
    assert float(found["chunking_difference"]) <= ALLOWED


@torch.no_grad()
def test_spectra_give_what_flows_make_of_a_normal_noise(
    network: WaveGlow, music: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, noises = network.sound_of, list[Tensor]()

    def sound_of(noise: Tensor, mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        noises.append(noise)
        return whole(noise, mel, state)

    monkeypatch.setattr(network, "sound_of", sound_of)
    _, mel = hops_of(music[:RATE])
    made = sound(network, mel)
    (noise,) = noises
    hops, _ = whole(noise, mel, network.zero_state())
    np.testing.assert_allclose(made, hops.flatten().numpy(), atol=1e-5)
    noise = noise / network.sigma
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    assert float((noise**4).mean()) == pytest.approx(3.0, abs=0.2)


def test_untrained_it_is_a_noise_as_loud_as_asked_two_hops_late() -> None:
    network = WaveGlow(MEL_SPEC, flows=2, channels=4, layers=1, sigma=1.0).eval()
    x = np.zeros(100 * HOP, np.float32)
    x[50 * HOP : 60 * HOP] = np.random.default_rng(440).standard_normal(10 * HOP) * 0.1
    made = sound(network, log_mel(torch.from_numpy(x)[None], MEL_SPEC))
    centre = np.sum(np.arange(len(made)) * made**2) / np.sum(made**2)
    assert centre == pytest.approx(55 * HOP + network.look_ahead * HOP, abs=HOP // 2)
    # Pre-emphasis, then as loud as asked, then its inverse: a noise with more bass.
    emphasised = [np.sqrt(np.mean((s[1:] - 0.95 * s[:-1]) ** 2)) for s in (made, x)]
    assert emphasised[0] == pytest.approx(emphasised[1], rel=0.15)
    assert np.abs(made[: 45 * HOP]).max() <= 1.4e-4  # -77 dB full scale; with less sigma less


def test_the_recipe_asks_for_one_that_a_core_can_run() -> None:
    found = cost(WaveGlow(MEL_SPEC, **read_recipe("waveglow").network).eval())
    assert float(found["parameters"]) <= 1e6
    assert float(found["gmac_per_second"]) <= 1.5


RECIPE = """
name = "tiny-waveglow"
title = "Tiny WaveGlow"
model = "waveglow"
seed = 440
[sources]
join = { "voice-spoken" = ["voice/anna/*"] }
[clips]
groups = { "voice-spoken" = 1.0 }
held_s = 1.6
[network]
flows = 2
channels = 8
layers = 2
told = 4
[training]
batch = 2
steps = 12
learning_rate = 1e-2
"""


def test_prepare_train_export_and_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder of voices to a model file that is measured beside the vocoder, with the command line."""
    monkeypatch.setattr(WaveGlowTraining, "frames", 30)
    write_reader(tmp_path, monkeypatch)
    (tmp_path / "tiny-waveglow.toml").write_text(RECIPE)
    recipe = str(tmp_path / "tiny-waveglow.toml")
    common = [recipe, "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    model, data = tmp_path / "tiny-waveglow.onnx", ["--data", str(tmp_path / "data")]
    assert main(["prepare", *common, *data]) == 0
    torch.manual_seed(440)
    untrained = WaveGlowTraining(read_recipe(recipe), tmp_path / "cache").score()["held_surprise"]
    cpu = ["--accelerator", "cpu", "--precision", "32-true", "--workers", "0", "--validate-every", "12"]
    assert main(["train", *common, *cpu]) == 0
    assert main(["export", *common, "--model", str(model)]) == 0
    trained = WaveGlowTraining(read_recipe(recipe), tmp_path / "cache")
    weights = torch.load(tmp_path / "runs" / "tiny-waveglow" / "last.ckpt", weights_only=True)["state_dict"]
    trained.load_state_dict(weights)
    assert trained.score()["held_surprise"] < untrained
    write_vocoder(tmp_path / "vocoder.onnx")
    pictures = ["--pictures", str(tmp_path / "pictures")]
    assert main(["evaluate", *common, *data, "--model", str(model), "--write", *pictures]) == 0
    printed = capsys.readouterr().out
    manifest = read_manifest(model)
    assert (manifest.role, manifest.resynthesis, manifest.look_ahead) == ("vocoder", "overlap-add", 2)
    assert {"pesq", "stoi", "lsd_db", "mel_distance", "mcd_db", "silence_peak_db"} <= set(manifest.metrics)
    assert all(f"| voice, {way} |" in printed for way in ("tiny-waveglow", "vocoder", "live Griffin-Lim", "librosa 2"))
    assert "singing" not in printed
    assert (tmp_path / "pictures" / "tiny-waveglow-voice.png").stat().st_size > 10_000


def test_the_recipe_leaves_the_crowd_unheard() -> None:
    groups = read_recipe("waveglow").clips.groups
    assert groups == {"voice-spoken": 1.0, "voice-crowd": 0.0}

"""`vocoder`: streams as it trains, agrees with its graph for ever, gives the mel asked for, at the pitch told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_reader import write_reader
from stirring import stirred
from test_pairs import speak

from export import evaluate_vocoder
from export.__main__ import main
from export.checkpoints import newest_checkpoint, read_checkpoint
from export.evaluate_vocoder import choose, compare, table, vocode
from export.networks.discriminators import Discriminators
from export.networks.vocoder import Vocoder
from export.recipe import read_recipe
from export.recordings.clips import Clip
from export.sound_losses import adversarial_losses, discriminator_loss, spectral_losses
from export.spectra import analyze, log_mel, overlap_add
from export.tasks import vocoder as task
from export.tasks.vocoder import ClipStream
from export.to_onnx import cost, to_graph
from export.verify import ALLOWED, Graph, verify
from rtvox.errors import ParameterError
from rtvox.features import MEL_SPEC, Array, vocoder_window
from rtvox.model_file import load_model, read_manifest
from rtvox.stft import Synthesizer

RATE, HOP = 48000, MEL_SPEC.hop
SILENCE = float(np.log(MEL_SPEC.floor))


@pytest.fixture
def network() -> Vocoder:
    """A narrow `vocoder` with weights that are away from their quiet start."""
    return stirred(Vocoder, MEL_SPEC, amount=0.05, channels=16, blocks=2)


@pytest.fixture
def frames(rng: np.random.Generator) -> Array:
    return (rng.standard_normal((60, MEL_SPEC.n_mels)) - 5.0).astype(np.float32)


@torch.no_grad()
def run(network: Vocoder, frames: Array, pitch: Array | float = 200.0, voicing: float = 1.0) -> Array:
    told = torch.from_numpy(np.full(len(frames), pitch, np.float32))[None, :, None]
    out = network(torch.from_numpy(frames)[None], told, torch.tensor([voicing]), network.zero_state())[0]
    return out[0].numpy()


@torch.no_grad()
def sound(network: Vocoder, mel: Array, pitch: float, voicing: float) -> Array:
    return overlap_add(torch.from_numpy(run(network, mel, pitch, voicing))[None], MEL_SPEC)[0].numpy()


@pytest.mark.parametrize("chunk", [1, 7, 59])
def test_chunks_equal_the_whole(network: Vocoder, frames: Array, chunk: int) -> None:
    state, parts = network.zero_state(), []
    pitch = torch.linspace(90.0, 400.0, len(frames))[None, :, None]
    with torch.no_grad():
        whole = network(torch.from_numpy(frames)[None], pitch, torch.ones(1), network.zero_state())[0][0]
        for start in range(0, len(frames), chunk):
            piece = torch.from_numpy(frames[None, start : start + chunk])
            out, state = network(piece, pitch[:, start : start + chunk], torch.ones(1), state)
            parts.append(out[0])
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-4, rtol=0.0)


def test_later_frames_change_nothing_earlier(network: Vocoder, frames: Array) -> None:
    changed = frames.copy()
    changed[40:] += 2.0
    np.testing.assert_allclose(run(network, changed)[:40], run(network, frames)[:40], atol=1e-4)
    assert np.abs(run(network, changed)[40:] - run(network, frames)[40:]).max() > 0.1


def test_graph_equals_network_over_500_frames(network: Vocoder) -> None:
    assert float(verify(network, to_graph(network))["onnx_difference"]) <= ALLOWED


def test_graph_holds_the_pulses_phase_while_the_pitch_glides(network: Vocoder, frames: Array) -> None:
    """Over a minute of gliding pitch, the network in one call and the graph frame by frame are never apart."""
    long = np.tile(frames, (20, 1))
    pitch = (200.0 * 2.0 ** np.sin(np.arange(len(long)) / 50.0)).astype(np.float32)
    streamed = Graph(to_graph(network), voicing=1.0).run(long, pitch=pitch)
    np.testing.assert_allclose(streamed[-60:], run(network, long, pitch)[-60:], atol=1e-4)


def test_silence_stays_silence(network: Vocoder) -> None:
    silence = np.full((40, MEL_SPEC.n_mels), SILENCE, np.float32)
    assert np.abs(sound(network, silence, 200.0, 1.0)).max() <= 1e-4  # -80 dB full scale


def test_a_steady_mel_comes_out_at_its_pitch_and_as_loud_as_asked() -> None:
    network, size = Vocoder(MEL_SPEC, channels=16, blocks=1).eval(), 32768
    mel = np.full((160, MEL_SPEC.n_mels), -3.0, np.float32)
    tone, hiss = (sound(network, mel, 220.0, voicing)[20 * HOP :] for voicing in (1.0, 0.0))
    flat, spectrum = (np.abs(np.fft.rfft(x[:size] * np.hanning(size))) for x in (hiss, tone))
    for harmonic in (1, 2, 5, 10):
        place = round(harmonic * 220.0 / RATE * size)
        assert abs(int(np.argmax(spectrum[place - 70 : place + 70])) - 70) <= 1
        assert spectrum[place] > 4.0 * np.sqrt(np.mean(flat[place - 70 : place + 70] ** 2))
    for x in (tone, hiss):
        again = log_mel(torch.from_numpy(x)[None], MEL_SPEC)[0, 10:-4].numpy()
        assert np.median(again[:, 60:]) == pytest.approx(-3.0, abs=0.3)


def test_its_sound_lies_two_hops_back() -> None:
    """A burst of noise in the mel comes out where it was, 512 samples after the hop that held it."""
    network = Vocoder(MEL_SPEC, channels=16, blocks=1).eval()
    x = np.zeros(100 * HOP, np.float32)
    x[50 * HOP : 52 * HOP] = np.random.default_rng(440).standard_normal(2 * HOP) * 0.1
    mel = log_mel(torch.from_numpy(x)[None], MEL_SPEC)[0].numpy()
    power = sound(network, mel, 200.0, 0.0) ** 2
    centre = np.sum(np.arange(len(power)) * power) / np.sum(power)
    assert centre == pytest.approx(51 * HOP + network.look_ahead * HOP, abs=HOP // 4)


def test_cost_of_both_sizes_is_within_the_plan() -> None:
    small = cost(Vocoder(MEL_SPEC, **read_recipe("vocoder").network).eval())
    full = cost(Vocoder(MEL_SPEC, channels=192, blocks=6, expand=3).eval())
    assert float(small["parameters"]) <= 1e6 < float(full["parameters"]) <= 4e6
    assert 0.1 < float(small["gmac_per_second"]) <= 0.4
    assert float(full["gmac_per_second"]) <= 0.7


def test_window_adds_up_to_one_and_torch_twin_of_the_synthesizer(rng: np.random.Generator) -> None:
    window = vocoder_window(MEL_SPEC).astype(np.float64) * np.roll(MEL_SPEC.analysis_window(), -HOP)
    np.testing.assert_allclose(window.reshape(-1, HOP).sum(0), 1.0, atol=1e-6)
    spectra = rng.standard_normal((20, MEL_SPEC.n_bins, 2)).astype(np.float32)
    synthesizer = Synthesizer(MEL_SPEC, vocoder=True)
    streamed = [synthesizer.process(frame.view(np.complex64)[:, 0]).copy() for frame in spectra]
    twin = overlap_add(torch.from_numpy(spectra)[None], MEL_SPEC)[0].numpy()
    np.testing.assert_allclose(twin, np.concatenate(streamed), atol=1e-5)


def test_true_spectra_give_the_sound_back_two_hops_late(noise: Array) -> None:
    """What the framing alone loses: nothing."""
    x = torch.from_numpy(noise[: 60 * HOP])[None]
    turned = torch.view_as_complex(analyze(x, MEL_SPEC)) * torch.exp(
        0.5j * torch.pi * torch.arange(MEL_SPEC.n_bins)
    )  # a frame begins a hop later
    y = overlap_add(torch.view_as_real(turned.to(torch.complex64)), MEL_SPEC)
    torch.testing.assert_close(y[:, 10 * HOP :], x[:, 8 * HOP : -2 * HOP], atol=1e-5, rtol=0.0)


def test_losses_and_discriminators(rng: np.random.Generator) -> None:
    target, other = torch.from_numpy(rng.standard_normal((2, 2, 12000)).astype(np.float32)) * 0.1
    assert all(float(loss) == 0.0 for loss in spectral_losses(target, target).values())
    silence = torch.zeros(2, 12000, requires_grad=True)
    torch.stack(list(spectral_losses(silence, torch.zeros(2, 12000)).values())).sum().backward()
    assert silence.grad is not None
    assert bool(torch.isfinite(silence.grad).all())  # nothing to learn, and no weight becomes NaN
    made = (0.5 * target).requires_grad_()
    near, far = spectral_losses(made, target), spectral_losses(other * torch.linspace(0, 3, 12000), target)
    assert all(0.0 < float(near[name]) < float(far[name]) for name in near)
    judges = Discriminators()
    real, false = judges(target), judges(made)
    assert float(discriminator_loss(real, false).detach()) == pytest.approx(2.0, abs=0.5)
    losses = adversarial_losses(real, false)
    torch.autograd.backward(sum(losses.values()))  # type: ignore[arg-type]
    assert made.grad is not None
    assert float(made.grad.abs().max()) > 0.0
    assert float(adversarial_losses(real, real)["feature"].detach()) == 0.0


def test_items_are_cut_at_random_levels_by_group() -> None:
    measures = np.stack([np.arange(400.0), np.ones(400)], 1).astype(np.float32)
    clips = [Clip(name, name, np.full(400 * HOP, 3000, np.int16), measures) for name in ("a", "b")]
    stream = iter(ClipStream(clips, {"a": 1.0, "b": 0.0}, [440, 0], 50))
    items = [next(stream) for _ in range(6)]
    assert {tuple(x.shape) for item in items for x in item} == {(50 * HOP,), (50, 2)}
    assert len({round(float(samples[0]), 4) for samples, _ in items}) == 6
    assert all(torch.all(m[1:, 0] - m[:-1, 0] == 1.0) for _, m in items)
    with pytest.raises(ParameterError, match=r"no prepared recording is longer than 2\.7 s"):
        ClipStream(clips, {"a": 1.0, "b": 1.0}, [440, 0], 500)


def test_comparison_of_a_sound_with_itself_and_with_less() -> None:
    voice = speak(5, 1.5, 150.0)
    same, worse = compare(voice, voice, MEL_SPEC, True), compare(voice, voice * 0.5, MEL_SPEC, False)
    assert same["lsd_db"] == same["mel_distance"] == same["mcd_db"] == same["pitch_cents"] == 0.0
    assert same["pesq"] > 4.5
    assert same["stoi"] == pytest.approx(1.0)
    assert worse["lsd_db"] == pytest.approx(6.02, abs=0.1)
    assert worse["mcd_db"] < 3.0  # a level is no cepstral distance, but for what falls below the floor
    assert "| x | 1 |  |" in table({"x": {"a": 1.0}, "y": {"b": 2.0}})
    clip = Clip(
        "g", "n", np.tile((voice * 20000).astype(np.int16), 8), np.zeros((8 * len(voice) // HOP, 2), np.float32)
    )
    pieces = choose([clip, clip])
    assert pieces
    assert {len(piece) for piece in pieces} == {round(evaluate_vocoder.SECONDS * RATE)}


RECIPE = """
name = "tiny-vocoder"
title = "Tiny vocoder"
model = "vocoder"
seed = 440
[sources]
join = { "voice-spoken" = ["voice/anna/*"], "voice-sung" = ["voice/anna/*"], "violin" = ["voice/anna/*"] }
[pairs]
minutes = { "voice/anna/*" = 0.1 }
stretch_s = 3.0
[clips]
groups = { "voice-spoken" = 1.0, "voice-sung" = 1.0, "violin" = 1.0, "scream" = 1.0 }
held_s = 1.6
[losses]
judged_from = 1
[network]
channels = 8
blocks = 1
[training]
batch = 2
steps = 2
learning_rate = 1e-3
"""


@pytest.mark.slow
def test_prepare_train_export_and_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder of voices to a model file whose figures are measured, with the command line."""
    monkeypatch.setattr(task.ClipTraining, "frames", 60)
    write_reader(tmp_path, monkeypatch)
    (tmp_path / "tiny-vocoder.toml").write_text(RECIPE)
    common = [str(tmp_path / "tiny-vocoder.toml"), "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    model = tmp_path / "tiny-vocoder.onnx"
    data = ["--data", str(tmp_path / "data")]
    assert main(["prepare", *common, *data]) == 0
    cpu = ["--accelerator", "cpu", "--workers", "0", "--validate-every", "2"]
    assert main(["train", *common, *cpu]) == 0
    first = newest_checkpoint(tmp_path / "runs" / "tiny-vocoder")
    assert read_checkpoint(first)["global_step"] == 2
    assert main(["train", *common, *cpu, "--resume", str(first), "--steps", "3"]) == 0
    assert read_checkpoint(newest_checkpoint(tmp_path / "runs" / "tiny-vocoder"))["global_step"] == 3
    assert main(["export", *common, "--model", str(model)]) == 0
    pictures = ["--pictures", str(tmp_path / "pictures")]
    assert main(["evaluate", *common, *data, "--model", str(model), "--write", *pictures]) == 0
    printed = capsys.readouterr().out
    manifest = read_manifest(model)
    assert (manifest.role, manifest.look_ahead, manifest.conditions) == ("vocoder", 2, ("pitch", "voicing"))
    assert {"pesq", "stoi", "lsd_db", "mcd_db", "pitch_cents", "voicing_error", "violin_mel_distance"} <= set(
        manifest.metrics
    )
    assert float(manifest.metrics["silence_peak_db"]) <= -80.0
    for kind in ("voice", "singing", "scream", "violin"):
        assert all(f"| {kind}, {way} |" in printed for way in ("tiny-vocoder", "live Griffin-Lim", "librosa 2"))
        assert (tmp_path / "pictures" / f"tiny-vocoder-{kind}.png").stat().st_size > 10_000
    voice = speak(60, 1.2)
    assert vocode(load_model(model), voice).shape == voice.shape


def test_the_recipe_holds_nothing_that_may_not_be_shipped() -> None:
    recipe = read_recipe("vocoder")
    assert sum(recipe.clips.groups.values()) == pytest.approx(1.0)
    groups = {source.group for source in recipe.sources} | {"scream"}
    assert set(recipe.clips.groups) == groups
    assert recipe.model == "magnitudes"

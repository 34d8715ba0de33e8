"""`accompany`: the network, the duets it learns from, and the way from a folder to a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from stirring import stirred
from torch import Tensor

from export.__main__ import main
from export.evaluate_accompany import beat_strength, in_key, log_mel_distance, seconds_db
from export.networks.accompany import CONTROLS, FALL, HANDS, HINTS, JUMPERS, MADE, MODES, TONES, Accompany
from export.networks.band_unet import SEEN
from export.recipe import read_recipe
from export.recordings.beat import find_beat
from export.recordings.duets import Duet, Duets
from export.recordings.library import RATE, Library
from export.recordings.mixes import MixRecipe
from export.recordings.songs import KEYS, compose
from export.spectra import analyze, synthesize
from export.tasks.accompany import REUSED, AccompanyTraining, moments_apart, training_item
from export.to_onnx import cost, to_graph
from export.verify import ALLOWED, verify
from rtvox.errors import ParameterError
from rtvox.features import Array, FeatureSpec
from rtvox.model_file import read_manifest

SPEC = FeatureSpec()
RECIPE = """
name = "tiny"
title = "Tiny accompaniment"
model = "accompany"
seed = 440
[sources.each]
vocals = ["stems/*/vocals.*"]
stems = ["stems/*/drums.*"]
bands = ["bands/*/*"]
voice-sung = ["singing/*"]
[made]
seconds = 8.0
[mix]
seconds = 2.0
hold_out = ["held"]
[network]
channels = [4, 6, 8]
hidden = [0, 4, 8]
recurrent = 1
[training]
batch = 2
steps = 2
learning_rate = 1e-3
"""


@pytest.fixture
def network() -> Accompany:
    """A narrow network with weights that are far from their quiet start."""
    net = stirred(Accompany, SPEC, amount=0.1, channels=(4, 6, 8), hidden=(0, 4, 8), recurrent=1)
    net.begin_with(torch.full((net.bands,), 0.5), torch.full((net.bands,), 0.3))
    return net


@torch.no_grad()
def run(network: Accompany, frames: Tensor, controls: dict[str, float] | None = None, chunk: int = 10**6) -> Tensor:
    given = {c.name: c.default for c in CONTROLS} | (controls or {})
    values = [torch.tensor([value]) for value in given.values()]
    state, parts = network.zero_state(), []
    for piece in torch.split(frames, chunk, 1):
        part, state = network(piece, *values, state)
        parts.append(part)
    return torch.cat(parts, 1)


@pytest.fixture
def voice(glottal: Array) -> Tensor:
    """Two seconds of a buzz, then silence to the fourth: (1, T, K, 2)."""
    sound = np.zeros(4 * RATE, np.float32)
    sound[: 2 * RATE] = np.resize(glottal, 2 * RATE)
    return analyze(torch.from_numpy(sound)[None], SPEC)


class TestNetwork:
    @pytest.mark.parametrize("chunk", [1, 7])
    def test_chunks_equal_the_whole(self, network: Accompany, voice: Tensor, chunk: int) -> None:
        frames = voice[:, :60]
        told = {"tempo": 171.0, "key": 4.0, "voice": 0.3}
        torch.testing.assert_close(run(network, frames, told, chunk), run(network, frames, told), atol=1e-4, rtol=0)

    def test_graph_equals_network_over_500_frames(self, network: Accompany) -> None:
        assert float(verify(network, to_graph(network))["onnx_difference"]) <= ALLOWED

    def test_silence_stays_silent(self, network: Accompany) -> None:
        assert not run(network, torch.zeros(1, 40, SPEC.n_bins, 2)).any()

    def test_voice_is_mixed_back(self, network: Accompany, voice: Tensor) -> None:
        alone, both = (run(network, voice[:, :80], {"voice": amount}) for amount in (0.0, 1.0))
        torch.testing.assert_close(both - alone, voice[:, :80], atol=1e-4, rtol=0)
        assert alone.abs().max() > 0.1

    def test_music_fades_after_the_voice(self, network: Accompany, voice: Tensor) -> None:
        level = run(network, voice, {"voice": 0.0}).square().sum((-1, -2))[0]
        end = 2 * RATE // SPEC.hop + SPEC.n_fft // SPEC.hop
        sung, after, later = (float(level[a:b].mean()) for a, b in ((end - 200, end), (end, end + 40), (-40, None)))
        assert sung > 0.0
        assert after > 1e-2 * sung
        assert later < after

    def test_gate_opens_at_once_and_falls_slowly(self, network: Accompany) -> None:
        level = torch.zeros(1, 1000, 192)
        level[:, :100] = 3.0
        gate, last = network.follow(level, torch.zeros(1, 1))
        assert gate[0, 60] > 0.9
        assert gate[0, 99] > 0.99
        assert gate[0, 999] == pytest.approx(float(gate[0, 99]) * (1.0 - FALL) ** 900, rel=1e-3)
        assert last == gate[:, -1]

    def test_clock_beats(self, network: Accompany) -> None:
        beats, last = network.clock(torch.tensor([120.0]), torch.zeros(1), torch.zeros(1, 1), 750)  # 4 s, 8 beats
        assert float(beats.max()) < 4.0
        assert float(last) == pytest.approx(0.0, abs=1e-3) or float(last) == pytest.approx(4.0, abs=1e-3)
        held, _ = network.clock(torch.tensor([120.0]), torch.ones(1), torch.ones(1, 1), 10)
        assert not held.any()

    def test_hints_are_silent_where_none_is_given(self, network: Accompany) -> None:
        none = torch.zeros(1, 5, 1)
        assert not network.hints(none + 1.3, none, none).any()
        tonics, scale = network.hints(none, none, none + KEYS.index("A") + 13.0)[0, HANDS:, 0]
        a, c, eb = (round(880.0 * 2 ** (up / 12) * SPEC.n_fft / SPEC.sample_rate) for up in (0, 3, 6))
        assert tonics[a] > 0.5
        assert tonics[c] == tonics[eb] == 0.0
        assert scale[c] > 0.5 > 0.1 > scale[eb]

    def test_keeps_to_the_key_that_is_set(self, network: Accompany, voice: Tensor) -> None:
        """Tones alone, without noise: what they are is the bank's affair, whatever the weights say."""
        split = network.split
        network.split = lambda made: (split(made)[0], 0.0 * made[:, 1], split(made)[2])  # type: ignore[method-assign]
        key = float(KEYS.index("Eb") + 1 + 12 * MODES.index("minor"))
        free, kept = (
            in_key(synthesize(run(network, voice, {"voice": 0.0, "key": k}), SPEC)[0].numpy(), key) for k in (0.0, key)
        )
        assert kept > 0.9 > 0.7 > free

    def test_a_tone_is_wanted_as_a_tone_and_noise_as_noise(self, network: Accompany, noise: Array) -> None:
        hz = 1010.0
        tone = np.sin(2.0 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)
        band = round(hz * SPEC.n_fft / SPEC.sample_rate)
        level, noisy, stray = network.wanted(analyze(torch.from_numpy(tone)[None], SPEC))[0, :, 20:, band]
        assert noisy.max() < 0.05
        np.testing.assert_allclose(stray, hz * SPEC.n_fft / SPEC.sample_rate - band, atol=0.02)
        hiss = network.wanted(analyze(torch.from_numpy(noise[: RATE // 256 * 256])[None], SPEC))[0, :, 20:]
        assert hiss[1].mean() > 0.5
        assert level.min() > hiss[0].mean()

    def test_what_is_wanted_sounds_like_what_it_was_taken_from(self, network: Accompany, noise: Array) -> None:
        """A tone between two bins comes back at its pitch, and it and a noise about as loud as they were."""
        network.split = lambda made: tuple(made.unbind(1))  # type: ignore[method-assign,return-value,assignment]
        state = torch.ones(1, 1, 1), torch.zeros(1), torch.zeros(1, TONES), torch.zeros(1, JUMPERS)
        hz = 880.0
        tone = 0.3 * np.sin(2.0 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)
        hiss = analyze(torch.from_numpy(0.1 * noise[: RATE // 256 * 256])[None], SPEC)
        again = network.sound(network.wanted(hiss), *state)[0]
        loudness = [float(synthesize(x, SPEC)[0, RATE // 2 :].square().mean().log10()) for x in (again, hiss)]
        assert loudness[0] == pytest.approx(loudness[1], abs=0.1)
        spectra = analyze(torch.from_numpy(tone)[None], SPEC)
        music = network.sound(network.wanted(spectra), *state)[0]
        band = round(hz * SPEC.n_fft / SPEC.sample_rate)
        made, real = (torch.view_as_complex(x.contiguous())[0, 40:, band] for x in (music, spectra))
        turn = torch.angle(made[1:] * made[:-1].conj()) - torch.angle(real[1:] * real[:-1].conj())
        assert float(turn.abs().mean()) < 0.05
        np.testing.assert_allclose(made.abs(), real.abs(), rtol=0.1)

    def test_cost_is_within_the_plan(self) -> None:
        found = cost(Accompany(SPEC, **read_recipe("accompany").network))
        assert float(found["gmac_per_second"]) < 0.7


@pytest.fixture
def data(tmp_path: Path, glottal: Array, rng: np.random.Generator) -> Path:
    """Two recorded songs and a made one, of eight seconds."""
    n = 8 * RATE
    voice, drums = np.resize(glottal, n), rng.standard_normal(n) * np.exp(-(np.arange(n) % (RATE // 2)) / 2e3) * 0.3
    seed, style = 101, "rock"
    for name, sound in (
        ("stems/one/vocals", voice),
        ("stems/one/drums", drums),
        ("stems/held/vocals", voice),
        ("stems/held/drums", drums),
        (f"singing/somebody-{seed}", voice),
        (f"bands/{style}-{seed}/drums", drums),
    ):
        path = tmp_path / "data" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(sound, -1.0, 1.0), RATE)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    assert (
        main(
            [
                "prepare",
                str(tmp_path / "tiny.toml"),
                "--data",
                str(tmp_path / "data"),
                "--cache",
                str(tmp_path / "cache"),
            ]
        )
        == 0
    )
    return tmp_path


class TestDuets:
    def test_are_seeded_and_tell_what_is_known(self, data: Path) -> None:
        recipe = read_recipe(str(data / "tiny.toml"))
        duets = Duets(Library(data / "cache"), recipe.mix, recipe.made.seconds)
        first, again = (duets.draw_duet(np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(first.voice, again.voice)
        rng = np.random.default_rng(1)
        drawn = [duets.draw_duet(rng) for _ in range(40)]
        song = compose(101, "rock", 8.0)
        tonic, mode = song.key.split()
        assert {bool(duet.key) for duet in drawn} == {bool(duet.tempo) for duet in drawn} == {False, True}
        for duet in drawn:
            recorded = not duet.key
            up = round(12.0 * np.log2(duet.tempo / (120.0 if recorded else song.bpm))) if duet.tempo else 0
            known = 120.0 if recorded else song.bpm
            assert duet.tempo == pytest.approx(known * 2.0 ** (up / 12.0), rel=1e-3) or not duet.tempo
            if duet.key and duet.tempo:  # higher by as many semitones as it is faster
                assert duet.key == 1 + (KEYS.index(tonic) + up) % 12 + 12 * (mode != "major")
        assert all(len(d.voice) == len(d.music) == 2 * RATE and np.abs(d.voice).max() <= 1.0 for d in drawn)

    def test_songs_without_both_are_named(self, data: Path) -> None:
        with pytest.raises(ParameterError, match="both vocals and stems"):
            Duets(Library(data / "cache"), MixRecipe(hold_out=("one", "held", "101")), 8.0)


@pytest.mark.parametrize("bpm", [89.0, 132.0])
def test_beat_of_drums_is_found(bpm: float, rng: np.random.Generator) -> None:
    """Hits on all eighths, a kick at the first beat of each bar, which is half a second late."""
    beats = (np.arange(60 * RATE) / RATE - 0.5) * bpm / 60.0
    hits = rng.standard_normal(len(beats)) * np.exp(-20.0 * (beats % 0.5)) * (beats > 0.0)
    kick = np.sin(2.0 * np.pi * 50.0 * np.arange(len(beats)) / RATE) * np.exp(-8.0 * (beats % 4.0)) * (beats > 0.0)
    found, first = find_beat((0.2 * hits + 0.5 * kick).astype(np.float32))
    assert found == pytest.approx(bpm, abs=0.01)
    bar = 4.0 * 60.0 / bpm * RATE
    assert abs((first - 0.5 * RATE + bar / 2.0) % bar - bar / 2.0) < 0.01 * RATE
    assert find_beat(np.zeros(10 * RATE, np.float32)) == (0.0, 0.0)
    assert find_beat(rng.standard_normal(30 * RATE).astype(np.float32)) == (0.0, 0.0)


def test_item_counts_only_where_music_follows_a_voice(network: Accompany, glottal: Array, noise: Array) -> None:
    voice = np.zeros(RATE // 256 * 256, np.float32)
    item = training_item(Duet(voice, noise[: len(voice)], 120.0, 1.0, 3.0), network)
    assert item.shape == (SEEN + HINTS + MADE + 1, len(voice) // 256, 192)
    assert not item[-1].any()
    assert item[SEEN : SEEN + HINTS].any()


def test_losses_are_small_for_what_is_wanted(data: Path, network: Accompany) -> None:
    training = AccompanyTraining(read_recipe(str(data / "tiny.toml")), data / "cache")
    stream = iter(training.stream(1, 0, 1))
    items = torch.stack([next(stream) for _ in range(REUSED + 1)][::REUSED])
    far = training.losses(items)
    wanted = items[:, SEEN + HINTS : -1]
    training.network.split = lambda made: tuple(wanted.unbind(1))  # type: ignore[method-assign,return-value,assignment]
    near = training.losses(items)
    for name in ("level", "noisy", "stray", "mean", "deviation"):
        assert float(near[name]) < 1e-6 < float(far[name])


def test_moments_see_what_moves_and_only_where_music_plays(rng: np.random.Generator) -> None:
    still, moving = torch.zeros(1, 256, 16), torch.from_numpy(rng.standard_normal((1, 256, 16)).astype(np.float32))
    moving[:, 128:] += 10.0
    gate = (torch.arange(256) < 128).float()[None, :, None].expand(1, 256, 16)
    found = moments_apart(moving, still, gate)
    assert 0.2 < found["deviation"] < 1.0
    together = moving[..., :1].expand(1, 256, 16)  # as lively in each band, livelier as a whole
    assert moments_apart(together, still, gate)["deviation"] > 1.3 * found["deviation"]
    assert moments_apart(still + 1.0, still, gate) == {"mean": pytest.approx(1.0, abs=1e-4), "deviation": 0.0}
    assert not any(moments_apart(moving, moving, gate).values())


def test_beat_and_key_are_found_where_they_are(rng: np.random.Generator) -> None:
    time = np.arange(6 * RATE) / RATE
    clicks = (rng.standard_normal(len(time)) * np.exp(-30.0 * (time % 0.5))).astype(np.float32)
    assert beat_strength(clicks, 120.0) > 0.5 > 0.1 > abs(beat_strength(clicks, 97.0))
    pitches = 220.0 * 2 ** (np.array([0, 3, 7]) / 12)
    chord = np.sin(2.0 * np.pi * pitches[:, None] * time).sum(0).astype(np.float32)
    assert in_key(chord, KEYS.index("A") + 13.0) > 0.95
    assert in_key(chord, KEYS.index("A") + 1.0) < 0.75


def test_distance_is_that_of_the_balance(noise: Array, glottal: Array) -> None:
    voice = np.resize(glottal, 4 * RATE).astype(np.float32)
    hiss = np.resize(noise, 4 * RATE).astype(np.float32)
    assert log_mel_distance(hiss, hiss, voice) == pytest.approx(0.0, abs=1e-3)
    assert log_mel_distance(voice, hiss, voice) > 1.0
    assert len(seconds_db(voice)) == 4


def test_from_a_folder_to_a_model_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, cache, runs, model = (str(data / name) for name in ("tiny.toml", "cache", "runs", "tiny.onnx"))
    common = [recipe, "--cache", cache, "--runs", runs]
    assert main(["train", *common, "--accelerator", "cpu", "--workers", "0", "--validate-every", "2"]) == 0
    assert main(["export", *common, "--model", model]) == 0
    assert main(["evaluate", *common, "--model", model, "--pictures", str(data / "pictures"), "--write"]) == 0
    figures = read_manifest(Path(model)).metrics
    assert {"distance_part", "sung_db", "real_db", "peak", "silence_peak"} <= set(figures)
    assert figures["silence_peak"] == 0.0
    assert (data / "pictures" / "accompany-held.png").stat().st_size > 10_000
    assert "distance_part" in capsys.readouterr().out

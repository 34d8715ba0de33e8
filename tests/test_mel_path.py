"""The mel path as a whole: chains, controls, delays, and changes while sound runs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from conftest import write_mel, write_tiny
from playing import HOP, RATE, Player, play, roughness, wait_for

from rtvox.bench import measure, measure_delay
from rtvox.chain import build_chain
from rtvox.convert import Job, convert_file
from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.errors import ParameterError, RtvoxError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.file_device import PushDevice, convert_array
from rtvox.model_file import read_manifest
from rtvox.report import models_table
from rtvox.synthesis import algorithmic_delay

AUTO, INPUT_PHASE, GRIFFIN_LIM = 0.0, 1.0, 2.0  # choices of `resynthesis`
FREE, INPUT = 0.0, 1.0  # of `phase`
CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def error_db(y: Array, x: Array) -> float:
    return float(10.0 * np.log10(np.sum((y - x) ** 2, dtype=np.float64) / np.sum(x**2, dtype=np.float64)))


def log_spectra(x: Array) -> Array:
    frames = np.lib.stride_tricks.sliding_window_view(x, 1024)[::512] * np.hanning(1024)
    return np.asarray(np.abs(np.fft.rfft(frames)))


# -- what comes out --


@pytest.mark.parametrize(
    ("settings", "mark"),
    [
        ({"resynthesis": INPUT_PHASE}, -35.0),
        ({"phase": INPUT}, -28.0),
        ({"phase": INPUT, "look_ahead": 3.0}, -28.0),
    ],
    ids=str,
)
def test_on_the_inputs_phase_an_identity_gives_the_voice_back(
    settings: dict[str, float], mark: float, mel_model_path: Path, music: Array
) -> None:
    y = convert_array(music, RATE, mel_model_path, {"ceiling": 0.0, **settings})
    assert error_db(y, music) <= mark


@pytest.mark.parametrize(("look_ahead", "mark"), [(-2, -8.0), (-1, -9.0), (0, -9.0), (3, -9.0)])
def test_from_mel_alone_its_spectrum_comes_back(look_ahead: int, mark: float, music: Array) -> None:
    settings = {"ceiling": 0.0, "resynthesis": GRIFFIN_LIM, "look_ahead": float(look_ahead)}
    wanted = log_spectra(music)
    assert error_db(log_spectra(convert_array(music, RATE, None, settings)), wanted) <= mark


def test_no_model_with_griffin_lim_is_a_model_that_changes_nothing(mel_model_path: Path, music: Array) -> None:
    x = music[:RATE]
    copied = convert_array(x, RATE, None, {"resynthesis": GRIFFIN_LIM})
    np.testing.assert_array_equal(copied, convert_array(x, RATE, mel_model_path))


def test_a_control_of_the_model_acts(mel_model_path: Path, music: Array) -> None:
    loud, soft = (convert_array(0.1 * music, RATE, mel_model_path, {"level": level}) for level in (0.0, -20.0))
    ratio = np.sqrt(np.mean(soft**2) / np.mean(loud**2))
    assert ratio == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("settings", [{}, {"phase": INPUT}, {"resynthesis": INPUT_PHASE}], ids=str)
def test_silence_in_is_silence_out(settings: dict[str, float], mel_model_path: Path, silence: Array) -> None:
    assert not np.any(convert_array(silence, RATE, mel_model_path, settings))


@pytest.mark.parametrize("block", [1, 64, 333, (1, 700)], ids=str)
def test_any_block_gives_the_same(block: int | tuple[int, ...], mel_model_path: Path, music: Array) -> None:
    x = music[: RATE // 2]
    out, engine = play(x, mel_model_path, block)
    wanted = convert_array(x, RATE, mel_model_path, {"ceiling": 0.0})
    np.testing.assert_array_equal(out[engine.delay :][: len(wanted)], wanted)


def test_files_are_converted_on_both_sides(tmp_path: Path, music: Array) -> None:
    import soundfile

    soundfile.write(tmp_path / "in.wav", np.stack([music, -0.5 * music], 1)[:RATE], RATE)
    result = convert_file(Job(tmp_path / "in.wav", tmp_path / "out.wav"), "none", {"resynthesis": GRIFFIN_LIM})
    assert (result.frames, result.channels) == (RATE, 2)
    y, _ = soundfile.read(tmp_path / "out.wav")
    assert np.sqrt(np.mean(y**2, axis=0)) == pytest.approx(
        np.sqrt(np.mean(music[:RATE] ** 2)) * np.array([1, 0.5]), 0.1
    )


# -- how late --


@pytest.mark.parametrize(
    ("settings", "delay"),
    [
        ({}, 768),
        ({"look_ahead": -2.0}, 512),
        ({"look_ahead": 0.0}, 1024),
        ({"look_ahead": 3.0}, 1792),
        ({"resynthesis": INPUT_PHASE}, 1024),
        ({"resynthesis": INPUT_PHASE, "look_ahead": 3.0}, 1024),
    ],
    ids=str,
)
def test_the_delay_is_what_is_stated(settings: dict[str, float], delay: int, mel_model_path: Path) -> None:
    assert measure_delay(str(mel_model_path), settings, spec=MEL_SPEC) == delay
    engine = Engine(PushDevice(RATE), MEL_SPEC)
    engine.load(mel_model_path)
    for name, value in settings.items():
        engine.set(name, value)
    latency = engine.status().latency
    assert latency.framing + latency.look_ahead == delay


def test_bench_measures_the_chain_that_the_settings_ask_for(mel_model_path: Path, music: Array) -> None:
    settings = {"look_ahead": 0.0}
    bench = measure(str(mel_model_path), settings, music[: RATE // 4], spec=MEL_SPEC, clock="fake")
    assert bench.stated_delay == bench.measured_delay == 1024
    names = [stage.name for stage in bench.stages]
    assert names == ["Analyzer", "LogMel", "OnnxStage tiny-mel", "MelInverse", "GriffinLim", "hop"]


def test_a_networks_look_ahead_comes_on_top(tmp_path: Path) -> None:
    # This network says that it looks ahead by 2 frames, and does not: it answers the newest frame. What the chain
    # holds back for it is seen in the phase, which is that of the frame before the last one.
    path = write_mel(tmp_path / "late.onnx", MEL_SPEC, look_ahead=2)
    manifest = read_manifest(path)
    assert algorithmic_delay(manifest) == 768 + 512
    chain = build_chain(path, MEL_SPEC, "cpu")
    assert (chain.delay, chain.look_ahead) == (768 + 512 - HOP, 512)


def test_the_table_of_models_states_it(mel_model_path: Path) -> None:
    table = models_table({mel_model_path: read_manifest(mel_model_path)})
    assert "mel" in table
    assert "16.0 ms" in table


# -- changes while sound runs --


def test_settings_that_change_the_delay_change_the_chain(mel_model_path: Path) -> None:
    engine = Engine(PushDevice(RATE), MEL_SPEC)
    engine.load(mel_model_path)
    chain = engine._mixer.chain
    engine.set("look_ahead", -1.0)  # as it is
    assert engine._mixer.chain is chain
    engine.set("look_ahead", 3.0)
    assert engine._mixer.chain.delay == chain.delay + 4 * HOP
    engine.set("resynthesis", INPUT_PHASE)
    assert engine._mixer.chain.synthesis == ("input-phase", 0)


def test_a_mask_knows_one_synthesis_only(tmp_path: Path) -> None:
    engine = Engine(PushDevice(RATE))
    engine.set("resynthesis", GRIFFIN_LIM)
    engine.load(write_tiny(tmp_path / "mask.onnx", FeatureSpec()))
    assert engine.status().latency.framing == 512
    chain = engine._mixer.chain
    engine.set("look_ahead", 2.0)
    assert engine._mixer.chain is chain


def test_griffin_lim_without_a_model_needs_its_own_hop() -> None:
    engine = Engine(PushDevice(RATE), FeatureSpec(n_synthesis=256, hop=128))
    with pytest.raises(ParameterError, match="resynthesis=griffin-lim without a model: needs hops of 256, not 128"):
        engine.set("resynthesis", GRIFFIN_LIM)
    assert engine.status().model == "none"


def test_a_change_that_fails_leaves_the_sound_as_it_is(tmp_path: Path, music: Array) -> None:
    path = write_mel(tmp_path / "mel.onnx", MEL_SPEC)
    player = Player(music, path)
    player.play(RATE // 4)
    path.unlink()
    player.engine.set("look_ahead", 3.0)
    wait_for(lambda: bool(player.engine.status().error))
    assert "no such file" in player.engine.status().error
    player.play(RATE // 2)
    assert player.engine.status().latency.framing == 768
    player.stop()


def test_model_to_model_and_back_without_a_gap_or_a_click(tmp_path: Path, mel_model_path: Path, music: Array) -> None:
    """A mask (10.7 ms), a mel model (16 ms), other look-aheads and resyntheses, and back, while music plays."""
    mask = write_tiny(tmp_path / "mask.onnx", FeatureSpec())
    steps = [
        (mel_model_path, {}),
        (mel_model_path, {"look_ahead": 3.0}),
        (mel_model_path, {"resynthesis": INPUT_PHASE}),
        (mel_model_path, {"resynthesis": GRIFFIN_LIM, "look_ahead": -2.0}),
        (mask, {"resynthesis": AUTO}),
    ]
    long = np.tile(music[RATE : 2 * RATE], 6)
    player = Player(long, mask)
    player.engine.set("phase", INPUT)
    for i, (path, settings) in enumerate(steps, 1):
        player.play(i * RATE)
        player.swap(path, **settings)
    player.play(len(steps) * RATE + RATE // 2)
    out, _ = player.stop()
    status = player.engine.status()
    assert (status.misses, status.failed_hops, status.error) == (0, 0, "")
    # The roughest place, where the music begins anew, falls into a fade from Griffin-Lim.
    assert roughness(out) <= 1.001 * roughness(long)


def test_isolate_to_scream_and_back_without_a_gap_or_a_click() -> None:
    """The shipped models at their defaults, on the bundled song; the scream itself may be rougher than the song."""
    song = read_clip(5.0)
    isolate, scream = (CHECKPOINTS / f"{name}.onnx" for name in ("isolate", "scream"))
    player, begin = Player(song, isolate), time.process_time()
    for second, model in enumerate((scream, isolate, scream, isolate), 1):
        player.play(second * RATE)
        player.swap(model)
    player.play(len(song))
    out, _ = player.stop()
    assert time.process_time() - begin < len(song) / RATE  # faster than real time, loading included
    status = player.engine.status()
    assert (status.model, status.misses, status.failed_hops, status.error) == ("isolate", 0, 0, "")
    for second in (1, 2, 3, 4):
        fade = slice(second * RATE, second * RATE + 30 * HOP)  # priming, cross-fade and delays are over by then
        assert 0.0 < roughness(out[fade]) <= roughness(song)


def test_live_changes_are_taken_without_waiting(mel_model_path: Path, music: Array) -> None:
    player = Player(np.tile(music, 10), mel_model_path)
    player.play(RATE // 4)
    engine = player.engine
    for wanted, settings in (
        (1792, {"look_ahead": 3.0}),
        (1024, {"resynthesis": INPUT_PHASE}),
        (768, {"resynthesis": 0.0, "look_ahead": -1.0}),
    ):
        for name, value in settings.items():
            engine.set(name, value)

        def arrived(wanted: int = wanted) -> bool:
            player.play(player.position + 1024)
            return engine.status().latency.framing == wanted

        wait_for(arrived, 20.0)
    assert (engine.status().misses, engine.status().error) == (0, "")
    player.stop()


def test_a_wish_that_is_gone_by_its_turn_is_not_built(mel_model_path: Path) -> None:
    engine = Engine(PushDevice(RATE), MEL_SPEC)
    engine.load(mel_model_path)
    chain = engine._mixer.chain
    with engine._loader._turn:
        engine._keeper.state = "running"  # so that set does not wait
        for look_ahead in (3.0, 0.0, -2.0, -1.0):
            engine.set("look_ahead", look_ahead)
        engine._keeper.state = "stopped"
    with engine._loader._turn:
        pass
    assert engine._mixer.chain is chain


def test_bad_values_are_said(mel_model_path: Path) -> None:
    engine = Engine(PushDevice(RATE), MEL_SPEC)
    for name, value in (("resynthesis", 4.0), ("look_ahead", 4.0), ("iterations", -1.0), ("phase", 0.5)):
        with pytest.raises(RtvoxError, match=name):
            engine.set(name, value)

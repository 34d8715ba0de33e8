"""The neural vocoder in the runtime: chains of two networks, delays, changes while sound runs, and what may be wrong.

The vocoder is one that is made here (`made_vocoder.py`); what the shipped one sounds like is measured elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import write_mel, write_tiny
from made_vocoder import ECHO, write_vocoder
from playing import HOP, RATE, Player, play, roughness, wait_for
from vocoder_stream import MARK, VOCODER, compare

from rtvox.__main__ import main
from rtvox.bench import measure, measure_delay
from rtvox.chain import build_chain
from rtvox.demo import read_clip
from rtvox.engine import Engine
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import MEL_SPEC, Array, FeatureSpec
from rtvox.file_device import PushDevice, convert_array
from rtvox.model_file import read_manifest
from rtvox.osc_commands import Commands
from rtvox.report import find_models, models_table
from rtvox.session import Session
from rtvox.synthesis import algorithmic_delay

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
INPUT_PHASE, GRIFFIN_LIM, CHOSEN = 1.0, 2.0, VOCODER["resynthesis"]
DELAY = 768  # samples: the hop, and two frames


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_vocoder(tmp_path_factory.mktemp("made") / "vocoder.onnx").read_bytes()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, written: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a vocoder, which is the only one where models are looked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rtvox.model_file.__file__", str(tmp_path / "nowhere" / "rtvox" / "x.py"))
    monkeypatch.setenv("RTVOX_MODELS", str(tmp_path))
    (tmp_path / "vocoder.onnx").write_bytes(written)
    return tmp_path


def copied(x: Array, model: str | Path | None = None, **settings: float) -> Array:
    return convert_array(x, RATE, model, {**VOCODER, **settings})


def new_engine(spec: FeatureSpec = MEL_SPEC) -> Engine:
    return Engine(PushDevice(RATE), spec)


# -- what comes out --


@pytest.mark.parametrize("look_ahead", [None, 2])
def test_a_stream_is_what_the_whole_signal_gives(look_ahead: int | None, folder: Path, glottal: Array) -> None:
    model = "none" if look_ahead is None else str(write_mel(folder / "mel.onnx", MEL_SPEC, look_ahead=look_ahead))
    parts = list(compare(glottal, 5, 1.0, model))
    assert max(part.drift for part in parts) <= 1e-5 < MARK
    assert np.ptp([part.dc for part in parts]) <= 1e-3
    assert np.ptp([part.rms_db for part in parts]) < 0.5
    assert parts[0].rms_db > -40.0
    assert parts[-1].states["vocoder before"] <= 1.1 * parts[0].states["vocoder before"] > 0.0


def test_so_it_is_with_the_shipped_ones(monkeypatch: pytest.MonkeyPatch, silence: Array) -> None:
    monkeypatch.setenv("RTVOX_MODELS", str(CHECKPOINTS))
    parts = list(compare(0.2 * read_clip(3.0), 2, 1.5, "scream"))
    assert max(part.drift for part in parts) <= 1e-5
    assert max(abs(part.dc) for part in parts) <= 1e-3
    assert np.abs(copied(silence[: RATE // 2])).max() <= 1e-4  # -80 dB


@pytest.mark.parametrize("block", [64, (1, 700)], ids=str)
def test_any_block_gives_the_same(block: int | tuple[int, ...], mel_model_path: Path, music: Array) -> None:
    x = music[: RATE // 4]
    out, engine = play(x, mel_model_path, block, **VOCODER)
    np.testing.assert_array_equal(out[engine.delay :][: len(x)], copied(x, mel_model_path))


def test_no_model_is_a_model_that_changes_nothing(mel_model_path: Path, music: Array) -> None:
    np.testing.assert_array_equal(copied(music[:RATE]), copied(music[:RATE], mel_model_path))


def test_the_vocoder_is_told_of_the_frame_that_it_gets(folder: Path, glottal: Array) -> None:
    """A converter that looks ahead by 3 frames gives out old frames; voicing, which makes it louder, is as old."""
    x = np.concatenate([np.zeros(RATE // 2, np.float32), glottal[: RATE // 2]])
    chain = build_chain(write_mel(folder / "mel.onnx", MEL_SPEC, look_ahead=3), MEL_SPEC, "cpu", VOCODER)
    _, listener, *_ = chain.pipeline.stages  # type: ignore[attr-defined]
    converter, vocoder = chain.networks
    voiced = []
    for hop in x[: len(x) // HOP * HOP].reshape(-1, HOP):
        chain.process(hop, hop, None)
        voiced.append((listener.now[1], vocoder.told[1]))
    now, told = np.array(voiced).T
    assert converter.told is not vocoder.told
    assert now.max() == 1.0
    np.testing.assert_array_equal(told[3:], now[:-3])


def test_a_control_of_the_model_acts_through_the_vocoder(mel_model_path: Path, music: Array) -> None:
    loud, soft = (copied(0.1 * music[:RATE], mel_model_path, level=level) for level in (0.0, -20.0))
    assert np.sqrt(np.mean(soft**2) / np.mean(loud**2)) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("with_model", [False, True])
def test_silence_in_is_silence_out(with_model: bool, mel_model_path: Path, silence: Array) -> None:
    assert not np.any(copied(silence, mel_model_path if with_model else None))


def test_reset_makes_both_networks_new(mel_model_path: Path, music: Array) -> None:
    chain = build_chain(mel_model_path, MEL_SPEC, "cpu", VOCODER)
    hops = music[: 100 * HOP].reshape(-1, HOP)
    first = [chain.process(hop, hop, None)[0].copy() for hop in hops]
    chain.reset()
    np.testing.assert_array_equal(first, [chain.process(hop, hop, None)[0].copy() for hop in hops])


def test_faults_of_both_networks_are_counted(mel_model_path: Path) -> None:
    chain = build_chain(mel_model_path, MEL_SPEC, "cpu", VOCODER)
    for network in chain.networks:
        network.process(np.full(MEL_SPEC.n_mels, np.nan, np.float32))
    assert chain.faults == (2, 0)
    assert not np.any(chain.pipeline.process(np.zeros(HOP, np.float32)))


def test_files_are_copied_from_the_command_line(music: Array, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("in.wav", music[:RATE], RATE, "FLOAT")
    assert main(["convert", "in.wav", "out.wav", "--model", "none", "--set", "resynthesis=vocoder"]) == 0
    y, rate = soundfile.read("out.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(y, convert_array(music[:RATE], RATE, None, {"resynthesis": CHOSEN}), atol=1e-6)


# -- how late --


@pytest.mark.parametrize(("look_ahead", "delay"), [(None, DELAY), (0, DELAY), (2, DELAY + 512)])
def test_a_click_comes_out_where_the_delay_says(look_ahead: int | None, delay: int, folder: Path) -> None:
    # This network says that it looks ahead, and does not: its frames come early, by as much as it says.
    path = None if look_ahead is None else write_mel(folder / "mel.onnx", MEL_SPEC, look_ahead=look_ahead)
    early = (look_ahead or 0) * HOP
    x = np.zeros(RATE, np.float32)
    x[100 * HOP] = 0.5  # in the middle of a frame, where the vocoder's pulse is
    out, engine = play(x, path, HOP, **VOCODER)
    latency = engine.status().latency
    assert latency.framing + latency.look_ahead == delay
    heard = int(np.abs(out).argmax()) - 100 * HOP - latency.prefill
    assert heard == pytest.approx(delay - early, abs=2)  # the window leans on the pulse


@pytest.mark.parametrize(("look_ahead", "delay"), [(-1, DELAY), (3, DELAY + 4 * HOP)])
def test_a_vocoder_that_leaves_phases_to_griffin_lim_may_be_given_time(
    look_ahead: int, delay: int, glottal: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTVOX_MODELS", str(CHECKPOINTS))
    chain = build_chain(None, MEL_SPEC, "cpu", {**VOCODER, "look_ahead": float(look_ahead)})
    assert HOP + chain.delay == delay
    assert len(copied(glottal, look_ahead=float(look_ahead))) == len(glottal)


def test_a_model_whose_choice_it_is_needs_no_setting(folder: Path, music: Array) -> None:
    path = write_mel(folder / "mel.onnx", MEL_SPEC, resynthesis="vocoder", look_ahead=1)
    assert algorithmic_delay(read_manifest(path)) == DELAY + HOP
    assert algorithmic_delay(read_manifest(folder / "vocoder.onnx")) == DELAY
    engine = new_engine()
    engine.load(path)
    assert engine._mixer.chain.synthesis == ("vocoder", -1)
    assert "21.3 ms" in models_table(find_models()[0]).splitlines()[1]


def test_bench_shows_every_stage_and_hears_the_delay(mel_model_path: Path, music: Array) -> None:
    bench = measure(str(mel_model_path), VOCODER, music[: RATE // 4], spec=MEL_SPEC, clock="fake")
    names = [stage.name for stage in bench.stages]
    assert names == [
        *("Analyzer", "Listener", "LogMel", "OnnxStage tiny-mel", "OnnxStage vocoder", "Synthesizer", "hop")
    ]
    assert bench.stated_delay == DELAY
    # the vocoder's pulse, and its echo a hop later
    assert bench.measured_delay == pytest.approx(DELAY + HOP * ECHO / (1.0 + ECHO), abs=30)
    assert measure_delay("none", {**VOCODER, "mute": 1.0}, spec=FeatureSpec()) is None


# -- changes while sound runs --


def test_every_resynthesis_after_another_without_a_gap_or_a_click(
    folder: Path, mel_model_path: Path, music: Array
) -> None:
    mask = write_tiny(folder / "mask.onnx", FeatureSpec())
    steps = [(mel_model_path, kind) for kind in (INPUT_PHASE, GRIFFIN_LIM, CHOSEN, GRIFFIN_LIM, CHOSEN, INPUT_PHASE)]
    steps += [(mask, CHOSEN), (mel_model_path, CHOSEN), (None, CHOSEN), (None, 0.0)]
    long = np.tile(music[RATE : 2 * RATE], len(steps) + 1)
    player = Player(long, mask)
    player.engine.set("phase", 1.0)
    for i, (path, kind) in enumerate(steps, 1):
        player.play(i * RATE // 2)
        chain = build_chain(path, FeatureSpec(), "cpu", {"resynthesis": kind})
        player.engine.params.join(chain.controls)
        player.engine.params.set("resynthesis", kind)
        chain.warm_up()
        chain.settle(player.engine.params)
        player.engine._mixer.pending = chain  # what load and set do, at a place that a test can know
    player.play((len(steps) + 2) * RATE // 2)
    out, _ = player.stop()
    status = player.engine.status()
    assert (status.misses, status.failed_hops, status.error) == (0, 0, "")
    assert roughness(out) <= roughness(long)


def test_it_is_a_live_control(mel_model_path: Path, music: Array) -> None:
    player = Player(np.tile(music, 20), mel_model_path)
    player.play(RATE // 4)
    engine = player.engine
    for kind, name in ((CHOSEN, "vocoder"), (INPUT_PHASE, "input-phase"), (CHOSEN, "vocoder"), (0.0, "griffin-lim")):
        engine.set("resynthesis", kind)

        def arrived(name: str = name) -> bool:
            player.play(player.position + 1024)
            return engine._mixer.chain.synthesis[0] == name

        wait_for(arrived, 20.0)
    status = engine.status()
    assert (status.misses, status.failed_hops, status.error) == (0, 0, "")
    player.stop()


def test_a_mask_passes_over_it(folder: Path) -> None:
    engine = Engine(PushDevice(RATE))
    engine.load(write_tiny(folder / "mask.onnx", FeatureSpec()))
    chain = engine._mixer.chain
    engine.set("resynthesis", CHOSEN)
    assert engine._mixer.chain is chain


# -- what may be wrong --


def test_without_a_vocoder_one_line_says_so_and_the_sound_goes_on(
    folder: Path, mel_model_path: Path, music: Array
) -> None:
    (folder / "vocoder.onnx").unlink()
    player = Player(music, mel_model_path)
    player.play(RATE // 4)
    chain = player.engine._mixer.chain
    player.engine.set("resynthesis", CHOSEN)
    wait_for(lambda: bool(player.engine.status().error))
    assert player.engine.status().error == (
        f"resynthesis=vocoder: model 'vocoder': not found in {folder}: needs a name that `rtvox models` lists, or a "
        "path; or another resynthesis"
    )
    player.play(RATE // 2)
    assert player.engine._mixer.chain is chain
    assert player.engine.params["resynthesis"] == 0.0  # as it sounds
    player.stop()
    with pytest.raises(ModelFileError, match="resynthesis=vocoder: model 'vocoder': not found"):
        convert_array(music[:HOP], RATE, None, VOCODER)


def test_a_vocoder_of_other_frames_is_refused(folder: Path, mel_model_path: Path) -> None:
    write_vocoder(folder / "vocoder.onnx", FeatureSpec(n_fft=1024, n_synthesis=1024, n_mels=80))
    with pytest.raises(ModelFileError, match=r"vocoder\.onnx: takes frames of n_mels=80, .*mel\.onnx gives 128: needs"):
        build_chain(mel_model_path, MEL_SPEC, "cpu", VOCODER)


def test_a_vocoder_of_another_hop_is_refused(folder: Path) -> None:
    write_vocoder(folder / "vocoder.onnx", FeatureSpec(n_fft=512, n_synthesis=512, hop=128))
    with pytest.raises(ParameterError, match="resynthesis=vocoder without a model: needs hops of 128, not 256"):
        build_chain(None, FeatureSpec(), "cpu", VOCODER)


def test_what_is_called_vocoder_must_be_one(folder: Path, mel_model_path: Path) -> None:
    write_mel(folder / "vocoder.onnx", MEL_SPEC)
    with pytest.raises(ModelFileError, match=r"vocoder\.onnx: is of role mel: resynthesis=vocoder needs role vocoder"):
        build_chain(mel_model_path, MEL_SPEC, "cpu", VOCODER)


@pytest.mark.parametrize("command", ["live", "convert in.wav out.wav", "bench --seconds 0.1"])
def test_a_vocoder_alone_is_no_model(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("in.wav", np.zeros(480), RATE)
    assert main([*command.split(), "--model", "vocoder"]) == ModelFileError.exit_code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "vocoder.onnx: is a vocoder, which makes the sound of other models: load one of those, or none" in line


def test_it_is_listed_but_not_among_the_models_to_choose_from(folder: Path, mel_model_path: Path) -> None:
    assert main(["models", "--verify"]) == 0
    session = Session(new_engine())
    assert list(session.models) == ["mel"]
    infos = [message for message in Commands(session, lambda: None)._model_lists() if message[0].endswith("info")]
    assert [values[0] for _, values in infos] == ["mel"]
    assert list(find_models()[0]) == [folder / "mel.onnx"]

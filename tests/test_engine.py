"""The engine without hardware: the loop that a sound card drives, on files and arrays. Faults are in test_faults.py."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playing import HOP, RATE, Made, Player, delayed, made, out_of_tune, play, roughness

from rtvox.chain import Chain
from rtvox.engine import Engine
from rtvox.errors import AudioFileError, DeviceError, ParameterError, RtvoxError
from rtvox.features import Array
from rtvox.file_device import FileDevice, PushDevice, convert_array, convert_blocks
from rtvox.levels import amplitude, decibels

BLOCKS = [1, 16, 17, 64, 127, 128, 256, 480, 1000, 1024, 4096, (16, 500, 3, 4096, 1)]


class TestDelay:
    @pytest.mark.parametrize("block", BLOCKS)
    def test_any_block_gives_the_same_bits_and_the_input_back(self, music: Array, block: int | tuple[int, ...]) -> None:
        music = music[:RATE]
        expected, engine = play(music, block=256)
        expected = expected[engine.delay :]
        out, engine = play(music, block=block)
        np.testing.assert_array_equal(out[engine.delay :], expected)
        assert len(expected) == len(music)
        assert decibels(float(np.abs(expected - music).max())) <= -120.0
        assert np.abs(out[: engine.delay]).max() < 1e-7
        assert engine.status().misses == engine.status().dropped == 0

    @pytest.mark.parametrize("rate", [16000, 32000, 44100, 96000, 192000])
    @pytest.mark.parametrize("block", [1, 64, 441, 1024, (7, 512)])
    def test_other_rates_are_exact_in_time(self, rate: int, block: int | tuple[int, ...]) -> None:
        impulse = np.zeros(rate // 4, np.float32)
        impulse[1000] = 1.0
        out, engine = play(impulse, block=block, rate=rate)
        status = engine.status()
        assert int(np.abs(out).argmax()) - 1000 == engine.delay
        around = out[1000 + engine.delay - 30 : 1000 + engine.delay + 31]
        np.testing.assert_allclose(around, around[::-1], atol=1e-5)  # not even a part of a sample off
        assert status.misses == status.dropped == 0
        assert status.latency.total == round(engine.delay * RATE / rate)
        assert min(status.latency.prefill, status.latency.edge, status.latency.framing) >= 0

    @pytest.mark.parametrize("look_ahead", [0, 2 * HOP, 1000])
    @pytest.mark.parametrize("rate", [RATE, 44100])
    def test_status_itemises_it(self, impulse: Array, look_ahead: int, rate: int) -> None:
        out, engine = play(impulse[:20000], made(look_ahead=look_ahead), rate=rate)
        latency = engine.status().latency
        assert int(out.argmax()) - 12345 == engine.delay
        assert (latency.framing, latency.look_ahead, latency.device) == (2 * HOP, look_ahead, 0)
        assert latency.total == round(engine.delay * RATE / rate)
        assert latency.total_ms == pytest.approx(latency.total / 48.0)
        if rate == RATE:
            assert (latency.prefill, latency.edge) == (128, 0)
        else:
            assert 0 < latency.edge < 130  # both filters hold back 36 samples of their input; and rounding

    def test_reserve_adds_to_the_prefill(self, impulse: Array) -> None:
        device = FileDevice(impulse)
        with Engine(device, reserve_ms=10.0) as engine:
            engine.start()
            device.wait()
            assert engine.status().latency.prefill == 128 + 480
        assert int(device.output.argmax()) - 12345 == engine.delay == 256 + 128 + 480 + 256

    def test_blocks_longer_than_announced_are_taken(self, music: Array) -> None:
        player = Player(music, block=64)
        player.play(6400)
        longer = player.device.push(music[6400:7400, None])[:, 0]
        out, aligned = player.stop()
        np.testing.assert_allclose(out, aligned, atol=1e-6)
        assert len(longer) == 1000
        assert np.isfinite(longer).all()
        assert player.engine.status().error == ""


class TestChannels:
    def test_mean_of_the_inputs_goes_to_all_outputs(self, rng: np.random.Generator) -> None:
        x = (0.2 * rng.standard_normal((9600, 3))).astype(np.float32)
        device = FileDevice(x, channels_out=2)
        with Engine(device) as engine:
            engine.start()
            device.wait()
        np.testing.assert_array_equal(device.output[:, 0], device.output[:, 1])
        np.testing.assert_allclose(device.output[engine.delay :, 0], x[: -engine.delay].mean(axis=1), atol=1e-6)

    def test_one_input_may_be_chosen(self, rng: np.random.Generator) -> None:
        x = (0.2 * rng.standard_normal((9600, 3))).astype(np.float32)
        device = FileDevice(x)
        with Engine(device, channel=2) as engine:
            engine.start()
            device.wait()
        np.testing.assert_allclose(device.output[engine.delay :, 0], x[: -engine.delay, 2], atol=1e-6)

    def test_one_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(ParameterError, match="channel=1: needs 0 to 0"):
            Engine(PushDevice(RATE), channel=1)


class TestControls:
    @pytest.mark.parametrize(
        ("settings", "gain"),
        [
            ({"mix": 0.0, "input_gain": -6.0}, amplitude(-6.0)),
            ({"mix": 0.0, "input_gain": -12.0, "output_gain": 6.0}, amplitude(-6.0)),
            ({"mix": 0.0}, 1.0),
            ({"mix": 0.5}, 0.35),
            ({"mix": 1.0}, -0.3),
            ({"mute": 1.0}, 0.0),
            ({"bypass": 1.0, "input_gain": -20.0}, 1.0),
            ({"gate_threshold": 0.0}, 0.0),
        ],
    )
    def test_they_do_what_they_say(self, music: Array, settings: dict[str, float], gain: float) -> None:
        out, engine = play(music, made(-0.3), **settings)
        late = slice(RATE // 2, 2 * RATE)  # the gate takes its time
        np.testing.assert_allclose(out[late], gain * delayed(music, engine.delay)[late], atol=1e-6)

    def test_bypass_is_bit_exact(self, music: Array) -> None:
        out, engine = play(music, made(0.1), bypass=1.0, output_gain=3.0)
        np.testing.assert_array_equal(out, delayed(music, engine.delay))

    def test_half_wet_half_dry_is_no_comb_filter(self, noise: Array) -> None:
        out, engine = play(noise, mix=0.5)
        np.testing.assert_allclose(out, delayed(noise, engine.delay), atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("input_gain", -60.0),
            ("output_gain", -60.0),
            ("mix", 0.0),
            ("bypass", 1.0),
            ("mute", 1.0),
            ("ceiling", -24.0),
        ],
    )
    def test_they_never_click(self, music: Array, name: str, value: float) -> None:
        player = Player(music, made(-0.5))
        before = player.engine.params.get(name)
        for i in range(50):
            player.play((i + 1) * 2560)
            player.engine.set(name, before if i % 2 else value)
        out, _ = player.stop()
        assert roughness(out) <= roughness(music)

    def test_wrong_ones_are_refused(self) -> None:
        engine = Engine(PushDevice(RATE))
        with pytest.raises(ParameterError, match="mix=3: needs 0 to 1"):
            engine.set("mix", 3.0)
        with pytest.raises(ParameterError, match="depth: no such control"):
            engine.set("depth", 0.5)

    def test_those_of_a_model_reach_it(self, full_model_path: Path, music: Array) -> None:
        outs = []
        for depth in (0.25, 0.5):
            player = Player(music, full_model_path)
            player.engine.set("depth", depth)
            player.play(RATE)
            outs.append(player.stop()[0])
        assert np.abs(outs[0]).max() > 0.01
        np.testing.assert_allclose(outs[1], 2.0 * outs[0], atol=1e-5)

    def test_those_of_a_model_are_ramped(self, full_model_path: Path, music: Array) -> None:
        player = Player(music, full_model_path)
        player.engine.set("depth", 0.0)
        for i in range(40):
            player.play((i + 1) * 2560)
            player.engine.set("depth", float(i % 2))
        assert roughness(player.stop()[0]) <= 2.0 * roughness(music)  # the model's gain is 2 at depth 1

    @pytest.mark.parametrize("rate", [RATE, 44100, 96000])
    def test_output_is_never_above_the_ceiling(self, music: Array, rate: int) -> None:
        """Between samples that were limited at 48 kHz there are higher ones."""
        out, _ = play(music, rate=rate, input_gain=24.0, ceiling=-3.0)
        assert np.abs(out).max() == pytest.approx(amplitude(-3.0), abs=1e-6)

    def test_meters_show_what_goes_in_and_out(self, sine: Array) -> None:
        player = Player(sine)
        player.engine.set("output_gain", -6.0)
        player.play(len(sine))
        status = player.engine.status()
        player.stop()
        assert status.input_peak_db == pytest.approx(-6.02, abs=0.05)
        assert status.output_peak_db == pytest.approx(-12.02, abs=0.05)
        assert status.input_rms_db == pytest.approx(-9.03, abs=0.5)

    def test_panic_is_silent_within_a_hop_and_safe(self, music: Array) -> None:
        player = Player(music, made(1.0), block=HOP)
        player.engine.set("input_gain", 6.0)
        player.engine.set("output_gain", -12.0)
        player.play(30 * HOP)
        player.engine.panic()
        player.play(60 * HOP)
        assert player.engine.params.values() | {"mute": 1.0, "input_gain": 0.0, "output_gain": -12.0} == (
            player.engine.params.values()
        )
        player.engine.set("mute", 0.0)
        player.play(100 * HOP)
        out, aligned = player.stop()
        assert roughness(out) <= roughness(music)
        levels = np.abs(out).reshape(-1, HOP).max(axis=1)
        assert levels[32:61].max() == 0.0  # a hop that was on its way, and a hop to fade out
        np.testing.assert_allclose(out[70 * HOP :], 10 ** (-12 / 20) * aligned[70 * HOP :], atol=1e-6)


class TestModels:
    @pytest.mark.parametrize("delays", [(HOP, HOP), (HOP, 3 * HOP), (2 * HOP, 0)])
    def test_swap_without_a_click_or_a_gap(self, music: Array, delays: tuple[int, int]) -> None:
        player, new = Player(music, made(-0.6, delays[0])), made(0.6, delays[1])
        player.play(RATE // 2)
        before = player.engine.delay
        player.engine._mixer.pending = new  # what load does, at a place that a test can know
        player.play(2 * RATE)
        out, _ = player.stop()
        status, after = player.engine.status(), player.engine.delay
        assert (status.model, status.misses) == ("made 0.6", 0)
        assert after - before == delays[1] - delays[0]
        early, late = slice(0, RATE // 2), slice(RATE // 2 + 20 * HOP, len(out))
        np.testing.assert_array_equal(out[early], np.float32(-0.6) * delayed(music, before)[early])
        np.testing.assert_array_equal(out[late], np.float32(0.6) * delayed(music, after)[late])
        assert roughness(out) <= roughness(music)

    def test_dry_sound_does_not_notice_a_swap(self, music: Array) -> None:
        player = Player(music, made(-0.6))
        player.engine.set("mix", 0.0)
        player.play(RATE // 2)
        player.engine._mixer.pending = made(0.6)
        player.play(2 * RATE)
        out, aligned = player.stop()
        assert player.engine.status().model == "made 0.6"
        np.testing.assert_array_equal(out, aligned)

    def test_shipped_to_none_and_back(self, full_model_path: Path, music: Array) -> None:
        engine = Engine(PushDevice(RATE))
        engine.load(full_model_path)
        assert engine.status().model == "tiny"
        assert "depth" in engine.params.values()
        engine.load(None)
        assert engine.status().model == "none"
        assert "depth" not in engine.params.values()

    def test_one_with_another_hop_is_refused(self, tiny_model_path: Path) -> None:
        with pytest.raises(RtvoxError, match="hops of 16 samples, the engine runs on 256"):
            Engine(PushDevice(RATE)).load(tiny_model_path)


class TestFiles:
    @pytest.mark.parametrize("rate", [8000, RATE, 44100])
    @pytest.mark.parametrize("length", [0, 1, 255, 5000])
    @pytest.mark.parametrize("channels", [None, 1, 2, 8])
    def test_converted_arrays_keep_place_and_shape(
        self, rng: np.random.Generator, rate: int, length: int, channels: int | None
    ) -> None:
        x = (0.05 * rng.standard_normal((length,) if channels is None else (length, channels))).astype(np.float32)
        y = convert_array(x, rate)
        assert y.shape == x.shape
        assert y.dtype == np.float32
        if rate == RATE:
            np.testing.assert_allclose(y, x, atol=1e-6)

    def test_channels_stay_apart(self, music: Array) -> None:
        x = np.stack([music, np.zeros_like(music), -music], axis=1)
        y = convert_array(x, RATE, None, {"ceiling": 0.0})
        np.testing.assert_allclose(y, x, atol=1e-6)
        assert (y[:, 1] == 0.0).all()

    def test_blocks_of_any_length_give_the_same_bits(self, full_model_path: Path, music: Array) -> None:
        x = music[:RATE, None]
        whole = convert_array(x, 44100, full_model_path, {"depth": 0.4})
        cuts = [0, 1, 3, 1000, 1000, 20000, 44100, len(x)]
        blocks = [x[a:b] for a, b in pairwise(cuts)]
        parts = list(convert_blocks(blocks, 44100, full_model_path, {"depth": 0.4}))
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_file_and_live_loop_give_the_same_bits(self, full_model_path: Path, music: Array) -> None:
        whole = convert_array(music, RATE, full_model_path, {"ceiling": 0.0})
        assert np.abs(whole).max() > 0.1
        for block in (37, 128, (1, 999)):
            out, engine = play(music, full_model_path, block)
            np.testing.assert_array_equal(out[engine.delay :], whole)

    def test_a_failing_stage_ends_a_conversion(self, music: Array) -> None:
        stage = Made()
        blocks = convert_blocks(iter([music[:4096, None], music[4096:, None]]), RATE, made(stage=stage))
        next(blocks)
        stage.fault = out_of_tune
        with pytest.raises(RtvoxError, match="model made 1: ValueError: out of tune"):
            list(blocks)

    def test_a_wrong_setting_is_refused(self, music: Array) -> None:
        with pytest.raises(ParameterError, match="part: no such control"):
            convert_array(music, RATE, None, {"part": 1.0})

    def test_file_to_file(self, tmp_path: Path, music: Array) -> None:
        soundfile.write(tmp_path / "in.wav", np.stack([music, music], 1), 44100, "FLOAT")
        device = FileDevice(tmp_path / "in.wav", tmp_path / "out.wav", channels_out=2, tail=2000)
        with Engine(device) as engine:
            engine.set("bypass", 1.0)
            engine.start()
            device.wait()
        out, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
        assert (rate, out.shape) == (44100, (len(music) + 2000, 2))
        aligned = out[engine.delay : engine.delay + len(music), 1]
        np.testing.assert_allclose(aligned, music, atol=5e-3)  # the breath above 20 kHz is filtered

    def test_files_that_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(AudioFileError, match=r"missing\.wav"):
            FileDevice(tmp_path / "missing.wav")
        with pytest.raises(AudioFileError, match="nowhere"):
            FileDevice(np.zeros(10, np.float32), tmp_path / "nowhere" / "out.wav")

    def test_a_push_device_has_to_be_started(self) -> None:
        with pytest.raises(DeviceError, match="start the engine first"):
            PushDevice(RATE).push(np.zeros((1, 1), np.float32))
        with pytest.raises(ParameterError, match="block=0: needs at least 1"):
            PushDevice(RATE, 0)


def test_a_chain_of_ours_may_be_loaded(music: Array) -> None:
    chain = Chain("inverted", Made(-1.0, 0), HOP)
    out, engine = play(music, chain)
    assert engine.status().model == "inverted"
    assert engine.status().latency.framing == HOP
    np.testing.assert_array_equal(out, -delayed(music, engine.delay))


def test_a_rest_is_ended_by_the_sound_that_follows_it() -> None:
    stage, heard, resets = Made(), [], []
    chain = made(stage=stage)
    stage.reset = lambda: resets.append(len(heard))  # type: ignore[method-assign]
    silence, sound = np.zeros(HOP, np.float32), np.full(HOP, 0.1, np.float32)
    second = RATE // HOP + 1
    for x in [sound, *[silence] * 3 * second, sound, sound, *[silence] * (second // 2), sound]:
        chain.process(x, x, None)
        heard.append(x)
    assert resets == [1 + 3 * second]  # and not while it was silent, nor after half a second

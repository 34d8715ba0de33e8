"""The engine when something goes wrong: late hops, stages that raise, lost devices, models that cannot be used."""

import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playing import HOP, RATE, Made, Player, delayed, made, out_of_tune, play, roughness, wait_for

from rtvox.chain import Chain
from rtvox.device import Callback, OnLost
from rtvox.engine import Engine
from rtvox.errors import DeviceError, ModelFileError, ParameterError, RtvoxError
from rtvox.features import Array
from rtvox.file_device import FileDevice, PushDevice
from rtvox.levels import amplitude
from rtvox.params import Param
from rtvox.player import FADE


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before, interval = set(threading.enumerate()), sys.getswitchinterval()
    yield
    assert {thread for thread in threading.enumerate() if thread.name.startswith("rtvox")} <= before
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval


def stall(player: Player, until: int) -> None:
    """Play on while the converter stands still."""
    converter = player.engine._keeper.converter
    converter.catch_up = lambda: None  # type: ignore[method-assign]
    player.play(until)
    del converter.catch_up  # the class's own again


class TestLate:
    @pytest.mark.parametrize("gain", [1.0, -0.7, 0.0])
    @pytest.mark.parametrize("block", [64, 128, 1000])
    @pytest.mark.parametrize("rate", [RATE, 44100])
    def test_two_seconds_of_stall(self, music: Array, gain: float, block: int, rate: int) -> None:
        """Dry in time while it lasts, wet in time after it, counted, nothing replayed, no click."""
        x = np.concatenate([music, music[::-1]])
        player = Player(x, made(gain), block, rate)
        player.play(rate)
        start, delay = player.position, player.engine.delay
        stall(player, start + 2 * rate)
        end = player.position
        player.play(len(x) - block)
        out, aligned = player.stop()
        status = player.engine.status()
        exact = 1e-6 if rate == RATE else 2e-3  # the way in and out filters the breath above 20 kHz
        np.testing.assert_allclose(out[:start], gain * aligned[:start], atol=exact)
        np.testing.assert_array_equal(out[start + delay + FADE : end], aligned[start + delay + FADE : end])
        # The first hop worth converting is whole within a block and a hop; then the delay line has to fill.
        nominal = end + block + HOP + delay + FADE
        np.testing.assert_allclose(out[nominal:], gain * aligned[nominal:], atol=exact)
        assert roughness(out) <= roughness(x)
        assert (end - start - delay) // block <= status.misses <= (nominal - start) // block + 1
        assert end - start - delay <= status.missed_samples <= nominal - start
        assert status.dropped > 1.9 * rate
        assert status.latency.total == round(delay * RATE / rate)

    @pytest.mark.parametrize("seed", range(3))
    def test_stalls_while_models_come_and_go(self, music: Array, seed: int) -> None:
        """Neither what a new model's delay line still holds is heard, nor does the cover jump to its delay."""
        rng, x = np.random.default_rng(seed), np.concatenate([music, music[::-1]])
        player = Player(x, made(0.6, 256))
        player.play(RATE // 2)
        mixer, delay = player.engine._mixer, 256
        while player.position < len(x) - RATE:
            if not (mixer.pending or mixer.incoming):
                delay = 768 - delay
                mixer.pending = made(0.6, delay)
            player.play(player.position + 128 * int(rng.integers(1, 50)))
            stall(player, player.position + 128 * int(rng.choice([1, 2, 3, 4, 8, 30, 80])))
        out, _ = player.stop()
        assert roughness(out) <= roughness(x)
        assert player.engine.status().misses > 100

    @pytest.mark.parametrize(("rate", "bypass"), [(RATE, 0.0), (96000, 0.0), (RATE, 1.0)])
    def test_what_goes_on_above_the_ceiling_is_bent(self, music: Array, rate: int, bypass: float) -> None:
        x = np.float32(1.9) * music
        player = Player(x, None, rate=rate)
        player.engine.set("bypass", bypass)
        for at in range(rate // 2, len(x) - rate // 4, 3001):
            player.play(at)
            stall(player, at + 1536)
        out, _ = player.stop()
        assert roughness(out) <= 1.0001 * roughness(x)  # the transforms' rounding
        assert np.abs(out).max() <= 1.0
        assert player.engine.status().misses > 40

    def test_silence_instead_of_dry(self, music: Array) -> None:
        player = Player(music, made(0.5))
        player.engine.set("miss_policy", 1.0)
        player.play(RATE)
        stall(player, 2 * RATE)
        player.play(len(music))
        out, aligned = player.stop()
        assert (out[RATE + 1000 : 2 * RATE] == 0.0).all()
        assert roughness(out) <= roughness(music)
        np.testing.assert_array_equal(out[2 * RATE + 1000 :], np.float32(0.5) * aligned[2 * RATE + 1000 :])

    def test_dry_cover_follows_the_gains(self, music: Array) -> None:
        player = Player(music)
        player.engine.set("input_gain", -12.0)
        player.engine.set("output_gain", 6.0)
        player.play(RATE)
        stall(player, 2 * RATE)
        out, aligned = player.stop()
        late = slice(RATE + 1000, 2 * RATE)
        np.testing.assert_allclose(out[late], amplitude(-6.0) * aligned[late], atol=1e-6)

    def test_a_closed_gate_and_a_muted_output_stay_closed(self, noise: Array) -> None:
        for name, value in (("gate_threshold", 0.0), ("mute", 1.0)):
            player = Player(noise)
            player.engine.set(name, value)
            player.play(RATE // 2)
            stall(player, RATE)
            out, _ = player.stop()
            assert (out[RATE // 2 :] == 0.0).all()

    @pytest.mark.parametrize("blocks", [1, 2])
    def test_a_short_stall_drops_no_input(self, music: Array, blocks: int) -> None:
        """What is late by less than a hop is still converted: the state of the model stays whole."""
        player = Player(music, made(-0.5))
        player.play(RATE - RATE % 128)
        stall(player, player.position + blocks * 128)
        player.play(2 * RATE)
        out, aligned = player.stop()
        status = player.engine.status()
        assert status.dropped == 0
        assert status.missed_samples <= blocks * 128
        np.testing.assert_array_equal(out[RATE + 1000 :], np.float32(-0.5) * aligned[RATE + 1000 :])

    def test_often_late_never_clicks(self, music: Array, rng: np.random.Generator) -> None:
        player = Player(music, made(-0.5), block=64)
        for _ in range(60):
            player.play(player.position + int(rng.integers(64, 2000)))
            stall(player, player.position + int(rng.integers(64, 2000)))
        out, _ = player.stop()
        assert player.engine.status().misses > 100
        assert roughness(out) <= roughness(music)

    def test_with_threads_and_a_real_clock(self, music: Array) -> None:
        stage = Made(-0.5)

        def sleep_once() -> None:
            stage.fault = lambda: None
            time.sleep(0.7)

        device = FileDevice(music, block=128, clock="real")
        with Engine(device) as engine:
            engine.load(made(stage=stage))
            engine.start()
            time.sleep(0.5)
            stage.fault = sleep_once
            device.wait()
            status = engine.status()
        out = device.output[:, 0]
        aligned = delayed(music, engine.delay)[: len(out)]
        is_dry, is_wet = np.abs(out - aligned) < 1e-6, np.abs(out + 0.5 * aligned) < 1e-6
        assert is_dry[RATE : RATE + RATE // 8].all()
        assert is_wet[-RATE:].mean() > 0.9  # nominal again (a busy machine may miss once more)
        assert (is_dry | is_wet).mean() > 0.95  # never anything else, but in the fades
        assert roughness(out) <= roughness(music)
        assert status.misses > 0.5 * RATE / 128


class TestRaising:
    def test_covered_counted_and_reported(self, music: Array) -> None:
        stage = Made(-0.5)
        player = Player(music, made(stage=stage), block=HOP)
        player.play(100 * HOP)
        stage.fault = out_of_tune
        player.play(150 * HOP)
        stage.fault = lambda: None
        player.play(200 * HOP)
        out, aligned = player.stop()
        status = player.engine.status()
        assert status.error == "model made 1: ValueError: out of tune"
        assert status.failed_hops == 50
        assert status.misses == 51  # the hop after the last one is only half there
        np.testing.assert_array_equal(out[: 101 * HOP], np.float32(-0.5) * aligned[: 101 * HOP])
        np.testing.assert_array_equal(out[103 * HOP : 152 * HOP], aligned[103 * HOP : 152 * HOP])
        np.testing.assert_array_equal(out[154 * HOP :], np.float32(-0.5) * aligned[154 * HOP :])
        assert roughness(out) <= roughness(music)

    def test_at_another_rate(self, music: Array) -> None:
        stage = Made(-0.5)
        player = Player(music, made(stage=stage), rate=44100)
        player.play(30000)
        stage.fault = out_of_tune
        player.play(60000)
        stage.fault = lambda: None
        player.play(100000)
        out, aligned = player.stop()
        np.testing.assert_array_equal(out[32000:60000], aligned[32000:60000])
        np.testing.assert_allclose(out[62000:], -0.5 * aligned[62000:], atol=2e-3)
        assert roughness(out) <= roughness(music)

    def test_in_reset_too(self, music: Array) -> None:
        stage = Made()
        player = Player(music, made(stage=stage))
        player.play(RATE // 2)
        stage.fault = out_of_tune
        stage.reset = out_of_tune  # type: ignore[method-assign]
        player.play(RATE)
        out, aligned = player.stop()
        assert "out of tune (and at reset: out of tune)" in player.engine.status().error
        np.testing.assert_array_equal(out[RATE // 2 + 1000 :], aligned[RATE // 2 + 1000 :])

    def test_an_error_is_forgotten_at_the_next_start(self, music: Array) -> None:
        stage = Made()
        player = Player(music, made(stage=stage))
        stage.fault = out_of_tune
        player.play(4096)
        player.stop()
        assert player.engine.status().error
        stage.fault = lambda: None
        player.engine.start()
        status = player.engine.status()
        player.stop()
        assert (status.error, status.failed_hops, status.misses) == ("", 0, 0)


class TestNotANumber:
    def test_in_the_input_is_silence(self, music: Array) -> None:
        x = music.copy()
        x[5000:5010], x[9000], x[9001] = np.nan, np.inf, -np.inf
        out, _ = play(x)
        clean, _ = play(np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0))
        np.testing.assert_array_equal(out, clean)

    def test_beyond_all_measure_is_silence_and_meters_go_on(self, music: Array) -> None:
        x, clean = music.copy(), music.copy()
        x[5000], x[5001], clean[5000:5002] = 1e30, -2e6, 0.0
        x[9000] = clean[9000] = 32768.0  # a file that counts in 16-bit steps
        out, engine = play(x)
        np.testing.assert_array_equal(out, play(clean)[0])
        assert -20.0 < engine.status().input_rms_db < 90.0

    def test_from_a_stage_is_silence(self, music: Array) -> None:
        stage = Made()
        player = Player(music, made(stage=stage), block=HOP)
        player.play(100 * HOP)
        stage.gain = np.float32(np.nan)
        player.play(101 * HOP)
        stage.gain = np.float32(1.0)
        player.play(200 * HOP)
        out, aligned = player.stop()
        assert np.isfinite(out).all()
        different = np.flatnonzero(out != aligned)
        assert len(different) == HOP
        assert (out[different] == 0.0).all()


class Losing(PushDevice):
    """A device that runs in real time, and can be unplugged."""

    realtime = True

    def __init__(self) -> None:
        super().__init__(RATE, 128)
        self.there, self.starts = True, 0
        self.on_lost: OnLost = lambda error: None

    def start(self, callback: Callback, on_lost: OnLost) -> None:
        self.starts += 1
        if not self.there:
            raise DeviceError("USB microphone: not there; plug it in")
        self.on_lost = on_lost
        super().start(callback, on_lost)

    def lose(self) -> None:
        self.there = False
        self.on_lost(DeviceError("USB microphone: unplugged"))

    def feed(self, x: Array) -> Array:
        """Push in blocks, with time to convert them."""
        out = []
        for at in range(0, len(x), 128):
            out.append(self.push(x[at : at + 128, None])[:, 0])
            time.sleep(0.003)
        return np.concatenate(out)


class TestDevice:
    def test_lost_reported_and_taken_back(self, monkeypatch: pytest.MonkeyPatch, music: Array) -> None:
        monkeypatch.setattr("rtvox.keeper.RETRY_S", 0.02)
        device = Losing()
        with Engine(device) as engine:
            engine.load(made(0.5))
            engine.start()
            device.feed(music[:12800])
            device.lose()
            wait_for(lambda: engine.status().state == "device lost" and device.starts > 3)
            assert engine.status().error == "device lost: USB microphone: not there; plug it in"
            device.there = True
            wait_for(lambda: engine.status().state == "running")
            assert engine.status().error == ""
            out = device.feed(music[:12800])
            status = engine.status()
        assert status.callbacks == 200
        assert status.model == "made 0.5"
        expected = 0.5 * delayed(music, engine.delay)[: len(out)]
        assert np.mean(np.abs(out - expected) < 1e-6) > 0.9  # a busy machine may miss some

    def test_what_refers_to_itself_is_freed_meanwhile(self) -> None:
        """As streams of JACK do; nobody else collects garbage while sound runs."""

        class Circle:
            def __init__(self) -> None:
                self.own = self

        device = Losing()
        with Engine(device) as engine:
            engine.start()
            gone = weakref.ref(Circle())
            assert gone() is not None
            device.lose()
            wait_for(lambda: gone() is None)

    def test_stop_while_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rtvox.keeper.RETRY_S", 60.0)
        device = Losing()
        engine = Engine(device)
        engine.start()
        device.lose()
        wait_for(lambda: engine.status().state == "device lost")
        engine.load(made(0.5))
        assert engine.status().model == "made 0.5"
        begin = time.monotonic()
        engine.stop()
        assert time.monotonic() - begin < 1.0
        assert engine.status().state == "stopped"

    def test_one_that_does_not_start_leaves_all_as_it_was(self) -> None:
        device = Losing()
        device.there = False
        engine = Engine(device)
        with pytest.raises(DeviceError, match="not there; plug it in"):
            engine.start()
        assert engine.status().state == "stopped"
        device.there = True
        engine.start()
        engine.start()  # again is harmless
        assert engine.status().state == "running"
        engine.stop()
        engine.stop()


class TestModel:
    @pytest.mark.parametrize("model", ["no-such-model", "missing.onnx", "bad.onnx"])
    def test_failed_load_changes_nothing(self, music: Array, tmp_path: Path, model: str) -> None:
        (tmp_path / "bad.onnx").write_bytes(b"nonsense")
        player = Player(music, made(0.5))
        player.play(RATE // 2)
        with pytest.raises(ModelFileError, match=model):
            player.engine.load(tmp_path / model if model.endswith(".onnx") else model)
        assert model in player.engine.status().error
        player.play(RATE)
        out, aligned = player.stop()
        assert player.engine.status().model == "made 0.5"
        np.testing.assert_array_equal(out, np.float32(0.5) * aligned)

    def test_without_waiting_it_shows_in_status(self) -> None:
        engine = Engine(PushDevice(RATE))
        engine.load("no-such-model", wait=False)
        wait_for(lambda: "no-such-model" in engine.status().error)
        engine.load("none", wait=False)
        wait_for(lambda: engine.status().error == "")

    def test_one_that_fails_when_warmed_up_is_refused(self) -> None:
        stage = Made()
        stage.fault = out_of_tune
        engine = Engine(PushDevice(RATE))
        with pytest.raises(RtvoxError, match="model made 1: ValueError: out of tune"):
            engine.load(made(stage=stage))
        assert engine.status().model == "none"

    def test_one_that_fails_while_it_is_faded_in_is_put_away(self, music: Array) -> None:
        player, stage = Player(music, made(0.5)), Made()
        player.play(RATE // 2)
        refusals: list[RtvoxError] = []

        def load() -> None:
            try:
                player.engine.load(made(0.9, stage=stage))
            except RtvoxError as error:
                refusals.append(error)

        loading = threading.Thread(target=load)
        loading.start()
        wait_for(lambda: player.engine._mixer.pending is not None)
        player.play(player.position + 12 * HOP)  # past the hops of priming
        stage.fault = out_of_tune
        player.play(RATE)
        loading.join()
        player.stop()
        assert str(refusals[0]) == "model made 0.9: ValueError: out of tune; the model in use stays"
        assert player.engine.status().model == "made 0.5"

    def test_one_that_waits_when_the_sound_ends_is_in_place(self, music: Array) -> None:
        player, new = Player(music, made(0.5)), made(0.9)
        player.play(RATE // 2)
        loading = threading.Thread(target=player.engine.load, args=(new,))
        loading.start()
        wait_for(lambda: player.engine._mixer.pending is not None)
        player.play(player.position + 12 * HOP)
        player.stop()
        loading.join(2.0)
        assert not loading.is_alive()
        assert player.engine.status().model == "made 0.9"

    def test_one_with_a_control_of_ours_is_refused(self) -> None:
        engine = Engine(PushDevice(RATE))
        trap = Chain("trap", Made(), HOP)
        trap.controls = (Param("mix", "", 0.0, 9.0, 5.0, 0.0, "a trap"),)
        with pytest.raises(ParameterError, match="mix: a model may not have"):
            engine.load(trap)
        assert engine.status().model == "none"
        assert engine.params.get("mix") == 1.0

    def test_faults_of_a_network_are_counted(self, full_model_path: Path, music: Array) -> None:
        player = Player(music, full_model_path)
        player.play(12800)
        stage = player.engine._mixer.chain.pipeline.stages[1]  # type: ignore[attr-defined]
        stage.faults = 3
        assert player.engine.status().failed_hops == 3
        player.stop()

    def test_an_unforeseen_error_while_loading_is_reported_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def explode(*_: object) -> Chain:
            raise MemoryError("no room")

        engine = Engine(PushDevice(RATE))
        monkeypatch.setattr("rtvox.loader.build_chain", explode)
        with pytest.raises(RtvoxError, match="model isolate: MemoryError"):
            engine.load("isolate")
        assert engine.status().model == "none"


def test_what_is_converted_after_a_gap_goes_on_from_what_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step there would be heard again as often as a network remembers it."""
    hop = 256
    device = PushDevice(RATE, hop)
    x = (0.8 * np.cos(np.pi / hop * np.arange(12 * hop))).astype(np.float32)  # a hop is half of its period
    heard: list[Array] = []
    with Engine(device) as engine:
        engine.start()
        mixer, converter = engine._mixer, engine._keeper.converter
        process = mixer.process
        monkeypatch.setattr(mixer, "process", lambda raw: (heard.append(raw.copy()), process(raw))[1])
        for i in range(12):
            if i == 6:
                converter._pass_over(hop)
            device.push(x[i * hop : (i + 1) * hop, None])
    sound = np.concatenate(heard)
    assert len(sound) == 11 * hop
    assert np.abs(np.diff(sound)).max() < 0.05  # 1.6 without
    np.testing.assert_array_equal(sound[6 * hop + 128 :], x[7 * hop + 128 :])

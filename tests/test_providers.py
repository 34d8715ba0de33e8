"""Providers: chosen, compared, watched, and left for the CPU when they fail.

No GPU is needed: a row like CUDA's, whose device is the CPU, goes through the same thread, buffers, bindings and watch.
"""

from __future__ import annotations

import ctypes
import re
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import TINY_SPEC, tiny_run
from playing import RATE, Player, play, roughness, wait_for

from rtvox import network, network_thread, onnx_session, provider_choice, realtime
from rtvox.engine import Engine
from rtvox.errors import ModelFileError, ParameterError
from rtvox.features import Array, Spectrum
from rtvox.file_device import FileDevice
from rtvox.model_file import load_model
from rtvox.network import Network
from rtvox.network_thread import NetworkThread
from rtvox.onnx_stage import OnnxStage, verify_golden
from rtvox.provider_choice import choose_provider, difference, pick, try_out
from rtvox.providers import PROVIDERS, ProviderRow

PATIENCE_S, MAY_LAG_S = network_thread.PATIENCE_S, network_thread.MAY_LAG_S
ATTEMPTS = 10  # other programs of a shared machine may take one run's time away, hardly that of ten

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate provider")  # the CPU behind the CPU
ONE = np.ones(TINY_SPEC.n_bins, np.complex64)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_for(lambda: {t for t in threading.enumerate() if t.name == "rtvox-provider"} <= before)


def on_the_cpu(name: str) -> ProviderRow:
    return replace(PROVIDERS[name], onnxruntime="CPUExecutionProvider", device="cpu", options={}, library=("", ""))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `cuda` be all that it is, but for where its session runs; and be the only provider beside the CPU."""
    monkeypatch.setattr(provider_choice, "PROVIDERS", {"cuda": on_the_cpu("cuda"), "cpu": PROVIDERS["cpu"]})
    monkeypatch.setattr(provider_choice, "_trials", {})
    # A busy machine is no failed provider; the tests of what is one set their own.
    monkeypatch.setattr(network_thread, "PATIENCE_S", 10.0)
    monkeypatch.setattr(network_thread, "MAY_LAG_S", 10.0)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes the watch as strict as it is, to be called when the failure is about to come."""

    def be_strict() -> None:
        monkeypatch.setattr(network_thread, "PATIENCE_S", PATIENCE_S)
        monkeypatch.setattr(network_thread, "MAY_LAG_S", MAY_LAG_S)

    return be_strict


@pytest.fixture
def spectra(rng: np.random.Generator) -> Spectrum:
    parts = rng.standard_normal((2, 300, TINY_SPEC.n_bins)).astype(np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def break_down(stage: OnnxStage, run: Callable[[Network], None]) -> Network:
    """Let the network that is not the CPU's do something else from now on."""
    assert isinstance(stage._network, NetworkThread)
    inner = stage._network._network
    inner.run = lambda: run(inner)  # type: ignore[method-assign]
    return inner


def driver_reset(_: Network) -> None:
    raise RuntimeError("CUDA failure 700:\nan illegal memory access was encountered")


# -- by name --


def test_an_unknown_one_is_named(tiny_model_path: Path) -> None:
    with pytest.raises(ParameterError, match="provider='tpu': needs auto, cuda, cuda-fp16, tensorrt, coreml, directml"):
        choose_provider(load_model(tiny_model_path), "tpu")


@pytest.mark.parametrize("provider", ["cuda", "cuda-fp16", "tensorrt", "coreml", "directml"])
def test_one_that_is_not_there_leaves_the_cpu_and_says_why(
    provider: str, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_choice, "why_not", lambda row: f"no {row.title} in this test")
    stage = OnnxStage(load_model(tiny_model_path), provider)
    assert (stage.provider, stage.message) == (
        "cpu",
        f"running on the CPU: no {PROVIDERS[provider].title} in this test",
    )
    assert stage.process(ONE)[0] == 0.5


def test_without_any_auto_takes_the_cpu_and_says_why(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_choice, "why_not", lambda row: "no driver" if "cuda" in row.name else "")
    monkeypatch.setattr(provider_choice, "NetworkThread", lambda *_: 1 / 0)
    stage = OnnxStage(load_model(tiny_model_path), "auto")
    assert stage.provider == "cpu"
    assert stage.message == "running on the CPU, all that can be used here (no driver; division by zero)"


def test_an_onnxruntime_without_one_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    why = onnx_session.why_not(PROVIDERS["cuda"])
    assert why == "this onnxruntime has no NVIDIA GPU; install onnxruntime-gpu"
    assert onnx_session.why_not(PROVIDERS["cpu"]) == ""


def test_a_session_that_lands_elsewhere_is_refused(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Elsewhere)
    with pytest.raises(RuntimeError, match=r"the NVIDIA GPU could not be used \(CUDA .* and cuDNN 9 are needed\)"):
        onnx_session.open_session(load_model(tiny_model_path).data, PROVIDERS["cuda"])


@pytest.mark.usefixtures("apart")
def test_apart_it_gives_the_same(tiny_model_path: Path, spectra: Spectrum) -> None:
    stage = OnnxStage(load_model(tiny_model_path), "cuda")
    assert (stage.provider, stage.message) == ("cuda", "")
    out = np.stack([stage.process(spectrum).copy() for spectrum in spectra])
    np.testing.assert_allclose(out, tiny_run(spectra), atol=1e-6)
    stage.reset()
    stage.set_control("depth", 1.0)
    np.testing.assert_array_equal(stage.process(ONE), ONE)
    verify_golden(load_model(tiny_model_path), "cuda")


@pytest.mark.usefixtures("apart")
def test_recorded_graphs_take_turns(tiny_model_path: Path, spectra: Spectrum, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    options, session = network.run_options, network.open_session
    monkeypatch.setattr(network, "open_session", lambda data, row: (session(data, row)[0], row.apart))
    monkeypatch.setattr(network, "run_options", lambda number: (numbers.append(number), options(number))[1])
    stage = OnnxStage(load_model(tiny_model_path), "cuda")
    assert numbers == [1, 2]
    out = np.stack([stage.process(spectrum).copy() for spectrum in spectra])
    np.testing.assert_allclose(out, tiny_run(spectra), atol=1e-6)


def test_memory_is_pinned_for_as_long_as_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    class Runtime:
        refuses = 0

        def cudaHostRegister(self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: int) -> int:  # noqa: N802
            calls.append(("pinned", address.value or 0))
            assert (size.value, flags) == (4000, 0)
            return self.refuses

        def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
            calls.append(("freed", address.value or 0))
            return 0

    monkeypatch.setattr(onnx_session, "_cuda_runtime", Runtime)
    array = np.zeros((10, 100), np.float32)
    address = array.ctypes.data
    assert onnx_session.pin(array)
    del array
    assert calls == [("pinned", address), ("freed", address)]
    monkeypatch.setattr(Runtime, "refuses", 2)  # out of memory
    assert not onnx_session.pin(np.zeros(1000, np.float32))
    monkeypatch.setattr(onnx_session, "_cuda_runtime", lambda: None)
    assert not onnx_session.pin(np.zeros(1000, np.float32))
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["isolate", "scream"])
def test_halved_it_runs_and_is_compared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scream` draws noise from whole numbers that float16 does not hold: the comparison sees it."""
    row = replace(
        PROVIDERS["cuda-fp16"], onnxruntime="CPUExecutionProvider", device="cpu", options={}, library=("", "")
    )
    monkeypatch.setattr(provider_choice, "PROVIDERS", {"cuda-fp16": row, "cpu": PROVIDERS["cpu"]})
    stage = OnnxStage(load_model(Path(__file__).parent.parent / "checkpoints" / f"{name}.onnx"), "cuda-fp16")
    if stage.provider == "cpu":
        assert "cuda-fp16 is off by" in stage.message
    assert name != "scream" or stage.provider == "cpu"


@pytest.mark.usefixtures("apart")
def test_one_that_takes_its_time_at_first_is_not_refused(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch, watch: Callable[[], None]
) -> None:
    class Slow(Network):
        def run(self) -> None:  # kernels are chosen, graphs recorded
            if self._apart and not hasattr(self, "begun"):
                self.begun = time.sleep(0.3)
            super().run()

    watch()
    monkeypatch.setattr(provider_choice, "Network", Slow)
    assert choose_provider(load_model(tiny_model_path), "cuda").name == "cuda"


@pytest.mark.usefixtures("apart")
def test_one_that_computes_otherwise_is_refused(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Network):
        def run(self) -> None:
            super().run()
            if self._apart:
                self.out *= np.float32(1.01)

    monkeypatch.setattr(provider_choice, "Network", Wrong)
    stage = OnnxStage(load_model(tiny_model_path), "cuda")
    assert stage.provider == "cpu"
    assert "cuda is off by 0.01 from the CPU, at most 0.001 is allowed" in stage.message


def test_a_model_that_the_cpu_refuses_is_refused(tiny_model_path: Path) -> None:
    model = replace(load_model(tiny_model_path), data=b"nonsense")
    with pytest.raises(ModelFileError, match=r"tiny\.onnx: onnxruntime cannot run it"):
        choose_provider(model, "auto")


@pytest.mark.usefixtures("apart")
def test_apart_nothing_stays_allocated(tiny_model_path: Path) -> None:
    """Garbage collection is off while sound runs: what is not freed at once is never freed."""
    stage = OnnxStage(load_model(tiny_model_path), "cuda")
    realtime.hold()
    tracemalloc.start()
    for _ in range(100):
        stage.process(ONE)
    before, _ = tracemalloc.get_traced_memory()
    for i in range(2000):
        stage.set_control("depth", i / 2000)
        stage.process(ONE)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    realtime.release()
    assert stage.provider == "cuda"
    assert after - before < 16 * 1024


# -- the trial --


@pytest.mark.usefixtures("apart")
def test_auto_tries_both_and_says_what_it_chose(tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_choice, "TRIAL_S", 0.05)
    stage = OnnxStage(load_model(tiny_model_path), "auto")
    assert stage.provider in ("cpu", "cuda")
    assert stage.message.startswith(f"running on {stage.provider}, ")
    assert stage.process(ONE)[0] == 0.5
    again = OnnxStage(load_model(tiny_model_path), "auto")
    assert (again.provider, again.message) == (stage.provider, f"running on {stage.provider}, as tried before")


def test_the_fastest_that_meets_the_deadline_is_picked() -> None:
    fast, slow, jittery = np.full(90, 1e-4), np.full(90, 5e-4), np.tile([1e-5, 9e-3], 45)
    assert pick({"cuda": slow, "cpu": fast}, 3e-3)[0] == "cpu"
    assert pick({"cuda": jittery, "cpu": slow}, 3e-3) == (
        "cpu",
        "running on cpu, the fastest in time: 0.50 ms a frame (p95 0.50); cuda 4.50 ms (p95 9.00); due 3.00 ms",
    )
    name, why = pick({"cuda": fast * 100, "cpu": slow * 10}, 3e-3)
    assert name == "cpu"
    assert "though too slow" in why
    assert pick({"cuda": np.zeros(0), "cpu": slow}, 3e-3)[1].endswith("cuda failed; due 3.00 ms")


@pytest.mark.usefixtures("apart")
def test_one_that_fails_in_the_trial_is_out(tiny_model_path: Path) -> None:
    model = load_model(tiny_model_path)
    stage = OnnxStage(model, "cuda")
    break_down(stage, driver_reset)
    assert stage._spare
    contenders = {"cuda": stage._network, "cpu": stage._spare}
    times = try_out(contenders, np.stack([ONE, 0 * ONE]), 1e-3, 0.02)
    assert (len(times["cuda"]), len(times["cpu"])) == (0, 20)


def test_the_difference_is_relative_to_what_is_loud() -> None:
    assert difference(np.array([0.5]), np.array([0.4])) == pytest.approx(0.1)
    assert difference(np.array([5.0, 0.0]), np.array([4.0, 0.0])) == pytest.approx(0.25)
    assert not difference(np.array([np.nan]), np.array([0.4])) <= provider_choice.PARITY


# -- failures while it runs --


@pytest.mark.usefixtures("apart")
class TestFallback:
    def test_the_state_is_carried_over(self, tiny_model_path: Path, spectra: Spectrum) -> None:
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        out = [stage.process(spectrum).copy() for spectrum in spectra[:100]]
        break_down(stage, driver_reset)
        out += [stage.process(spectrum).copy() for spectrum in spectra[100:]]
        np.testing.assert_allclose(np.stack(out), tiny_run(spectra), atol=1e-6)
        assert (stage.provider, stage.fallbacks) == ("cpu", 1)
        assert stage.message == (
            "cuda failed (CUDA failure 700: an illegal memory access was encountered): running on the CPU since; load "
            "the model again to go back"
        )

    @pytest.mark.parametrize("heard", [0, 1, 20, 63, 64, 65, 200])
    def test_a_state_that_is_lost_is_made_again(self, heard: int, tiny_model_path: Path, spectra: Spectrum) -> None:
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        out = [stage.process(spectrum).copy() for spectrum in spectra[:heard]]
        inner = break_down(stage, driver_reset)
        inner.states = lambda: driver_reset(inner)  # type: ignore[method-assign,assignment,return-value]
        out += [stage.process(spectrum).copy() for spectrum in spectra[heard:]]
        np.testing.assert_allclose(np.stack(out), tiny_run(spectra), atol=1e-6)  # a half to the power of 64 is nothing

    def test_controls_are_kept(self, tiny_model_path: Path) -> None:
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        stage.set_control("depth", 1.0)
        assert stage.process(ONE)[0] == 1.0
        break_down(stage, driver_reset)
        assert stage.process(0 * ONE)[0] == 0.5
        assert stage.process(ONE)[0] == 1.25

    def test_one_that_hangs_is_left_within_200_ms(
        self, tiny_model_path: Path, spectra: Spectrum, watch: Callable[[], None]
    ) -> None:
        watch()
        for _ in range(ATTEMPTS):
            stage, gone = OnnxStage(load_model(tiny_model_path), "cuda"), threading.Event()
            out = [stage.process(spectrum).copy() for spectrum in spectra[:100]]
            if stage.provider == "cuda":
                break_down(stage, lambda _, gone=gone: (gone.wait(30), None)[1])  # type: ignore[misc]
            begin = time.monotonic()
            out.append(stage.process(spectra[100]).copy())
            took = time.monotonic() - begin
            out += [stage.process(spectrum).copy() for spectrum in spectra[101:]]
            gone.set()
            np.testing.assert_allclose(np.stack(out), tiny_run(spectra), atol=1e-6)
            if 0.1 <= took <= 0.2:
                break
        assert 0.1 <= took <= 0.2
        assert "cuda failed (did not answer within 120 ms)" in stage.message

    def test_one_that_falls_behind_is_left_within_200_ms(
        self, tiny_model_path: Path, spectra: Spectrum, watch: Callable[[], None]
    ) -> None:
        watch()
        for _ in range(ATTEMPTS):
            stage, out = OnnxStage(load_model(tiny_model_path), "cuda"), []
            inner = stage._network._network  # type: ignore[union-attr]
            break_down(stage, lambda _, inner=inner: (time.sleep(0.02), Network.run(inner))[1])  # type: ignore[misc]
            begin = time.monotonic()
            while stage.provider == "cuda":
                out.append(stage.process(spectra[len(out)]).copy())
            took = time.monotonic() - begin
            np.testing.assert_allclose(np.stack(out), tiny_run(spectra[: len(out)]), atol=1e-6)
            if took <= 0.2:
                break
        assert took <= 0.2
        assert re.search(r"cuda failed \(was \d\d ms late in all\)", stage.message)

    def test_one_pause_is_forgiven(self, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(network_thread, "MAY_LAG_S", MAY_LAG_S)
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        inner = stage._network._network  # type: ignore[union-attr]
        pauses = [0.09]
        stage._network._due = 0.05  # type: ignore[union-attr]
        break_down(stage, lambda _: (time.sleep(pauses.pop() if pauses else 0.0), Network.run(inner))[1])
        for _ in range(50):
            stage.process(ONE)
        assert stage.provider == "cuda"

    def test_it_is_kept_awake_on_silence_and_between(
        self, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network_thread, "AWAKE_S", 0.01)
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        inner = stage._network._network  # type: ignore[union-attr]
        idles: list[int] = []
        inner.idle = lambda: (idles.append(1), Network.idle(inner))[1]  # type: ignore[method-assign]
        stage.process(ONE)
        wait_for(lambda: len(idles) > 2)
        assert stage.process(ONE)[0] == 0.75  # the state is where it was

    def test_one_that_fails_while_idle_is_left_at_the_next_frame(
        self, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network_thread, "AWAKE_S", 0.01)
        stage = OnnxStage(load_model(tiny_model_path), "cuda")
        inner = stage._network._network  # type: ignore[union-attr]
        inner.idle = lambda: driver_reset(inner)  # type: ignore[method-assign]
        wait_for(lambda: stage._network._desk.failure is not None)  # type: ignore[union-attr]
        assert stage.process(ONE)[0] == 0.5
        assert stage.provider == "cpu"

    @pytest.mark.parametrize("lost", [False, True])
    def test_nobody_hears_it(self, lost: bool, full_model_path: Path, music: Array) -> None:
        player = Player(music, None)
        player.engine._loader._provider = "cuda"
        player.engine.load(full_model_path)
        assert player.engine.status().provider == "cuda"
        player.play(RATE)
        (stage,) = player.engine._mixer.chain.networks
        inner = break_down(stage, driver_reset)
        if lost:
            inner.states = lambda: driver_reset(inner)  # type: ignore[method-assign,assignment,return-value]
        player.play(2 * RATE)
        out, _ = player.stop()
        status = player.engine.status()
        assert (status.provider, status.fallbacks, status.failed_hops, status.misses) == ("cpu", 1, 0, 0)
        assert "cuda failed" in status.message
        assert roughness(out[RATE // 2 :]) <= roughness(music)
        unbroken, _ = play(music[: len(out)], full_model_path)
        np.testing.assert_allclose(out, unbroken[: len(out)], atol=1e-6)

    @pytest.mark.slow
    def test_nobody_hears_a_click_when_it_hangs_while_it_is_live(
        self, full_model_path: Path, music: Array, watch: Callable[[], None]
    ) -> None:
        gone = threading.Event()
        device = FileDevice(music, clock="real")
        with Engine(device, provider="cuda") as engine:
            engine.load(full_model_path)
            engine.start()
            wait_for(lambda: device.position > RATE)
            (stage,) = engine._mixer.chain.networks
            watch()
            watched_from = device.position
            wait_for(lambda: device.position > watched_from + 1024)  # frames under way have the patience of before
            missed = engine.status().missed_samples
            break_down(stage, lambda _: (gone.wait(30), None)[1])
            wait_for(lambda: engine.status().provider == "cpu")
            missed = engine.status().missed_samples - missed
            wait_for(lambda: device.position > 2 * RATE)
            status = engine.status()
            out = device.output[:, 0]
        gone.set()
        assert (status.fallbacks, status.failed_hops) == (1, 0)
        assert 0 < missed <= 0.3 * RATE  # 0.12 s of waiting, and what the delay adds
        assert roughness(out[RATE // 2 :]) <= roughness(music)

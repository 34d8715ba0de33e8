"""What goes wrong in a soak, one function per fault: do it, await the recovery, hold it to what must have counted it.

Each takes the Run and returns what was counted, in words; a fault that is not counted, or not recovered from, raises
NotRecoveredError. Read next: `soak.py`, which calls them in turn.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import fuzzing
import soundfile
from audio_systems import running
from playing import out_of_tune
from soak_run import Run
from soak_watch import CEILING, FULL_SCALE

from rtvox import provider_choice
from rtvox.errors import OscError, RtvoxError
from rtvox.network_thread import NetworkThread
from rtvox.onnx_stage import OnnxStage
from rtvox.osc import OscClient
from rtvox.providers import PROVIDERS

STALL_S, STOP_S, FLOOD_S = 2.0, 2.0, 2.0
OTHER_RATES = cycle([44100, 96000])
HOG_MIB, SPARE_MIB = 1024, 30


def stall(run: Run) -> str:
    """The converter thread stands still."""
    before, converter = run.status(), run.engine._keeper.converter
    converter.catch_up = lambda: time.sleep(0.01)  # type: ignore[method-assign]
    run.wait(STALL_S)
    del converter.catch_up
    run.recover("wet sound")
    after = run.status()
    missed, dropped = after.missed_samples - before.missed_samples, after.dropped - before.dropped
    run.need(missed > 0.8 * STALL_S * after.sample_rate, f"{missed} samples missed in {STALL_S:g} s of stall")
    run.need(dropped > 0, "no input dropped")
    return f"{missed} samples missed, {dropped} dropped"


def device_loss(run: Run) -> str:
    """The sound server dies, and comes back."""
    return f"back {run.restart_server():.1f} s after the server"


def rate_change(run: Run) -> str:
    """The sound server comes back at another rate, is used for a while, and comes back at its own."""
    rate = next(OTHER_RATES)
    run.restart_server(rate)
    run.recover("sound at another rate")
    run.wait(2.0)
    run.swap()
    run.check_delay()
    run.restart_server()
    return f"{rate} Hz and back"


def network_failure(run: Run) -> str:
    """The network raises on the CPU, where nobody can take over, hop after hop."""
    before, network = run.status(), _stage(run)._network
    network.run = out_of_tune  # type: ignore[method-assign]
    try:
        run.wait(0.5)
    finally:
        del network.run
    run.recover("wet sound")
    after = run.status()
    failed = after.failed_hops - before.failed_hops
    run.need(failed > 0 and "out of tune" in after.error, f"{failed} failed hops, error {after.error!r}")
    return f"{failed} hops failed"


def provider_failure(run: Run) -> str:
    """A provider that is not the CPU (a stand-in that computes there in its own thread) fails; the CPU takes over."""
    loader, rows = run.engine._loader, PROVIDERS
    apart = replace(rows["cuda"], onnxruntime="CPUExecutionProvider", device="cpu", options={}, library=("", ""))
    provider_choice.PROVIDERS, loader._provider = {"cuda": apart, "cpu": rows["cpu"]}, "cuda"  # type: ignore[attr-defined]
    try:
        while run.swap() == "none":
            pass
    finally:
        provider_choice.PROVIDERS, loader._provider = rows, "auto"  # type: ignore[attr-defined]
    before, stage = run.status(), _stage(run)
    run.need(isinstance(stage._network, NetworkThread), f"runs on {stage.provider}, not apart")
    stage._network._network.run = out_of_tune  # type: ignore[method-assign, union-attr]
    run.until(lambda: run.status().fallbacks > before.fallbacks, "fallback", 2.0)
    run.recover("wet sound")
    run.need(stage.provider == "cpu", f"runs on {stage.provider}")
    return f"fell back once, {run.status().failed_hops - before.failed_hops} hops failed"


def _stage(run: Run) -> OnnxStage:
    """Return the network of the model in use, and have one."""
    while run.model == "none":
        run.swap()
    stages = getattr(run.engine._mixer.chain.pipeline, "stages", ())
    return next(stage for stage in stages if isinstance(stage, OnnxStage))


def bad_input(run: Run) -> str:
    """The microphone gives what is not a number, then what is far too loud."""
    before = run.engine._counts.repaired
    with run.unbounded():
        for value in (float("nan"), float("inf"), -1e30, 100.0):
            run.watch.disturbance = value
            run.wait(0.1)
        run.watch.disturbance = None
        run.recover("music again")
        run.wait(4.0)  # a network has not forgotten 40 dB above full scale at once: `scream` is rougher for seconds
    repaired = run.engine._counts.repaired - before
    run.need(repaired > 0, "no sample repaired")
    return f"{repaired} samples repaired"


def loud(run: Run) -> str:
    """Both gains at their most: the limiter has 42 dB to take away."""
    with run.unbounded():
        run.engine.set("input_gain", 24.0)
        run.engine.set("output_gain", 24.0)
        run.until(lambda: run.watch.peak > 0.9, "sound at the ceiling", 5.0)
        run.wait(1.0)
        run.engine.set("input_gain", 0.0)
        run.engine.set("output_gain", 0.0)
        run.wait(1.0)
    return f"ceiling of {CEILING:.4f} reached, not passed"


def osc_flood(run: Run) -> str:
    """Another program sends hostile datagrams as fast as it can."""
    before = run.server.ignored
    with run.unbounded(FULL_SCALE):  # they may turn every knob, and bypass has no ceiling
        with running(sys.executable, fuzzing.__file__, str(run.server.port), str(FLOOD_S)) as flood:
            run.until(lambda: flood.poll() is not None, "end of the flood", 60.0)
        with OscClient("127.0.0.1", run.server.port) as client:
            run.until(lambda: _answers(client), "answer over OSC")
        run.restore()
    ignored = run.server.ignored - before
    run.need(ignored > 100, f"{ignored} datagrams ignored")
    return f"{ignored} datagrams ignored"


def _answers(client: OscClient) -> bool:
    """Tell whether a request is answered, and not refused because too many wait."""
    try:
        client.call("/rtvox/get", "/rtvox/version", timeout_s=10.0)
    except OscError:
        return False
    return True


def disk_full(run: Run) -> str:
    """The disk fills up while a recording grows; a limit on file sizes stands for it."""
    path, log_bytes = run.folder / "take.wav", run.log.stat().st_size  # the log must go on
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    run.engine.record(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log_bytes + 300_000, before[1]))
    try:
        run.until(lambda: "recording ended" in run.status().recording, "end of the recording", 30.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        run.engine.stop_recording()
    seconds = soundfile.info(path).duration
    run.need(seconds > 0.5, f"only {seconds:.2f} s on the disk")
    return f"{seconds:.1f} s kept, and said so"


def stopped_process(run: Run) -> str:
    """The whole process is stopped, as by a debugger or a laptop's lid, and goes on."""
    begin, before = time.monotonic(), run.status()
    script = f"kill -STOP {os.getpid()}; sleep {STOP_S}; kill -CONT {os.getpid()}"
    with running("sh", "-c", script) as stopping:
        run.until(lambda: stopping.poll() is not None, "end of the stop", 10.0)
    after = run.status()
    played_s = (after.callbacks - before.callbacks) * after.block / after.sample_rate
    stood_still_s = time.monotonic() - begin - played_s
    run.need(stood_still_s > 0.8 * STOP_S, f"stood still for {stood_still_s:.1f} s only")
    return f"stood still for {stood_still_s:.1f} s, {after.xruns - before.xruns} xruns"


def memory(run: Run) -> str:
    """Another program takes a gigabyte and turns it over; then no more memory is to be had while a model is loaded."""
    code = f"x = bytearray({HOG_MIB} << 20)\nfor i in range(4): x[i::4096] = bytes(len(x[i::4096]))"
    with running(sys.executable, "-c", code) as hog:
        run.until(lambda: hog.poll() is not None, "end of the hog", 60.0)
    path, limit = run.folder / "large.onnx", resource.getrlimit(resource.RLIMIT_AS)
    with path.open("wb") as file:
        file.truncate(2 * SPARE_MIB << 20)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    refusal = ""
    resource.setrlimit(resource.RLIMIT_AS, (used + (SPARE_MIB << 20), limit[1]))
    try:
        run.engine.load(path)
    except RtvoxError as error:
        refusal = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
        path.unlink()
    run.need("MemoryError" in refusal and "\n" not in refusal, f"refused with {refusal!r}")
    return refusal


def clock_jump(run: Run) -> str:
    """The wall clock jumps a day on, back by a day, and to its place: as Python sees it, for libfaketime stops Python's
    own sleep. Elsewhere it is not asked (`test_soak.py`)."""
    before = run.status().callbacks
    for seconds in (86400.0, -86400.0, 0.0):
        run.jump_clock(seconds)
        run.wait(1.0)
    run.need(run.status().callbacks > before, "no callbacks")
    return "a day on and back"


Fault = Callable[[Run], str]
FAULTS: tuple[Fault, ...] = (
    stall,
    device_loss,
    network_failure,
    osc_flood,
    rate_change,
    provider_failure,
    bad_input,
    stopped_process,
    loud,
    disk_full,
    memory,
    clock_jump,
)
NEEDS_SERVER = (device_loss, rate_change)  # the others also run on a FileDevice
NEEDS_REAL_TIME = (stall, stopped_process)

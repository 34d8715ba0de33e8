"""Faults while sound runs, shortly, as `soak.py` has them for an hour; and that its ear hears what it listens for."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from audio_systems import require
from soak import abuse
from soak_faults import bad_input, device_loss, disk_full, loud, memory, network_failure, provider_failure, stall
from soak_hours import Endless
from soak_hours import run as hours
from soak_report import growth_mib, read, report
from soak_watch import CEILING, Bounds, Watch, music

from rtvox.features import Array
from rtvox.levels import SAMPLE_RATE

RTVOX = Path(__file__).parents[1] / "rtvox"
BLOCK = 128


def listen(output: Array, allowed: Bounds) -> Watch:
    """Return a Watch that has heard these blocks (N,)."""
    watch = Watch()
    watch.allowed = allowed
    position = 0

    def callback(indata: Array, outdata: Array) -> None:
        outdata[:, 0] = output[position : position + len(outdata)]

    watched = watch.wrap(callback, SAMPLE_RATE, BLOCK)
    for position in range(0, len(output), BLOCK):  # noqa: B007
        watched(np.zeros((BLOCK, 1), np.float32), np.zeros((BLOCK, 1), np.float32))
    return watch


def heard(watch: Watch) -> tuple[int, int, int, int]:
    return watch.not_numbers, watch.above_ceiling, watch.bursts, watch.clicks


class TestWatch:
    def test_music_is_as_it_is_allowed_to_be_and_has_no_seam(self) -> None:
        x = music(SAMPLE_RATE)
        steps = float(np.abs(np.diff(x.astype(np.float64), 2)).max())
        assert heard(listen(np.tile(x, 2), Bounds(0.5001, 1.01 * steps))) == (0, 0, 0, 0)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (np.nan, (1, 0, 0, 0)),
            (1.0, (0, 1, 1, 3)),
            (0.7, (0, 0, 1, 3)),
            (CEILING, (0, 0, 1, 3)),
            (0.1, (0, 0, 0, 3)),
        ],
    )
    @pytest.mark.parametrize("at", [500, 511, 512])
    def test_one_wrong_sample_is_heard(self, value: float, expected: tuple[int, int, int, int], at: int) -> None:
        output = np.zeros(8 * BLOCK, np.float32)
        output[at] = value
        found = heard(listen(output, Bounds(0.5, 0.05)))
        if np.isnan(value):
            assert found[:3] == expected[:3]
        else:
            assert found == expected

    def test_the_delay_of_what_is_heard(self) -> None:
        x = np.concatenate([np.zeros(700, np.float32), music(SAMPLE_RATE)])[: 80 * BLOCK * 10]
        watch = listen(x, Bounds())
        assert watch.delay_error(700) < 1e-7
        assert watch.delay_error(701) > 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate provider")
def test_faults_over_jack_are_counted_and_recovered(tmp_path: Path) -> None:
    require("jackd")
    plan = (device_loss, network_failure, provider_failure, bad_input, loud, stall)
    run = abuse(tmp_path, 0.0, ["isolate", "none"], swap_s=3.0, fault_s=0.1, plan=plan)
    assert run.failures == []
    samples, events = read(tmp_path)
    assert {"fault", "swap"} <= {line["event"] for line in events}
    assert [line["fault"] for line in events if line["event"] == "fault"] == [fault.__name__ for fault in plan]
    assert max(line["clicks"] + line["bursts"] + line["not_numbers"] for line in samples) == 0


@pytest.mark.slow
def test_faults_on_a_file_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (disk_full, memory, stall)  # no stall: this device waits
    run = abuse(tmp_path, 0.0, ["none"], over_jack=False, fault_s=0.1, plan=plan)
    assert run.failures == []
    report(tmp_path)
    assert "disk full" in capsys.readouterr().out
    assert (tmp_path / "soak.png").stat().st_size > 10_000


def test_growth_is_that_of_running_sound() -> None:
    samples = [{"t": t, "state": "running", "rss_mib": 100.0 + t / 600.0} for t in range(3600)]
    samples[3599] |= {"state": "device lost", "rss_mib": 0.0}
    grown, since = growth_mib(samples, "rss_mib")
    assert since == 600.0
    assert grown == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("seconds", [1, 2, 4, 5, 30])
def test_growth_in_a_run_of_seconds(seconds: int) -> None:
    samples = [{"t": 1.01 * second, "state": "running", "rss_mib": 100.0} for second in range(seconds)]
    assert growth_mib(samples, "rss_mib")[0] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["isolate", "scream"])
def test_after_a_rest_nothing_is_remembered(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `soak.py hours`, for seconds."""
    monkeypatch.setattr("soak_hours.LAST_S", 2)
    monkeypatch.setattr("soak_hours.WARM_IN_S", 2)
    monkeypatch.setattr("soak_hours.PARTS", (1,))
    assert hours([model], 0.001, tmp_path / "hours.jsonl")


def test_another_sound_is_not_the_same() -> None:
    """The comparison with a fresh engine sees a hop's difference."""
    ends = []
    for start in (0, 12 * 256):
        endless = Endless("none", start)
        ends.append(endless.play(40 * 12 * 256, SAMPLE_RATE))
        endless.engine.stop()
    np.testing.assert_array_equal(*ends)
    assert np.abs(ends[0][256:] - ends[0][:-256]).max() > 0.01


def test_only_osc_bundles_and_names_of_recordings_ask_the_wall_clock() -> None:
    """So a jump of the clock, or summer time, cannot be heard."""
    asked = {
        (path.name, node.attr)
        for path in RTVOX.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("time", "time"), ("time", "strftime"), ("datetime", "now")}
    }
    assert asked == {("osc_server.py", "time"), ("session.py", "strftime")}

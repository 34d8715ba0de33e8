"""Tapping a tempo."""

from __future__ import annotations

import pytest

from rtvox.engine import Engine
from rtvox.errors import ParameterError
from rtvox.file_device import PushDevice
from rtvox.params import Param
from rtvox.session import Session
from rtvox.tap_tempo import TapTempo


def test_tempo_is_that_of_the_median_distance() -> None:
    tapped = TapTempo()
    assert [tapped.tap(time) for time in (10.0, 10.5, 11.0, 11.52, 12.0)] == [0.0, 120.0, 120.0, 120.0, 120.0]


def test_a_pause_begins_anew() -> None:
    tapped = TapTempo()
    assert [tapped.tap(time) for time in (0.0, 1.0, 9.0, 9.4)] == [0.0, 60.0, 0.0, pytest.approx(150.0)]
    assert tapped.tap(9.4) == 0.0  # two at once, as one packet may hold, are no tempo


def test_taps_set_a_model_that_has_a_tempo(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5.0, 5.6, 5.7])
    with Engine(PushDevice(48000, 128)) as engine:
        session = Session(engine)
        with pytest.raises(ParameterError, match="tempo: no such control"):
            session.tap()
        engine.params.join([Param(name, "", 0.0, 240.0, 0.0, 0.0, "") for name in ("tempo", "downbeat")])
        monkeypatch.setattr("rtvox.session.time.monotonic", lambda: next(clock))
        session.tap()
        assert engine.params.get("downbeat") == 1.0
        session.tap()
        assert engine.params.get("tempo") == pytest.approx(100.0)
        assert engine.params.get("downbeat") == 0.0
        session.tap()
        assert engine.params.get("tempo") == pytest.approx(60.0 / 0.35)

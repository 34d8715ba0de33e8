"""listener.py: spectra go through untouched, and its measures come at the right time."""

from __future__ import annotations

import numpy as np
import pytest

from rtvox.features import MEL_SPEC, Array
from rtvox.listener import Listener
from rtvox.pitch import track
from rtvox.stft import Analyzer

HOP = MEL_SPEC.hop


@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_measures_hold_for_the_newest_hop_and_for_the_one_that_is_answered(look_ahead: int, glottal: Array) -> None:
    analyzer, measures = Analyzer(MEL_SPEC), track(glottal)
    listener = Listener(analyzer, look_ahead)
    assert len(np.unique(measures[:, 0])) > 10  # there is something to see
    for turn in range(2):
        for i, hop in enumerate(glottal[: len(measures) * HOP].reshape(-1, HOP)):
            spectrum = analyzer.process(hop)
            assert listener.process(spectrum) is spectrum
            np.testing.assert_array_equal(listener.now, measures[i])
            np.testing.assert_array_equal(
                listener.answered, measures[i - look_ahead] if i >= look_ahead else [200.0, 0.0, -100.0]
            )
        analyzer.reset()
        listener.reset()
        assert turn or not np.array_equal(listener.now, measures[-1])

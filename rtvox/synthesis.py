"""Which synthesis turns a model's frames into sound, and how late: the model's choice, or that of the controls.

In: a manifest and the controls. Out: a name and a look-ahead, from which `chain.py` builds stages and `report.py`
states a delay. Pure values, any thread. Read next: `chain.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rtvox.manifest import VOCODER_LATE, Manifest
from rtvox.params import PARAMS, Switch

STRUCTURAL = ("resynthesis", "look_ahead")  # controls that ask for other stages, with another delay: for another chain


def wanted_synthesis(manifest: Manifest | None, settings: Mapping[str, float]) -> tuple[str, int]:
    """Return what is to make the sound of a model (None: of no model), and its look-ahead in frames.

    Args:
        settings: `resynthesis` and `look_ahead` of PARAMS; what is not there has its default. A mask keeps the input's
            phase and takes nothing else.
    """
    row = PARAMS["resynthesis"]
    assert isinstance(row, Switch)
    choice = row.choices[round(settings.get("resynthesis", row.default))]
    if manifest and choice == "auto":
        choice = manifest.resynthesis
    if manifest and manifest.role == "mask":
        return "istft", 0
    if choice in ("griffin-lim", "vocoder"):  # a vocoder that makes phases waits for nothing more
        return choice, round(settings.get("look_ahead", PARAMS["look_ahead"].default))
    return ("input-phase" if manifest else "istft"), 0


def algorithmic_delay(manifest: Manifest) -> int:
    """Return the samples by which a model's sound lags even on an infinitely fast machine: framing and look-ahead.

    Of a vocoder: that of the voice's own frames through it.
    """
    spec = manifest.features
    kind, look_ahead = wanted_synthesis(manifest, {})
    if manifest.role == "vocoder":
        return spec.hop + VOCODER_LATE * spec.hop
    if kind == "vocoder":
        return spec.hop + VOCODER_LATE * spec.hop + manifest.delay
    return spec.n_synthesis + look_ahead * spec.hop + manifest.delay

"""PARAMS: the one table of controls. A row feeds the OSC address, the slider, the flag and the line of the manual.

Enters: nothing. Leaves: rows. Any thread may read it. Read next: `engine.py`, which ramps the values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Param:
    """One control: values run from `low` to `high` in `unit`, and are ramped over `smoothing_ms`."""

    name: str
    unit: str
    low: float
    high: float
    default: float
    smoothing_ms: float
    doc: str

# SPDX-License-Identifier: GPL-3.0-or-later
"""Load, slowest hops and misses over the last minutes, to see whether a machine can be trusted before the concert.

In: the engine's status, twice a second. Out: plots (pyqtgraph, imported when first shown: it takes a fifth of the time
in which the window ought to open). Main thread.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from gui.mirror import Mirror
from gui.theme import Colors, colors

MINUTES = 5
PER_S = 2
POINTS = MINUTES * 60 * PER_S
# Title, colour, and the least range that is shown.
ROWS = (("Load, %", "source", 50.0), ("Slowest 1 %, ms", "sink", 3.0), ("New misses", "bad", 4.0))


class History(QWidget):
    """Three plots, one above the other, newest at the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[deque[float], ...] = tuple(deque([0.0] * POINTS, maxlen=POINTS) for _ in ROWS)
        self._misses: float | None = None
        self._curves: list[Any] = []
        self._plots: Any = None
        self._drawn: Colors | None = None
        QVBoxLayout(self).setContentsMargins(0, 0, 0, 0)

    def add(self, mirror: Mirror) -> None:
        """Take in the status of now, if one has come."""
        if not mirror.status:
            return
        misses = mirror.number("misses")
        new = 0.0 if self._misses is None else max(0.0, misses - self._misses)  # a restarted engine counts from 0
        self._misses = misses
        for row, value in zip(self.rows, (100 * mirror.number("load"), mirror.number("compute/p99"), new), strict=True):
            row.append(value)
        if self.isVisible():
            self._draw()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Make the plots when they are first looked at."""
        self._draw()

    def _draw(self) -> None:
        if self._drawn != colors():
            self._build()
        times = [(place - POINTS) / (60 * PER_S) for place in range(POINTS)]
        for curve, row in zip(self._curves, self.rows, strict=True):
            curve.setData(times, list(row))

    def _build(self) -> None:
        import pyqtgraph as pg

        c = self._drawn = colors()
        layout = self.layout()
        assert layout is not None
        if self._plots is not None:
            layout.removeWidget(self._plots)
            self._plots.deleteLater()
        self._plots = pg.GraphicsLayoutWidget()
        self._plots.setBackground(c.panel)
        layout.addWidget(self._plots)
        self._curves = []
        for number, (title, tone, floor) in enumerate(ROWS):
            # Not pyqtgraph's PlotItem: it makes a dozen menus that nobody owns.
            view = self._plots.addViewBox(row=2 * number + 1, col=1, enableMenu=False, enableMouse=False)
            view.setLimits(yMin=0.0, minYRange=floor)
            view.setXRange(-MINUTES, 0, padding=0)
            self._plots.addLabel(title, row=2 * number, col=1, color=c.text, size="11pt", bold=True, justify="left")
            sides = {"left": (2 * number + 1, 0), "bottom": (2 * len(ROWS), 1)}
            for side in ("left",) if number < len(ROWS) - 1 else sides:
                axis = pg.AxisItem(side, pen=c.line, textPen=c.dim)
                axis.linkToView(view)
                if side == "left":
                    axis.setWidth(44)  # so that the plots stand exactly one above the other
                self._plots.addItem(axis, *sides[side])
            curve = pg.PlotCurveItem(pen=pg.mkPen(getattr(c, tone), width=2))
            view.addItem(curve)
            self._curves.append(curve)
        axis.setLabel("minutes", color=c.dim)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Level meters: Ballistics, how a reading moves, and Meter, which paints it and holds the gate's threshold.

In: peak and rms in dB at 30 Hz. Out: pixels, and `asked` when the threshold is dragged. Main thread.
"""

from __future__ import annotations

import time

from PyQt6.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from gui.theme import colors, font
from rtvox.params import PARAMS

FALL_DB_S = 20.0 / 1.7  # dB per second: IEC 60268-10, type I, falls by 20 dB in 1.7 s
HOLD_S = 2.0  # a peak stays to be read
CLIP_DB = -0.05  # a converter that has reached its last code
FLOOR_DB = -60.0
TICKS = (0, -6, -12, -18, -24, -36, -48, -60)
WARM_DB, HOT_DB = -18.0, -6.0  # EBU R 68 alignment level; where a singer has 6 dB left
TOP, BOTTOM = 66, 10  # pixels above and below the bar


class Ballistics:
    """How a meter moves: up at once, down slowly; the highest peak stays for a while, a clip until `reset`."""

    def __init__(self) -> None:
        self.level = self.hold = self.rms = FLOOR_DB
        self.clipped = False
        self._held_at = -HOLD_S

    def update(self, peak_db: float, rms_db: float, passed_s: float, now: float) -> None:
        """Take in a reading, passed_s seconds after the last one, at time now in seconds."""
        self.level = max(peak_db, self.level - FALL_DB_S * passed_s, FLOOR_DB)
        self.rms = max(rms_db, FLOOR_DB)
        self.clipped = self.clipped or peak_db >= CLIP_DB
        if peak_db >= self.hold or now - self._held_at > HOLD_S:
            self.hold, self._held_at = max(self.level, FLOOR_DB), now

    def reset(self) -> None:
        """Forget the clip and the held peak."""
        self.clipped, self.hold = False, self.level


class Meter(QWidget):
    """A vertical meter: rms filled, peak in outline, held peak as a line and in figures; a click ends a clip.

    With `gate`, a line across shows the gate's threshold and can be dragged; `asked` tells where to.
    """

    asked = pyqtSignal(float)

    def __init__(self, title: str, gate: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._sink = title, not gate
        self.ballistics = Ballistics()
        self.value: float | None = PARAMS["gate_threshold"].default if gate else None
        self._dragging, self._last = False, time.monotonic()
        self._drawn: tuple[object, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(title)
        if gate:
            self.setCursor(Qt.CursorShape.SizeVerCursor)

    def sizeHint(self) -> QSize:
        """Return a size that reads from afar."""
        return QSize(152, 300)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which its scale can be read."""
        return QSize(140, 150)

    def show_levels(self, peak_db: float, rms_db: float) -> None:
        """Take in a reading; paint only if a pixel changes."""
        now = time.monotonic()
        self.ballistics.update(peak_db, rms_db, now - self._last, now)
        self._last = now
        b = self.ballistics
        if (drawn := (*(round(self._y(level)) for level in (b.level, b.rms, b.hold)), b.clipped)) != self._drawn:
            if self._drawn[2:] == drawn[2:]:
                self.update(self._bar().toAlignedRect().adjusted(-2, -2, 2, 2))
            else:
                self.update()
            self._drawn = drawn

    def show_value(self, value: float) -> None:
        """Show the gate's threshold."""
        if value != self.value:
            self.value = value
            self.update()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """End a clip; on the bar, take hold of the threshold."""
        if event and event.button() == Qt.MouseButton.LeftButton:
            if event.position().y() < TOP - 4:
                self.ballistics.reset()
                self.update()
            elif self.value is not None:
                self._dragging = True
                self._drag(event.position().y())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the threshold."""
        if event and self._dragging:
            self._drag(event.position().y())

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go of the threshold."""
        self._dragging = False

    def _drag(self, y: float) -> None:
        bar = self._bar()
        level = FLOOR_DB * (y - bar.top()) / bar.height()
        value = PARAMS["gate_threshold"].low if level < FLOOR_DB else min(float(round(level)), 0.0)  # below all: off
        if value != self.value:
            self.value = value
            self.update()
            self.asked.emit(value)

    def _bar(self) -> QRectF:
        return QRectF(self.width() / 2 - 30, TOP, 60, max(self.height() - TOP - BOTTOM, 20))

    def _y(self, level_db: float) -> float:
        bar = self._bar()
        return bar.top() + bar.height() * min(max(level_db / FLOOR_DB, 0.0), 1.0)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the part that has changed."""
        c, painter, bar, b = colors(), QPainter(self), self._bar(), self.ballistics
        if event is None or event.rect().top() < TOP - 4:
            self._paint_head(painter)
        painter.fillRect(bar, QColor(c.raised))
        mild = QColor(c.sink if self._sink else c.source)
        for low, high, color in (
            (FLOOR_DB, WARM_DB, mild),
            (WARM_DB, HOT_DB, QColor(c.good)),
            (HOT_DB, CLIP_DB, QColor(c.warn)),
        ):
            top = self._y(high if high != CLIP_DB else 0.0)
            for level, inset, strength in ((b.level, 0.0, 0.45), (b.rms, 10.0, 1.0)):
                if level > low:
                    y = max(self._y(level), top)
                    color.setAlphaF(strength)
                    painter.fillRect(QRectF(bar.left() + inset, y, bar.width() - 2 * inset, self._y(low) - y), color)
        if b.hold > FLOOR_DB:
            painter.fillRect(QRectF(bar.left(), self._y(b.hold) - 1.5, bar.width(), 3), QColor(c.text))
        painter.setFont(font(9, bold=True))
        for tick in TICKS:
            y = self._y(tick)
            painter.fillRect(QRectF(bar.right() + 3, y - 0.5, 5, 1), QColor(c.dim))
            if event is None or event.rect().right() > bar.right() + 4:
                painter.setPen(QColor(c.dim))
                place = QRectF(bar.right() + 10, y - 8, 30, 16)
                painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, str(-tick))
        if self.value is not None:
            self._paint_gate(painter, bar, self.value)

    def _paint_head(self, painter: QPainter) -> None:
        c, b, centre = colors(), self.ballistics, Qt.AlignmentFlag.AlignCenter
        painter.setPen(QColor(c.dim))
        painter.setFont(font(10, bold=True))
        painter.drawText(QRectF(0, 0, self.width(), 18), centre, self._title)
        lamp = QRectF(8, 20, self.width() - 16, 36)
        if b.clipped:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.bad))
            painter.drawRoundedRect(lamp, 6, 6)
        painter.setPen(QColor(c.on_fill if b.clipped else c.text))
        painter.setFont(font(22, bold=True))
        painter.drawText(lamp, centre, "CLIP" if b.clipped else f"{round(b.hold)}" if b.hold > FLOOR_DB else "-")

    def _paint_gate(self, painter: QPainter, bar: QRectF, threshold: float) -> None:
        c = colors()
        off = threshold <= FLOOR_DB
        y, color = self._y(threshold), QColor(c.dim if off else c.warn)
        painter.fillRect(QRectF(bar.left() - 6, y - 1, bar.width() + 8, 2), color)
        painter.setPen(color)
        painter.setFont(font(9, bold=True))
        place = QRectF(0, y - (22 if off else 16), bar.left() - 4, 32)
        text = "gate\noff" if off else f"gate\n{threshold:.0f}"
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Live figures in large type: state, latency with its parts, load, the slowest hops, misses.

In: the engine's status. Out: labels, written twice a second (figures that change faster cannot be read). Main thread.
"""

from __future__ import annotations

import time

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from gui.controls import OscTip
from gui.mirror import Mirror
from gui.theme import colors, font

LATENCY_PARTS = ("device", "prefill", "framing", "look_ahead", "edge")
LOAD_WARN, LOAD_BAD = 0.6, 0.9  # docs/design.md: p99 <= 60 % of a hop; beyond 90 % misses are a matter of time
RECENT_S = 10.0  # a miss is shown as trouble for so long


class Figure(QWidget):
    """A caption and a large value; `tone` is a field of `theme.Colors`."""

    def __init__(self, caption: str, address: str, doc: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._caption, self.text, self.tone = caption, "-", "text"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(caption)
        OscTip(self, address, doc)

    def sizeHint(self) -> QSize:
        """Return a size for five digits and a unit."""
        return QSize(132, 56)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which the value fits."""
        return QSize(96, 56)

    def show_text(self, text: str, tone: str = "text") -> None:
        """Write another value."""
        if (text, tone) != (self.text, self.tone):
            self.text, self.tone = text, tone
            self.setAccessibleDescription(text)
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw caption and value."""
        c, painter = colors(), QPainter(self)
        painter.setPen(QColor(c.dim))
        painter.setFont(font(9, bold=True))
        painter.drawText(QRectF(0, 0, self.width(), 16), Qt.AlignmentFlag.AlignLeft, self._caption.upper())
        painter.setPen(QColor(getattr(c, self.tone)))
        for points in (23, 19, 15, 12):  # the largest that fits
            painter.setFont(font(points, bold=True))
            if painter.fontMetrics().horizontalAdvance(self.text) <= self.width():
                break
        place = QRectF(0, 15, self.width(), 41)
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.text)


class LatencyBar(QWidget):
    """What the latency is made of: one length per part, with its name and milliseconds where there is room."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parts: dict[str, float] = dict.fromkeys(LATENCY_PARTS, 0.0)  # ms
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        OscTip(self, "/rtvox/status/latency", "What the latency from microphone to speaker is made of.")

    def sizeHint(self) -> QSize:
        """Return a size at which all parts have room for their names."""
        return QSize(560, 34)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which lengths can be compared."""
        return QSize(120, 34)

    def show_parts(self, parts: dict[str, float]) -> None:
        """Draw other lengths, in ms."""
        if parts != self.parts:
            self.parts = parts
            self.setAccessibleDescription(", ".join(f"{name} {ms:.1f} ms" for name, ms in parts.items()))
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lengths."""
        c, painter, total, x = colors(), QPainter(self), sum(self.parts.values()), 0.0
        painter.fillRect(self.rect(), QColor(c.raised))
        painter.setFont(font(11, bold=True))
        shades = [QColor(c.source), QColor(c.sink)]
        for number, (name, ms) in enumerate((name, ms) for name, ms in self.parts.items() if ms > 0.0):
            part = QRectF(x, 0, self.width() * ms / total, self.height())
            painter.fillRect(part.adjusted(0, 0, -2, 0), shades[number % 2])
            painter.setPen(QColor(c.on_fill))
            metrics = painter.fontMetrics()
            for text in (f"{name.replace('_', '-')} {ms:.1f} ms", f"{name.replace('_', '-')}", f"{ms:.1f}"):
                if metrics.horizontalAdvance(text) + 8 < part.width():
                    painter.drawText(part, Qt.AlignmentFlag.AlignCenter, text)
                    break
            x = part.right()


class StateLamp(QWidget):
    """What is going on, in one word on a coloured ground."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.tone = "", "raised"
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        OscTip(self, "/rtvox/status/state", "Whether sound runs, and what is done to it.")

    def sizeHint(self) -> QSize:
        """Return a size for the longest word."""
        return QSize(176, 50)

    def show_state(self, mirror: Mirror, online: bool) -> None:
        """Show the weightiest of what is true."""
        state, value = mirror.text("state"), mirror.values
        found = (
            ("NO ENGINE", "bad", not online),
            ("DEVICE LOST", "bad", state == "device lost"),
            ("STOPPED", "raised", state != "running"),
            ("MUTED", "warn", bool(value["mute"])),
            ("BYPASSED", "warn", bool(value["bypass"])),
            ("LIVE", "good", True),
        )
        self.text, self.tone = next((text, tone) for text, tone, true in found if true)
        self.setAccessibleName(self.text)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the word."""
        c, painter = colors(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(c, self.tone)))
        painter.drawRoundedRect(self.rect(), 10, 10)
        painter.setPen(QColor(c.text if self.tone == "raised" else c.on_fill))
        painter.setFont(font(17, bold=True))
        painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, self.text)


class Figures(QWidget):
    """The row of figures."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        status = "/rtvox/status/"
        self.latency = Figure("Latency", f"{status}latency", "From microphone to speaker.", self)
        self.load = Figure("Load", f"{status}load", "Mean part of a hop's time that its conversion takes.", self)
        self.p99 = Figure("Slowest 1 %", f"{status}compute/p99", "One hop in a hundred takes longer than this.", self)
        self.misses = Figure("Misses", f"{status}misses", "Callbacks that found no converted sound in time.", self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(18)
        for figure in (self.latency, self.load, self.p99, self.misses):
            row.addWidget(figure)
        self._seen: float | None = None  # misses when last looked at
        self._missed_at = -RECENT_S

    def show_status(self, mirror: Mirror, online: bool) -> None:
        """Write what the status says, or dashes if nobody is there."""
        if not online or not mirror.status:
            self._seen = None
            for figure in (self.latency, self.load, self.p99, self.misses):
                figure.show_text("-", "dim")
            return
        load, p99, misses = mirror.number("load"), mirror.number("compute/p99"), mirror.number("misses")
        if self._seen is not None and misses > self._seen:
            self._missed_at = time.monotonic()
        self._seen = misses
        recent = time.monotonic() - self._missed_at < RECENT_S
        self.latency.show_text(f"{mirror.number('latency'):.1f} ms")
        self.load.show_text(f"{load:.0%}", "bad" if load > LOAD_BAD else "warn" if load > LOAD_WARN else "text")
        self.p99.show_text(f"{p99:.2f} ms")
        self.misses.show_text(f"{misses:.0f}", "bad" if recent else "warn" if misses else "good")

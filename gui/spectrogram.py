# SPDX-License-Identifier: GPL-3.0-or-later
"""A scrolling mel spectrogram.

In: log-mel frames at 30 Hz. Out: pixels. The image is a ring of columns: a new frame writes one column and paints two
stretched parts of the ring; a plot library's image costs five times as much (docs/measurements.md). Main thread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QEvent, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from gui.theme import Colors, colors, font

SECONDS, FRAMES_HZ = 10, 30
COLUMNS = SECONDS * FRAMES_HZ
BANDS = 80
TOP_HZ = 24000.0
SILENCE, LOUD = -7.0, 2.5  # natural log of mel magnitude: from a quiet room's noise to a shout
GUTTER = 46  # pixels for the frequencies, right of the image
TICKS_HZ = {200: "200", 1000: "1k", 5000: "5k", 16000: "16k"}


def mel(hz: float) -> float:
    """Return the place of a frequency on the mel scale of rtvox/features.py (Slaney's).

    >>> mel(1000.0)
    15.0
    """
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + 27.0 * float(np.log(hz / 1000.0) / np.log(6.4))


class Spectrogram(QWidget):
    """The last ten seconds, newest at the right, low frequencies at the bottom."""

    def __init__(self, title: str, sink: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._sink = title, sink
        self._levels = np.zeros((BANDS, COLUMNS), np.uint8)
        self._pixels = np.zeros((BANDS, COLUMNS), np.uint32)
        self._image = QImage(self._pixels.data, COLUMNS, BANDS, 4 * COLUMNS, QImage.Format.Format_RGB32)  # type: ignore[call-overload]  # a buffer will do
        self._next = 0  # the column that is written next, the oldest
        self._table = np.zeros(256, np.uint32)
        self._labels: QPixmap | None = None
        self._recolor()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(title)

    def sizeHint(self) -> QSize:
        """Return a size at which ten seconds are easy to follow."""
        return QSize(600, 180)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which something can be seen."""
        return QSize(200, 60)

    @property
    def levels(self) -> npt.NDArray[np.uint8]:
        """(M, 300) what is shown, 0 to 255, low bands at the bottom, newest at the right."""
        return np.roll(self._levels, -self._next, axis=1)

    def push(self, log_mel: npt.NDArray[np.float32]) -> None:
        """Scroll by one frame (M,); one of another size is left alone."""
        if log_mel.shape != (BANDS,):
            return
        scaled = (log_mel[::-1] - SILENCE) * (255.0 / (LOUD - SILENCE))
        self._levels[:, self._next] = np.clip(np.nan_to_num(scaled), 0.0, 255.0)
        self._pixels[:, self._next] = self._table[self._levels[:, self._next]]
        self._next = (self._next + 1) % COLUMNS
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the ring from its oldest column on, and the labels over it."""
        painter, width, height = QPainter(self), self.width() - GUTTER, self.height()
        old = COLUMNS - self._next
        cut = round(width * old / COLUMNS)
        painter.drawImage(QRectF(0, 0, cut, height), self._image, QRectF(self._next, 0, old, BANDS))
        if self._next:
            painter.drawImage(QRectF(cut, 0, width - cut, height), self._image, QRectF(0, 0, self._next, BANDS))
        if self._labels is None:
            self._labels = self._draw_labels()
        painter.drawPixmap(0, 0, self._labels)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Draw the labels anew."""
        self._labels = None

    def changeEvent(self, event: QEvent | None) -> None:
        """Take the colours of a new theme."""
        if event and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._recolor()
            self._labels = None
            self.update()

    def _recolor(self) -> None:
        self._table = _ramp(colors(), self._sink)
        self._pixels[:] = self._table[self._levels]

    def _draw_labels(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap(self.size() * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        c, painter = colors(), QPainter(pixmap)
        gutter = QRectF(self.width() - GUTTER, 0, GUTTER, self.height())
        painter.fillRect(gutter, QColor(c.panel))
        painter.setFont(font(11, bold=True))
        title = QRectF(8, 8, painter.fontMetrics().horizontalAdvance(self._title) + 20, 24)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.panel))
        painter.drawRoundedRect(title, 6, 6)
        painter.setPen(QColor(c.sink if self._sink else c.source))
        painter.drawText(title, Qt.AlignmentFlag.AlignCenter, self._title)
        painter.setFont(font(9, bold=True))
        painter.setPen(QColor(c.dim))
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        for hz, text in TICKS_HZ.items():
            y = self.height() * (1.0 - mel(hz) / mel(TOP_HZ))
            painter.fillRect(QRectF(gutter.left() + 3, y - 0.5, 5, 1), QColor(c.dim))
            painter.drawText(QRectF(gutter.left() + 11, y - 8, 35, 16), middle, text)
        painter.end()
        return pixmap


def _ramp(c: Colors, sink: bool) -> npt.NDArray[np.uint32]:
    """Return (256,) colours as 0xffRRGGBB, from the panel through one hue to the colour of text."""
    stops = [QColor(name) for name in (c.panel, c.sink if sink else c.source, c.text)]
    channels = [
        np.interp(np.arange(256), [0, 200, 255], [getattr(stop, channel)() for stop in stops]).astype(np.uint32)
        for channel in ("red", "green", "blue")
    ]
    return np.asarray(0xFF000000 | channels[0] << 16 | channels[1] << 8 | channels[2], np.uint32)

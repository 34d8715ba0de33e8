# SPDX-License-Identifier: GPL-3.0-or-later
"""The widgets that change a value: Fader, Choice and OscButton, and what every control has in common.

A control tells the user's wishes by a signal (`asked`) and is told the truth by a method (`show_value`), which never
signals: so an echo of the engine cannot start a loop. Main thread. Read next: `panels.py`, which ties both together.
"""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QGuiApplication, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from gui.theme import colors, font
from rtvox.params import GATE_OFF_DB, Param, Switch

STEPS = 100  # of a fader's range, per notch of the wheel or press of an arrow key; with Shift ten times finer
FINE = 10


def label(text: str = "", name: str = "") -> QLabel:
    """Return a text that wraps; the style sheet knows the name."""
    result = QLabel(text)
    result.setObjectName(name)
    result.setWordWrap(not name)
    return result


class OscTip(QObject):
    """Gives a widget its tooltip, and lets a right click copy its OSC address. Owned by the widget."""

    def __init__(self, widget: QWidget, address: str, doc: str = "", key: str = "") -> None:
        super().__init__(widget)
        self.address = address
        keys = f"\nKey: {key}" if key else ""
        widget.setToolTip(f"{doc}{keys}\nOSC: {address}\nRight click copies the address.".strip())
        widget.setProperty("osc", address)
        widget.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Copy the address at a right click."""
        if not isinstance(event, QMouseEvent) or not isinstance(watched, QWidget):
            return False
        if event.type() != QEvent.Type.MouseButtonPress or event.button() != Qt.MouseButton.RightButton:
            return False
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.address)
        QToolTip.showText(event.globalPosition().toPoint(), f"Copied {self.address}", watched)
        return True


class Fader(QWidget):
    """A horizontal slider with its name and, in large type, its value.

    Drag or wheel changes it, Shift is fine, a double click goes to the default, arrow keys step.
    """

    asked = pyqtSignal(float)

    def __init__(self, param: Param, title: str = "", tone: str = "text") -> None:
        """Take the row, another name than the row's, and the colour (a field of `theme.Colors`)."""
        super().__init__()
        self._tone = tone
        self.param, self._title = param, title or param.name.replace("_", " ").capitalize()
        self.value = param.default
        # A control that is not ramped, with whole limits, goes in whole steps: iterations, frames, a threshold in dB.
        self._whole = param.smoothing_ms == 0.0 and param.low.is_integer() and param.high.is_integer()
        self._grip: tuple[float, float] | None = None  # where the mouse took hold: x, and the value there
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self._title)

    def sizeHint(self) -> QSize:
        """Return a size at which the value can be read from afar."""
        return QSize(220, 58)

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which name and value fit."""
        return QSize(120, 58)

    def show_value(self, value: float) -> None:
        """Show what the engine has."""
        if value != self.value:
            self.value = value
            self.update()

    def text(self) -> str:
        """Return the value with its unit; a part of one is shown in percent."""
        low, high = self.param.low, self.param.high
        if self.param.name == "gate_threshold" and self.value <= GATE_OFF_DB:
            return "off"
        if (low, high, self.param.unit) == (0.0, 1.0, ""):
            return f"{self.value:.0%}"
        digits = 0 if self._whole else 1 if high - low > 10 else 2
        return f"{self.value:.{digits}f} {self.param.unit}".rstrip()

    def _ask(self, value: float) -> None:
        value = min(max(round(value) if self._whole else value, self.param.low), self.param.high)
        if value != self.value:
            self.value = value
            self.update()
            self.asked.emit(value)

    def _step(self, steps: float) -> None:
        step = (self.param.high - self.param.low) / STEPS
        self._ask(self.value + steps * (max(1.0, round(step)) if self._whole else step))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold: the value jumps to the mouse, or with Shift stays where it is."""
        if event and event.button() == Qt.MouseButton.LeftButton:
            part = min(max(event.position().x() / max(1, self.width()), 0.0), 1.0)
            if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._ask(self.param.low + part * (self.param.high - self.param.low))
            self._grip = event.position().x(), self.value

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the hand."""
        if event and self._grip:
            fine = FINE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            x, value = self._grip
            moved = (event.position().x() - x) / max(1, self.width()) / fine
            self._ask(value + moved * (self.param.high - self.param.low))
            self._grip = event.position().x(), value + moved * (self.param.high - self.param.low)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        self._grip = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Go to the default."""
        self._grip = None
        self._ask(self.param.default)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Step by the wheel."""
        if event:
            fine = FINE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            self._step((event.angleDelta().y() or event.angleDelta().x()) / 120 / fine)
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Step by arrows and pages, go to the ends, or with Delete to the default."""
        if event is None:
            return
        fine = FINE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        key = Qt.Key
        steps = {key.Key_Left: -1, key.Key_Down: -1, key.Key_Right: 1, key.Key_Up: 1}
        places = {key.Key_Home: self.param.low, key.Key_End: self.param.high, key.Key_Delete: self.param.default}
        if (pressed := key(event.key())) in steps:
            self._step(steps[pressed] / fine)
        elif pressed in places:
            self._ask(places[pressed])
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw name, value and track."""
        c, painter = colors(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = self.width(), self.height()
        top = QRectF(0, 0, width, height - 20)
        painter.setPen(QColor(c.dim))
        painter.setFont(font(10.5, bold=True))
        painter.drawText(top, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._title)
        painter.setPen(QColor(c.text if self.isEnabled() else c.line))
        painter.setFont(font(17, bold=True))
        painter.drawText(top, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.text())
        track = QRectF(0, height - 17, width, 10)
        span = self.param.high - self.param.low
        at, zero = (width * (value - self.param.low) / span for value in (self.value, self.param.default))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.raised))
        painter.drawRoundedRect(track, 5, 5)
        painter.setBrush(QColor(getattr(c, self._tone) if self.isEnabled() else c.line))
        painter.drawRoundedRect(QRectF(0, track.top(), at, 10), 5, 5)
        painter.setBrush(QColor(c.dim))  # the default's place
        painter.drawRect(QRectF(min(max(zero - 1, 0), width - 2), track.bottom() + 2, 2, 4))
        painter.setBrush(QColor(c.text if self.isEnabled() else c.line))
        painter.drawEllipse(QPointF(min(max(at, 8.0), width - 8.0), track.center().y()), 8, 8)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(c.source))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)


class Choice(QWidget):
    """A switch with a few named values, as buttons side by side."""

    asked = pyqtSignal(float)

    def __init__(self, param: Switch, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.param, self.value = param, param.default
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(label(param.name.replace("_", " ").capitalize(), "caption"))
        column.addLayout(row)
        self.buttons = []
        for number, name in enumerate(param.choices):
            button = QPushButton(name, self)
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.clicked.connect(lambda _on, number=number: self._ask(float(number)))
            row.addWidget(button)
            self.buttons.append(button)
        self.show_value(param.default)

    def show_value(self, value: float) -> None:
        """Show what the engine has."""
        self.value = value
        if 0 <= value < len(self.buttons):
            self.buttons[int(value)].setChecked(True)

    def _ask(self, value: float) -> None:
        if value != self.value:
            self.value = value
            self.asked.emit(value)


class Toggle(QPushButton):
    """A large button that is a switch of two values; lit when on."""

    asked = pyqtSignal(float)

    def __init__(self, title: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setCheckable(True)
        self.setObjectName(name)
        self.clicked.connect(lambda on: self.asked.emit(float(on)))

    def show_value(self, value: float) -> None:
        """Show what the engine has."""
        self.setChecked(bool(value))

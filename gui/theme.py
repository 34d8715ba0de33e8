# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours, fonts and the style sheet, dark and light.

The application's palette is the one place that knows which of the two is on: `colors()` reads it back, so a widget that
paints itself asks at each paint and follows a change without being told. Main thread. Read next: `window.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from string import Template

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PyQt6.QtWidgets import QApplication

MODES = ("auto", "dark", "light")


@dataclass(frozen=True)
class Colors:
    """What each colour is for; text on its ground has a contrast of at least 4.5 (WCAG 2.2, level AA)."""

    ground: str
    panel: str
    raised: str
    line: str
    text: str
    dim: str  # text of second rank
    source: str  # all that is about the input
    sink: str  # all that is about the output
    good: str
    warn: str
    bad: str
    on_fill: str  # text on source, sink, good, warn and bad


DARK = Colors(
    ground="#0b0d11",
    panel="#14171e",
    raised="#1f242e",
    line="#343b49",
    text="#f4f6fa",
    dim="#a3adbd",
    source="#6cb2ff",
    sink="#2fd6b5",
    good="#43d17c",
    warn="#ffb224",
    bad="#ff5c5c",
    on_fill="#0b0d11",
)
LIGHT = Colors(
    ground="#eceef2",
    panel="#ffffff",
    raised="#e4e8ee",
    line="#b9c1cd",
    text="#10141b",
    dim="#4a5463",
    source="#0b5cad",
    sink="#00705c",
    good="#17723a",
    warn="#8f5200",
    bad="#bf1d1d",
    on_fill="#ffffff",
)

_STYLE = Template("""
* { outline: none; }
QWidget { color: $text; }
QMainWindow, QDialog, QScrollArea, QScrollArea > QWidget > QWidget { background: $ground; }
QFrame#panel { background: $panel; border: 1px solid $line; border-radius: 10px; }
QLabel#caption { color: $dim; font-weight: 600; }
QLabel#banner { background: $bad; color: $on_fill; border-radius: 8px; padding: 0 14px; min-height: 34px;
    font-weight: 600; }
QLabel#note { background: $raised; color: $text; border: 1px solid $line; border-radius: 8px; padding: 0 14px;
    min-height: 32px; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QPushButton { background: $raised; border: 1px solid $line; border-radius: 8px; padding: 6px 14px; font-weight: 600; }
QPushButton:hover { border-color: $dim; }
QPushButton:focus { border: 2px solid $source; }
QPushButton:pressed { background: $line; }
QPushButton:disabled { color: $line; }
QPushButton:checked { background: $source; color: $on_fill; border-color: $source; }
QPushButton#bypass:checked, QPushButton#mute:checked, QPushButton#learn:checked
    { background: $warn; border-color: $warn; }
QPushButton#record:checked { background: $bad; border-color: $bad; }
QPushButton#panic { background: $panel; color: $bad; border: 2px solid $bad; }
QPushButton#panic:hover, QPushButton#panic:pressed { background: $bad; color: $on_fill; }
QPushButton#card { text-align: left; padding: 8px 12px; border-radius: 10px; }
QPushButton#card:checked { background: $panel; color: $text; border: 3px solid $sink; }
QScrollBar { background: transparent; width: 10px; height: 10px; }
QScrollBar::handle { background: $line; border-radius: 5px; min-height: 24px; min-width: 24px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: none; }
""")


def colors() -> Colors:
    """Return the colours of the mode that is on."""
    return DARK if QGuiApplication.palette().window().color().lightness() < 128 else LIGHT


def apply(mode: str) -> None:
    """Turn the whole application dark or light; "auto" does as the desktop does, dark where it does not say."""
    hints = QGuiApplication.styleHints()
    assert hints is not None
    light = mode == "light" or (mode == "auto" and hints.colorScheme() == Qt.ColorScheme.Light)
    chosen = LIGHT if light else DARK
    palette = QPalette(QColor(chosen.raised), QColor(chosen.ground))
    role = QPalette.ColorRole
    for where, color in (
        (role.WindowText, chosen.text),
        (role.Text, chosen.text),
        (role.ButtonText, chosen.text),
        (role.Base, chosen.panel),
        (role.Highlight, chosen.source),
        (role.HighlightedText, chosen.on_fill),
        (role.PlaceholderText, chosen.dim),
        (role.ToolTipBase, chosen.raised),
        (role.ToolTipText, chosen.text),
    ):
        palette.setColor(where, QColor(color))
    QApplication.setPalette(palette)
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    application.setStyleSheet(_STYLE.substitute(asdict(chosen)))


def font(points: float, bold: bool = False) -> QFont:
    """Return the desktop's font at that size, with digits of one width, so that figures do not dance."""
    result = QFont(QGuiApplication.font())
    result.setPointSizeF(points)
    result.setBold(bold)
    result.setFeature(QFont.Tag("tnum"), 1)
    return result

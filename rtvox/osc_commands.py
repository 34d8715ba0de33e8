"""Commands: what each OSC address does to a Session, and what a Session looks like as OSC messages.

In: an address and its values. Out: calls of the session, and the values of the answer. What `osc_tree.py` calls
asynchronous runs in the server's worker thread, one at a time; all else in the server's own thread, and takes
microseconds. Read next: `osc_server.py`, which carries the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from rtvox.errors import OscError, ParameterError
from rtvox.levels import SAMPLE_RATE
from rtvox.osc import Value
from rtvox.osc_tree import COMMANDS, ROOT, STATUS
from rtvox.session import Session, with_changes
from rtvox.synthesis import algorithmic_delay

Message = tuple[str, tuple[Value, ...]]
MAX_PATTERN = 4  # stars in an address pattern: more would let a stranger keep the matching busy
_PARAM = f"{ROOT}/param/"
_PATTERN = re.compile(r"[*?\[{]")


class Commands:
    """The dispatch table of one session.

    Attributes:
        waiting: the addresses that are done by the worker.
        quit: called by /rtvox/quit.
    """

    def __init__(self, session: Session, quit_engine: Callable[[], object] = lambda: None) -> None:
        self.session, self.quit = session, quit_engine
        self.waiting = frozenset(row.path for row in COMMANDS if row.waits)
        session_ = session
        self._calls: dict[str, Callable[..., object]] = {
            "/rtvox/model": lambda name: session_.load_model(_text(name)),
            "/rtvox/bypass": self._bypass,
            "/rtvox/start": session.start,
            "/rtvox/stop": session.engine.stop,
            "/rtvox/panic": session.engine.panic,
            "/rtvox/record": self._record,
            "/rtvox/tap": session.tap,
            "/rtvox/say": lambda text, voice="": session_.say(_text(text), _text(voice)),
            "/rtvox/preset/load": lambda name: session_.load_preset(_text(name)),
            "/rtvox/preset/save": lambda name, devices=0.0: session_.save_preset(_text(name), _number(devices) != 0.0),
            "/rtvox/preset/delete": lambda name: session_.delete_preset(_text(name)),
            "/rtvox/device": self._device,
            "/rtvox/device/input": lambda name: self._change(input=_text(name)),
            "/rtvox/device/output": lambda name: self._change(output=_text(name)),
            "/rtvox/device/block": lambda block: self._change(block=_whole(block)),
            "/rtvox/device/rate": lambda rate: self._change(rate=_whole(rate)),
            "/rtvox/quit": lambda: self.quit(),
        }

    def addresses(self, pattern: str) -> list[str]:
        """Return the addresses of controls and commands that an address, or an OSC 1.0 pattern, means.

        Patterns mean what takes no time, without /rtvox/quit. Raises: OscError if there is none.
        """
        if not _PATTERN.search(pattern):
            return [pattern]
        if pattern.count("*") > MAX_PATTERN:
            raise OscError(f"more than {MAX_PATTERN} stars in an address")
        match = _pattern(pattern).fullmatch
        quick = [path for path in self._calls if path not in self.waiting and path != "/rtvox/quit"]
        found = [path for path in (*self._params(), *quick) if match(path)]
        if not found:
            raise OscError("no control has such an address")
        return found

    def run(self, address: str, values: Sequence[Value]) -> tuple[Value, ...]:
        """Do what a message says; return what the answer holds. Raises: RtvoxError."""
        if address.startswith(_PARAM):
            return self._param(address.removeprefix(_PARAM), values)
        call = self._calls.get(address)
        if call is None:
            raise OscError("no such address; docs/osc.md lists them, as OSCQuery does at http://HOST:PORT/")
        try:
            result = call(*values)
        except TypeError as error:
            if "argument" not in str(error):  # a mistake of ours
                raise
            usage = next(row.types for row in COMMANDS if row.path == address)
            raise OscError(f"{len(values)} values; needs {usage or 'none'}") from None
        return () if result is None else (str(result),)

    def asked(self, wanted: str = "") -> list[Message]:
        """Return the messages that answer /rtvox/get: of one address, of all below it, or (empty) of all."""
        self.session.look_again()
        messages: list[Message] = list(self.session.state().items())
        messages += [*self._model_lists(), *self.status()]
        if wanted.startswith(f"{ROOT}/device"):
            messages += self._device_lists()
        found = [message for message in messages if not wanted or _below(wanted, message[0])]
        if not found and wanted.rstrip("/") not in (row.path for row in (*COMMANDS, *STATUS)):
            raise OscError(f"{wanted}: nothing of that address can be asked for")
        return found

    def status(self, ignored: int = 0) -> list[Message]:
        """Return the addresses of `osc_tree.STATUS` with their values."""
        status, card = self.session.engine.status(), self.session.engine.device
        parts = ("device", "prefill", "framing", "look_ahead", "edge")
        values: dict[str, Value] = {
            "state": status.state,
            "latency": status.latency.total_ms,
            **{f"latency/{part}": getattr(status.latency, part) * 1000.0 / SAMPLE_RATE for part in parts},
            "load": status.load,
            "compute/p50": status.compute_p50_ms,
            "compute/p99": status.compute_p99_ms,
            "compute/max": status.compute_max_ms,
            "callbacks": status.callbacks,
            "misses": status.misses,
            "xruns": status.xruns,
            "provider": status.provider,
            "fallbacks": status.fallbacks,
            "recorded": status.recorded_s,
            "message": "; ".join(filter(None, (getattr(card, "message", ""), status.message))),
            "error": status.error or self.session.fault,
            "osc/ignored": ignored,
        }
        return [(f"{ROOT}/status/{name}", (value,)) for name, value in values.items()]

    def _params(self) -> list[str]:
        return [f"{_PARAM}{name}" for name in self.session.engine.params.table]

    def _param(self, name: str, values: Sequence[Value]) -> tuple[Value, ...]:
        if not values:
            return (self.session.engine.params.get(name),)
        if len(values) > 1:
            raise OscError(f"{len(values)} values; needs one")
        self.session.set(name, values[0] if isinstance(values[0], str) else _number(values[0]))
        return ()

    def _bypass(self, value: Value | None = None) -> None:
        now = self.session.engine.params.get("bypass")
        self._param("bypass", (1.0 - now if value is None else value,))

    def _record(self, what: Value = 1.0) -> str:
        if isinstance(what, str):
            return str(self.session.record(what))
        if _number(what):
            return str(self.session.record(""))
        self.session.engine.stop_recording()
        return ""

    def _device(self, source: Value, sink: Value, *sizes: Value) -> None:
        if len(sizes) > 2:
            raise OscError(f"{2 + len(sizes)} values; needs ss[i][i]")
        numbers = dict(zip(("block", "rate"), map(_whole, sizes), strict=False))
        self._change(input=_text(source), output=_text(sink), **numbers)

    def _change(self, **changes: str | int) -> None:
        self.session.set_devices(with_changes(self.session.devices, **changes))

    def _model_lists(self) -> Iterable[Message]:
        for name, (_, manifest) in self.session.models.items():
            delay = algorithmic_delay(manifest) * 1000.0 / manifest.features.sample_rate
            licences = ", ".join(sorted({source.licence for source in manifest.provenance.data}))
            yield "/rtvox/models/info", (name, manifest.title, manifest.role, delay, licences)
            for row in manifest.controls:
                numbers = (row.low, row.high, row.default, row.smoothing_ms)
                yield "/rtvox/models/control", (name, row.name, row.unit, *map(float, numbers), row.doc)

    def _device_lists(self) -> Iterable[Message]:
        from rtvox.devices import list_devices

        rows = list_devices()
        for kind in ("input", "output"):
            able = [row for row in rows if row.channels(kind)]
            able.sort(key=lambda row, kind=kind: not row.is_default(kind))  # type: ignore[misc]
            yield f"/rtvox/devices/{kind}", tuple(row.full_name for row in able)
        for row in rows:
            sides = (row.inputs, row.outputs, row.sample_rate)
            yield "/rtvox/devices/info", (row.full_name, row.host, *sides, row.description)


def _below(wanted: str, address: str) -> bool:
    return address == wanted.rstrip("/") or address.startswith(f"{wanted.rstrip('/')}/")


def _pattern(pattern: str) -> re.Pattern[str]:
    """Return an OSC 1.0 address pattern as a regular expression. Raises: OscError if it is none."""
    rules = {"?": "[^/]", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|"}
    parts = re.findall(r"\[!?[^\]/]+\]|\*+|.", pattern, re.DOTALL)
    text = "".join(
        f"[{'^' if part[1] == '!' else ''}{re.escape(part[1:-1].lstrip('!')).replace(chr(92) + '-', '-')}]"
        if len(part) > 1 and part[0] == "["
        else rules.get(part[0]) or re.escape(part)
        for part in parts
    )
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise OscError("not an address pattern") from None


def _number(value: Value) -> float:
    if isinstance(value, bool | int | float):
        return float(value)
    raise ParameterError(f"{str(value)[:40]!r}: needs a number")


def _whole(value: Value) -> int:
    number = _number(value)
    if number != number // 1 or abs(number) > 2**31:
        raise ParameterError(f"{number:g}: needs a whole number")
    return int(number)


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):  # Pd sends a name that looks like a number as one
        return f"{value:g}"
    raise ParameterError("needs a name")

"""rtvox from Python: a slow sweep of one control, a menu of models, and meters, in a terminal.

rtvox engine                                # in one terminal
python examples/rtvox_client.py             # in another: the models, and meters until Ctrl-C
python examples/rtvox_client.py --model isolate --sweep mix --seconds 5
"""

from __future__ import annotations

import argparse
import math
import sys
import time

from rtvox.errors import OscError
from rtvox.osc import PORT, OscClient, Value
from rtvox.params import PARAMS

HZ = 100.0  # steps of a sweep per second


class Terminal:
    """Remembers what the engine says, and draws its meters."""

    def __init__(self) -> None:
        self.models: list[str] = []

    def receive(self, address: str, values: list[Value]) -> None:
        """Take one message; called in the client's thread."""
        if address == "/rtvox/models":
            self.models = [str(name) for name in values]
        elif address == "/rtvox/meters":
            heard, _, said, _ = (float(value) for value in values)
            print(f"\rin {bar(heard)} {heard:6.1f} dB   out {bar(said)} {said:6.1f} dB ", end="", flush=True)
        elif address == "/rtvox/fail":
            print(f"\r{values[0]!s}: {values[1]!s}", file=sys.stderr)


def bar(level_db: float, size: int = 20) -> str:
    """Return a meter from -60 to 0 dB in characters."""
    return "=" * max(0, min(size, round((level_db + 60.0) / 60.0 * size))) or "."


def sweep(client: OscClient, name: str, seconds: float) -> None:
    """Move a control from its lowest to its highest value and back."""
    param, steps = PARAMS[name], round(seconds * HZ)
    for step in range(steps + 1):
        part = 0.5 - 0.5 * math.cos(2.0 * math.pi * step / steps)
        client.send(f"/rtvox/param/{name}", param.low + part * (param.high - param.low))
        time.sleep(1.0 / HZ)


def main() -> int:
    """Connect, do what was asked, and show the meters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--model", help="load this one first")
    parser.add_argument("--sweep", choices=PARAMS, help="move this control to and fro")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of meters, or of the sweep")
    args = parser.parse_args()
    terminal = Terminal()
    with OscClient(args.host, args.port, terminal.receive) as client:
        try:
            client.call("/rtvox/get", "/rtvox/models", timeout_s=2.0)
            print(f"models: {', '.join(terminal.models)}")
            if args.model:
                client.call("/rtvox/model", args.model)
            client.subscribe()
            if args.sweep:
                sweep(client, args.sweep, min(args.seconds, 10.0))
            else:
                time.sleep(min(args.seconds, 1e9))
        except OscError as error:
            print(error, file=sys.stderr)
            return OscError.exit_code
        except KeyboardInterrupt:
            pass
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())

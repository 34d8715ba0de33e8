"""The command line: `rtvox COMMAND ...`, also as `python -m rtvox`.

In: arguments. Out: an exit code: 0 done, the `exit_code` of an RtvoxError (after one line on stderr), 2 wrong usage,
130 stopped with Ctrl-C, 143 asked to end. Runs in the main thread. Read next: `commands/live.py`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from rtvox import __version__
from rtvox.commands import bench, convert, demo, devices, doctor, engine, gui, live, models, say
from rtvox.errors import RtvoxError

COMMANDS = {
    "gui": gui,
    "live": live,
    "engine": engine,
    "convert": convert,
    "say": say,
    "demo": demo,
    "devices": devices,
    "models": models,
    "bench": bench,
    "doctor": doctor,
}

EXIT_CODES = """\
exit codes:
  0 done   1 other   2 wrong value or usage   3 model file   4 sound device   5 sound file   6 part not installed
  7 OSC: no engine there, or no such port   8 doctor: something to change
  130 stopped with Ctrl-C   143 asked to end
"""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, as all of ours."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"rtvox: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="rtvox",
        description="Turn a live voice into something else while it is being sung. Alone, it opens the window.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rtvox {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands (each has its own --help)")
    for name, module in COMMANDS.items():
        summary, _, text = (module.__doc__ or "").partition("\n\n")
        command = commands.add_parser(
            name,
            help=summary.strip().rstrip("."),
            description=summary,
            epilog=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    signal.signal(signal.SIGTERM, _end)
    try:
        args = parser.parse_args(argv)
        if not hasattr(args, "run"):
            args = parser.parse_args(["gui"])
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except RtvoxError as error:
        print(f"rtvox: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `rtvox models | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _end(_signal: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # unwinds, so that devices are closed and recordings finished


if __name__ == "__main__":
    sys.exit(main())

"""Measure this machine: each stage of the data path, the whole in real time, and the delay.

The bundled clip goes through the model, paced as by a sound card, then clicks do, to hear the delay.

With --loopback, noise bursts go through real devices instead. Over JACK nothing needs to be patched; elsewhere they
leave the output and must come back to the input, by a cable or the monitor of a virtual output: mute what could howl.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from rtvox.commands.options import Choice, add_devices, add_model, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_model(parser)
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print everything that was measured, for a program to read")
    parser.add_argument("--loopback", action="store_true", help="measure mic to speaker, through --input and --output")
    add_devices(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from rtvox.errors import ParameterError

    if args.seconds <= 0:
        raise ParameterError(f"--seconds {args.seconds:g}: needs more than 0")
    choice = choose(args.model, args.settings)
    figures = _loopback(args, choice) if args.loopback else _bench(args, choice)
    if args.json:
        json.dump(figures, sys.stdout, indent=1)
        print()
    return 0


def _bench(args: argparse.Namespace, choice: Choice) -> dict[str, Any]:
    import numpy as np

    from rtvox.bench import measure
    from rtvox.demo import read_clip
    from rtvox.report import in_ms, table

    sound = np.resize(read_clip(), round(args.seconds * choice.spec.sample_rate))
    bench = measure(choice.model, choice.settings, sound, spec=choice.spec, provider=args.provider, block=args.block)
    if not args.json:
        status = bench.status
        rows = [
            [stage.name, *(f"{ms:.3f} ms" for ms in times), *(f"{ms / bench.hop_ms:.1%}" for ms in times)]
            for stage in bench.stages
            for times in [(stage.p50_ms, stage.p99_ms, stage.max_ms)]
        ]
        print(
            f"{bench.model}, {bench.seconds:g} s in real time, blocks of {bench.block}; a hop is {bench.hop_ms:.2f} ms"
        )
        print(table(["stage", "p50", "p99", "max", "of the hop: p50", "p99", "max"], rows))
        print(f"load {status.load:.1%}, {status.misses} misses in {status.callbacks} callbacks")
        heard = "clicks do not come out" if bench.measured_delay is None else f"heard {bench.measured_delay}"
        print(f"algorithmic delay: stated {bench.stated_delay} samples ({in_ms(bench.stated_delay)}), {heard}")
        if status.message:
            print(status.message)
    return asdict(bench)


def _loopback(args: argparse.Namespace, choice: Choice) -> dict[str, Any]:
    from rtvox.devices import SoundCard
    from rtvox.loopback import PERIOD_S, measure_loopback

    card = SoundCard(args.input, args.output, block=args.block, sample_rate=args.rate)
    bursts = max(4, round(args.seconds / PERIOD_S))
    measured = measure_loopback(
        card, choice.model, choice.settings, spec=choice.spec, provider=args.provider, bursts=bursts
    )
    if not args.json:
        stated_ms = measured.stated * 1e3 / measured.sample_rate
        verdict = "agree within one block" if measured.agrees else "do not agree within one block"
        print(f"{card.name}, {measured.sample_rate} Hz, blocks of {measured.block}")
        spread = f"{measured.bursts} bursts within {measured.spread} samples"
        print(f"mic to speaker: {measured.milliseconds:.1f} ms measured ({spread})")
        print(f"                {stated_ms:.1f} ms stated: they {verdict}")
    return asdict(measured) | {"milliseconds": measured.milliseconds, "agrees": measured.agrees}

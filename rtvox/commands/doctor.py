"""Look whether this machine is fit for live sound, and say what to change.

Each line says good, change, note or skip (what does not apply here); under a change stands what to do. The devices
that are meant are opened, and play silence for a second. With --json, all of it is printed for a program to read.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rtvox.commands.options import add_devices, add_models_dir, device_choice

SOMETHING_TO_CHANGE = 8  # the exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_devices(parser)
    add_models_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the findings for a program to read")


def run(args: argparse.Namespace) -> int:
    """Examine and print."""
    from rtvox import doctor, doctor_system
    from rtvox.doctor_sound import sound
    from rtvox.machine import describe_machine

    choice, findings = device_choice(args), []
    for finding in doctor.examine((*doctor.CHECKS, *doctor_system.CHECKS, lambda: sound(choice))):
        findings.append(finding)
        if not args.json:
            print(f"{finding.level:6}  {finding.about}: {finding.text}", flush=True)
            if finding.remedy:
                print(f"        -> {finding.remedy}", flush=True)
    changes = sum(finding.level == "change" for finding in findings)
    if args.json:
        print(json.dumps({"machine": describe_machine(), "findings": [asdict(row) for row in findings]}, indent=1))
    else:
        print(f"{changes} to change" if changes else "nothing to change")
    return SOMETHING_TO_CHANGE if changes else 0

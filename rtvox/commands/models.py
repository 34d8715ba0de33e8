"""List the models: what each does, its delay, controls, figures and licences.

The list comes from the models' own manifests; a file that cannot be used is listed with the reason.
Drop an .onnx file that `python -m export` made into a folder, name the folder with --models-dir or
$RTVOX_MODELS, and it shows up here.
"""

from __future__ import annotations

import argparse
import sys

from rtvox.commands.options import add_models_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_models_dir(parser)
    parser.add_argument(
        "--verify", action="store_true", help="replay each model's golden input and compare what comes out"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table that checkpoints/README.md shows")


def run(args: argparse.Namespace) -> int:
    """Print the table; return 3 if a model cannot be used."""
    from rtvox.errors import ModelFileError
    from rtvox.model_file import load_model, model_folders
    from rtvox.onnx_stage import verify_golden
    from rtvox.report import find_models, models_table

    models, faults = find_models(every_role=True)
    print(models_table(models, markdown=args.markdown))
    if not models and not faults:
        folders = ", ".join(str(folder) for folder in model_folders()) or "no folder: none of the usual ones exists"
        print(f"no model found in {folders}; name a folder with --models-dir", file=sys.stderr)
    if args.verify:
        for path in models:
            try:
                verify_golden(load_model(path))
                print(f"{path}: golden output reproduced")
            except ModelFileError as error:
                faults.append(error)
    for fault in faults:
        print(f"rtvox: error: {fault}", file=sys.stderr)
    return ModelFileError.exit_code if faults else 0

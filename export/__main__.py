"""`python -m export prepare|train|...`: the offline side's command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.recipe import read_recipe
from rtvox.errors import RtvoxError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("recipe", help="a recipe's name or path, for example isolate")
    common.add_argument("--cache", type=Path, default=Path("cache"), help="where prepared recordings lie")
    common.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints and TensorBoard logs go")
    prepare = commands.add_parser("prepare", parents=[common], help="decode recordings into the cache")
    prepare.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[Path("../shared/data"), Path("cache/made")],
        help="folders of recordings",
    )
    train = commands.add_parser("train", parents=[common], help="train, showing progress and logging to TensorBoard")
    train.add_argument("--steps", type=int, help="last step, in place of the recipe's")
    start = train.add_mutually_exclusive_group()
    start.add_argument("--resume", help="checkpoint to go on from (weights, optimiser, step)")
    start.add_argument("--weights", help="checkpoint whose weights start a new run")
    train.add_argument("--devices", type=int, default=1, help="processes (GPUs, or CPU processes) on this machine")
    train.add_argument("--nodes", type=int, default=1, help="machines")
    train.add_argument("--accelerator", default="auto", help="cpu, cuda, mps or auto")
    train.add_argument(
        "--frame-step", type=int, default=1, help="train on every so-manieth frame (quick first phase: 2)"
    )
    train.add_argument("--precision", default="bf16-mixed", help="Lightning's name, for example 32-true")
    train.add_argument("--workers", type=int, default=1, help="processes that draw mixes")
    train.add_argument("--validate-every", type=int, default=250, help="steps between scores of the held-out song")
    make = commands.add_parser("export", parents=[common], help="turn a checkpoint into a proven model file")
    make.add_argument("--checkpoint", type=Path, help="default: <runs>/<recipe>/last.ckpt")
    evaluate = commands.add_parser("evaluate", parents=[common], help="measure a model file on held-out recordings")
    for command in (make, evaluate):
        command.add_argument("--model", type=Path, help="the model file; default: checkpoints/<recipe>.onnx")
    evaluate.add_argument("--pictures", type=Path, default=Path("runs/pictures"), help="where spectrograms go")
    flags = vars(parser.parse_args(arguments))
    command, recipe = flags.pop("command"), read_recipe(flags.pop("recipe"))
    try:
        if command == "prepare":
            from export.recordings.library import prepare as run_prepare

            run_prepare(flags["data"], flags["cache"], recipe.sources)
        elif command == "train":
            from export.train import train as run_train

            print(run_train(recipe, flags.pop("cache"), flags.pop("runs"), **flags))
        elif command == "export":
            from export.to_onnx import export as run_export

            checkpoint = flags["checkpoint"] or flags["runs"] / recipe.name / "last.ckpt"
            file = run_export(
                recipe, checkpoint, flags["cache"], flags["model"] or Path(f"checkpoints/{recipe.name}.onnx")
            )
            print(f"{file.path}: {len(file.data)} bytes, {file.manifest.metrics}")
        elif command == "evaluate":
            from export.evaluate import evaluate_isolate
            from export.recordings.library import Library

            model = flags["model"] or Path(f"checkpoints/{recipe.name}.onnx")
            figures = evaluate_isolate(model, Library(flags["cache"]), recipe.mix.hold_out, flags["pictures"])
            print("\n".join(f"{name:20} {value:8.2f}" for name, value in figures.items()))
    except RtvoxError as error:
        print(f"export: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

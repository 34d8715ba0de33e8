"""What measuring any kind of model shares: figures into its manifest, and pictures to look at.

The measurements themselves are `evaluate_isolate.py` and `evaluate_scream.py`. Runs in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from export.recordings.library import RATE
from export.spectra import analyze
from rtvox.features import Array, FeatureSpec
from rtvox.model_file import load_model, write_model


def write_metrics(model: Path, figures: Mapping[str, float]) -> None:
    """Put measured figures into the manifest of a model file; its graph and golden digest stay as they are."""
    file = load_model(model)
    rounded: dict[str, float | str] = {name: round(value, 3) for name, value in figures.items()}
    write_model(model, file.data, replace(file.manifest, metrics=file.manifest.metrics | rounded))


def show_spectrograms(path: Path, signals: Mapping[str, Array], start_s: float = 0.0) -> None:
    """Write a picture with a row per signal (N,): log spectrograms up to 8 kHz, time counted from `start_s`."""
    from matplotlib.figure import Figure  # slow to import

    spec = FeatureSpec()
    figure = Figure(figsize=(12, 3 * len(signals)), layout="constrained")
    axes = figure.subplots(len(signals), sharex=True, squeeze=False)[:, 0]
    for axis, (name, signal) in zip(axes, signals.items(), strict=True):
        spectrum = analyze(torch.from_numpy(signal[: len(signal) // spec.hop * spec.hop])[None], spec)[0]
        level = 10.0 * torch.log10(spectrum.square().sum(-1) + 1e-9).T.numpy()
        extent = (start_s, start_s + len(signal) / RATE, 0, RATE / 2)
        axis.imshow(level, origin="lower", aspect="auto", vmin=-50, vmax=40, extent=extent)
        axis.set(ylim=(0, 8000), ylabel=f"{name}, Hz")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)

"""Compare four adversarial losses, and two ways between latents, on scikit-learn's digits: `python -m export.digits`.

In: 1797 pictures of 8 by 8 that come with scikit-learn. Out: `docs/digits-*.png`, and a table on stdout for
`docs/digits.md`. Same networks, steps, batch and seeds for all; two minutes on one core. Read next: `adversarial.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from export.adversarial import ADVERSARIAL, gradient_penalty
from export.measures import frechet_distance
from export.networks.dcgan import Discriminator, Generator
from export.networks.vae import VAE, kl_divergence, linear, spherical, warm_up

SEEDS = (0, 1, 2)
STEPS, EVERY, BATCH = 600, 50, 64
LATENT = 16
VAE_LATENT, KL_WEIGHT, KL_STEPS = 8, 0.02, 200
GAMES = ("bce", "least-squares", "hinge", "wasserstein")
Found = dict[str, npt.NDArray[np.float64]]  # game -> (seeds, scores)


def digits() -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Return (N, 1, 8, 8) pictures from 0 to 1, and what they show."""
    from sklearn.datasets import load_digits  # slow to import

    data = load_digits()
    return torch.from_numpy(data.images[:, None] / 16.0).float(), data.target


def play(name: str, real: Tensor, seed: int, steps: int = STEPS) -> tuple[list[float], Tensor]:
    """Train one pair; return the distance of its pictures to the real ones every EVERY steps, and 32 of the last."""
    torch.manual_seed(seed)
    game = ADVERSARIAL[name]
    generator = Generator(LATENT, 1, (64, 32))
    discriminator = Discriminator(1, (32, 64), bounded=not game.penalty)
    optimizers = [torch.optim.Adam(net.parameters(), 2e-3, betas=(0.5, 0.9)) for net in (generator, discriminator)]
    distances = []
    for step in range(1, steps + 1):
        batch = real[torch.randint(len(real), (BATCH,))]
        made = generator.sample(BATCH)
        loss = game.judge(discriminator(batch), discriminator(made.detach()))
        if game.penalty:
            loss = loss + game.penalty * gradient_penalty(discriminator, batch, made)
        _step(optimizers[1], loss)
        _step(optimizers[0], game.please(discriminator(made)))
        if step % EVERY == 0:
            distances.append(distance(generator, real))
    with torch.no_grad():
        return distances, generator.eval().sample(32)


@torch.no_grad()
def distance(generator: Generator, real: Tensor) -> float:
    """Return the Frechet distance of as many made pictures as there are real ones, on the 64 pixels."""
    made = generator.eval().sample(len(real)).flatten(1)
    generator.train()
    return frechet_distance(made.numpy() + _grain(made), real.flatten(1).numpy() + _grain(made))


def _grain(like: Tensor) -> npt.NDArray[np.float32]:
    """Return a trace of noise: pixels that are always black have no variance, and a matrix no root."""
    grain = 0.01 * np.random.default_rng(440).standard_normal(like.shape)
    return np.asarray(grain, np.float32)


def autoencode(real: Tensor, steps: int = STEPS) -> VAE:
    """Return a variational autoencoder of the pictures' rows of 64."""
    torch.manual_seed(0)
    rows = real.flatten(1)
    vae = VAE(rows.shape[1], VAE_LATENT)
    optimizer = torch.optim.Adam(vae.parameters(), 2e-3)
    for step in range(steps):
        batch = rows[torch.randint(len(rows), (BATCH,))]
        again, mean, spread = vae(batch)
        weight = KL_WEIGHT * warm_up(step, KL_STEPS)
        _step(optimizer, nn.functional.mse_loss(again, batch) + weight * kl_divergence(mean, spread))
    return vae.eval()


@torch.no_grad()
def between(vae: VAE, real: Tensor, labels: npt.NDArray[np.int64]) -> Tensor:
    """Return rows of 9 pictures: a 0 becoming a 1 and a 3 an 8, straight and on an arc, then samples."""
    rows, parts = list[Tensor](), torch.linspace(0.0, 1.0, 9)[:, None]
    for first, last in ((0, 1), (3, 8)):
        ends = [vae.encode(real[int(np.flatnonzero(labels == label)[3])].flatten())[0] for label in (first, last)]
        rows += [vae.decoder(way(ends[0], ends[1], parts)) for way in (linear, spherical)]
    return torch.stack([*rows, vae.sample(9)])


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def main(folder: Path) -> None:
    """Make all pictures and print the table."""
    torch.set_num_threads(1)
    real, labels = digits()
    found, pictures = Found(), dict[str, Tensor]()
    for name in GAMES:
        runs = [play(name, real, seed) for seed in SEEDS]
        found[name] = np.array([distances for distances, _ in runs])
        pictures[name] = runs[0][1]
        last, late = found[name][:, -1], found[name][:, len(found[name][0]) // 2 :]
        each = ", ".join(f"{value:.2f}" for value in last)
        print(f"| {name} | {each} | {found[name].min():.2f} | {late.std(axis=1).mean():.2f} | {late.max():.2f} |")
    print(f"| (two halves of the real ones) | {_halves(real):.2f} | | | |")
    _draw(folder, found, pictures, between(autoencode(real), real, labels))


def _halves(real: Tensor) -> float:
    rows = real.flatten(1)[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))]
    rows = rows + torch.from_numpy(_grain(rows))
    return frechet_distance(rows[::2].numpy(), rows[1::2].numpy())


def _draw(folder: Path, found: Found, pictures: dict[str, Tensor], ways: Tensor) -> None:
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, distances in found.items():
        steps = np.arange(1, distances.shape[1] + 1) * EVERY
        (line,) = axes.plot(steps, distances.mean(0), label=name)
        axes.fill_between(steps, distances.min(0), distances.max(0), alpha=0.2, color=line.get_color())
    axes.set(xlabel="steps", ylabel="Frechet distance to the real digits", yscale="log")
    axes.legend()
    figure.savefig(folder / "digits-curves.png", dpi=80)
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    for axes, (name, made) in zip(figure.subplots(4, 1), pictures.items(), strict=True):
        axes.imshow(_sheet(made.unflatten(0, (2, 16))), cmap="gray_r", vmin=0, vmax=1)
        axes.set(title=name, xticks=[], yticks=[])
    figure.savefig(folder / "digits-samples.png", dpi=80)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(_sheet(ways.unflatten(2, (1, 8, 8))), cmap="gray_r", vmin=0, vmax=1)
    names = ["straight", "arc", "straight", "arc", "samples"]
    axes.set(xticks=[], yticks=8 * np.arange(5) + 4, yticklabels=names)
    figure.savefig(folder / "digits-latent.png", dpi=80)


def _sheet(pictures: Tensor) -> npt.NDArray[np.float32]:
    """Lay (rows, columns, 1, 8, 8) out on one sheet."""
    sheet = pictures[:, :, 0].permute(0, 2, 1, 3).flatten(2).flatten(0, 1).numpy()
    return np.asarray(sheet, np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs"))

"""What a generator and a discriminator play for: four losses, to be chosen by name.

In: what a discriminator says of real and made things, any shape. Out: scalars to be made small. Pure torch, any thread.
`docs/digits.md` compares them; read next: `networks/dcgan.py`.

References: Goodfellow et al. 2014, "Generative adversarial nets" (bce, its generator's non-saturating form); Mao et al.
2017, "Least squares generative adversarial networks"; Lim and Ye 2017, "Geometric GAN" (hinge); Gulrajani et al. 2017,
"Improved training of Wasserstein GANs" (wasserstein, with its gradient penalty).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from rtvox.errors import ParameterError


@dataclass(frozen=True)
class Adversarial:
    """One game: `judge(real, made)` is the discriminator's loss, `please(made)` the generator's.

    Attributes:
        penalty: weight of `gradient_penalty` in the discriminator's loss; 0: none.
    """

    judge: Callable[[Tensor, Tensor], Tensor]
    please: Callable[[Tensor], Tensor]
    penalty: float = 0.0


ADVERSARIAL = {
    "bce": Adversarial(
        lambda real, made: softplus(-real).mean() + softplus(made).mean(), lambda made: softplus(-made).mean()
    ),
    "least-squares": Adversarial(
        lambda real, made: (real - 1.0).square().mean() + made.square().mean(),
        lambda made: (made - 1.0).square().mean(),
    ),
    "hinge": Adversarial(
        lambda real, made: relu(1.0 - real).mean() + relu(1.0 + made).mean(), lambda made: -made.mean()
    ),
    "wasserstein": Adversarial(lambda real, made: made.mean() - real.mean(), lambda made: -made.mean(), penalty=10.0),
}


def find_adversarial(name: str) -> Adversarial:
    """Return a game by name. Raises: ParameterError naming those there are."""
    if name not in ADVERSARIAL:
        raise ParameterError(f"adversarial loss {name!r}: there are {', '.join(ADVERSARIAL)}")
    return ADVERSARIAL[name]


@contextmanager
def standing(judges: nn.Module) -> Iterator[None]:
    """Let weights stand still: what is said within teaches those who are judged, not the judges."""
    judges.requires_grad_(False)
    try:
        yield
    finally:
        judges.requires_grad_(True)


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, made: Tensor) -> Tensor:
    """Return the square of how far a discriminator's slope is from 1, at places between real and made (B, ...)."""
    part = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    between = (part * real + (1.0 - part) * made).detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1.0).square().mean()

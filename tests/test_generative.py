"""Building blocks of generative networks: latents, adversarial games, discriminators, and the comparison on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from export import digits
from export.adversarial import ADVERSARIAL, find_adversarial, gradient_penalty
from export.networks.dcgan import Discriminator, Generator
from export.networks.vae import VAE, Latent, draw, kl_divergence, linear, spherical, warm_up
from rtvox.errors import ParameterError


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(440)


def test_the_divergence_of_clouds_is_that_of_the_textbook() -> None:
    mean, spread = torch.randn(500, 3), torch.randn(500, 3)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, torch.exp(0.5 * spread)), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(kl_divergence(mean, spread), wanted.mean())
    assert kl_divergence(torch.zeros(4, 2), torch.zeros(4, 2)) == 0.0


def test_draws_have_the_cloud_s_mean_and_deviation() -> None:
    drawn = draw(torch.full((20000, 1), 3.0), torch.full((20000, 1), np.log(0.25)))
    assert abs(drawn.mean() - 3.0) < 0.02
    assert abs(drawn.std() - 0.5) < 0.02


def test_warm_up_rises_and_stays() -> None:
    assert [warm_up(step, 10) for step in (0, 5, 10, 1000)] == [0.0, 0.5, 1.0, 1.0]
    assert warm_up(5, 0) == 1.0


@pytest.mark.parametrize("way", [linear, spherical])
def test_ways_begin_and_end_where_they_should(way: object) -> None:
    assert callable(way)
    a, b = torch.randn(2, 7, 5)
    torch.testing.assert_close(way(a, b, 0.0), a)
    torch.testing.assert_close(way(a, b, 1.0), b)


def test_an_arc_keeps_its_distance_and_a_straight_line_does_not() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    middle = spherical(a, b, 0.5)
    torch.testing.assert_close(middle, torch.full((2,), 2.0**0.5))
    assert linear(a, b, 0.5).norm() < 1.5
    assert abs(spherical(a, 2.0 * b, 0.5).norm() - 3.0) < 1e-5  # lengths change evenly


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_where_there_is_no_arc_the_way_is_straight(b: list[float]) -> None:
    a, end = torch.tensor([1.0, 0.0]), torch.tensor(b)
    torch.testing.assert_close(spherical(a, end, 0.25), linear(a, end, 0.25))


def test_an_autoencoder_learns_rows_and_makes_new_ones() -> None:
    rows = torch.cat([torch.randn(200, 1).expand(200, 6), torch.zeros(200, 2)], 1)
    vae = VAE(8, latent=2, channels=16)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    first = last = 0.0
    for step in range(60):
        again, mean, spread = vae(rows)
        loss = (again - rows).square().mean() + 0.01 * kl_divergence(mean, spread)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item() if step == 0 else first), loss.item()
    assert last < 0.5 * first
    with torch.no_grad():
        torch.testing.assert_close(vae.eval()(rows)[0], vae.decoder(vae.encode(rows)[0]))
        assert vae.sample(5).shape == (5, 8)


def test_a_latent_keeps_its_variances_within_bounds() -> None:
    _, spread = Latent(4, 3)(1e6 * torch.randn(100, 4))
    assert spread.min() == -9.0
    assert spread.max() == 4.0


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_game_is_won_by_telling_apart_and_by_pleasing(name: str) -> None:
    game = find_adversarial(name)
    right, wrong = torch.full((4, 1), 1.0), torch.full((4, 1), -1.0)
    assert game.judge(right, wrong) < game.judge(wrong, right)
    assert game.please(right) < game.please(wrong)


def test_bce_is_that_of_torch() -> None:
    real, made = torch.randn(2, 50)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    wanted = entropy(real, torch.ones(50)) + entropy(made, torch.zeros(50))
    torch.testing.assert_close(find_adversarial("bce").judge(real, made), wanted)


def test_an_unknown_game_is_refused() -> None:
    with pytest.raises(ParameterError, match="'chess': there are bce, least-squares, hinge, wasserstein"):
        find_adversarial("chess")


def test_the_penalty_asks_for_a_slope_of_one() -> None:
    def slope(steepness: float) -> Tensor:
        return gradient_penalty(lambda x: steepness * x.flatten(1).sum(1) / 4.0, torch.randn(3, 16), torch.randn(3, 16))

    torch.testing.assert_close(slope(1.0), torch.tensor(0.0))  # 16 numbers, each with slope 1 / 4
    torch.testing.assert_close(slope(3.0), torch.tensor(4.0))


@pytest.mark.parametrize("bounded", [True, False])
def test_a_discriminator_judges_each_patch_on_its_own(bounded: bool) -> None:
    judge = Discriminator(2, (8, 16), bounded=bounded).eval()
    picture = torch.randn(1, 2, 64, 32)
    said = judge(picture)
    assert said.shape == (1, 1, 16, 8)
    changed = picture.clone()
    changed[:, :, 40:] = 0.0
    torch.testing.assert_close(judge(changed)[:, :, :5], said[:, :, :5])
    assert not torch.equal(judge(changed), said)


def test_a_generator_makes_pictures() -> None:
    made = Generator(5, 1, (16, 8)).sample(3)
    assert made.shape == (3, 1, 8, 8)
    assert 0.0 <= made.min() <= made.max() <= 1.0


@pytest.mark.parametrize(("name", "steps"), [("bce", 3), ("least-squares", 30), ("hinge", 3), ("wasserstein", 3)])
def test_digits_are_made_and_come_nearer_to_real_ones(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "EVERY", steps)
    real, labels = digits.digits()
    torch.manual_seed(0)
    before = digits.distance(Generator(digits.LATENT, 1, (64, 32)), real)
    (distance,), pictures = digits.play(name, real, 0, steps)
    assert len(real) == len(labels) == 1797
    assert np.isfinite(distance)
    assert distance < before or steps < 30
    assert pictures.shape == (32, 1, 8, 8)

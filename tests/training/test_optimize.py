"""Optimizers: those of the plan, and equal to the plain formula."""

import pytest
import torch

from delineate.training.optimize import make_optimizer, set_rate


def _stepped(optimizer, weight, gradients, rate):
    set_rate(optimizer, rate)
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    return weight.item()


def test_sgd_is_nesterov_with_decay_on_every_weight(tiny):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    plan = tiny.training(optimizer="sgd", momentum=0.9, weight_decay=0.1)
    found = _stepped(make_optimizer(plan, [weight]), weight, [0.5, -0.2], 0.01)
    value, speed = 1.0, 0.0
    for gradient in (0.5, -0.2):
        pull = gradient + 0.1 * value
        speed = 0.9 * speed + pull
        value -= 0.01 * (pull + 0.9 * speed)
    assert found == pytest.approx(value, rel=1e-6)


def test_sgd_without_momentum_is_plain(tiny):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    plan = tiny.training(optimizer="sgd", momentum=0, weight_decay=0)
    assert _stepped(make_optimizer(plan, [weight]), weight, [0.5], 0.1) == pytest.approx(0.95)


def test_adamw_decays_apart_from_the_gradient(tiny):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    plan = tiny.training(optimizer="adamw", weight_decay=0.1)
    found = _stepped(make_optimizer(plan, [weight]), weight, [0.5], 0.01)
    assert found == pytest.approx(
        1 - 0.01 * 0.1 - 0.01, rel=1e-5
    )  # a first step of Adam is as long as the rate


def test_adam_decays_within_the_gradient(tiny):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    plan = tiny.training(optimizer="adam", weight_decay=0.1)
    found = _stepped(make_optimizer(plan, [weight]), weight, [0.5, -0.2], 0.01)
    value, mean, square = 1.0, 0.0, 0.0
    for n, gradient in enumerate((0.5, -0.2), 1):
        pull = gradient + 0.1 * value
        mean, square = 0.9 * mean + 0.1 * pull, 0.999 * square + 0.001 * pull**2
        value -= 0.01 * (mean / (1 - 0.9**n)) / ((square / (1 - 0.999**n)) ** 0.5 + 1e-8)
    assert found == pytest.approx(value, rel=1e-5)

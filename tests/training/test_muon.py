"""Muon: every direction learns alike; what is no matrix goes with AdamW; memory goes through a checkpoint."""

import math

import pytest
import torch

from delineate.training.checkpoint import optimizer_tensors, restore_optimizer
from delineate.training.muon import AS_ADAMW, Muon, is_kernel, orthogonal
from delineate.training.optimize import make_optimizer


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (16, 16)])
def test_all_singular_values_become_about_one_and_directions_stay(shape):
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    start[:, 0] *= 50
    found = orthogonal(start)
    values = torch.linalg.svdvals(found)
    assert 0.3 < values.min() < values.max() < 1.3
    u, _, v = torch.linalg.svd(start, full_matrices=False)
    assert torch.allclose(u.T @ found @ v.T, torch.diag(torch.diagonal(u.T @ found @ v.T)), atol=0.05)


def test_kernels_are_matrices_and_the_rest_is_adamws():
    assert is_kernel(torch.zeros(16, 8, 3, 3))
    assert is_kernel(torch.zeros(8, 2, 3, 3, 3))
    assert not is_kernel(torch.zeros(16))
    assert not is_kernel(torch.zeros(2, 16, 1, 1))  # gives the answer


def test_the_first_step_of_a_kernel_has_the_length_of_one_of_adamw():
    weight = torch.nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    Muon([weight], lr=0.01, momentum=0.95, weight_decay=0).step()
    rms = weight.detach().square().mean().sqrt().item()
    ideal = 0.01 * AS_ADAMW * math.sqrt(72) * math.sqrt(16 / (16 * 72))
    assert rms == pytest.approx(ideal, rel=0.2)


def test_what_is_no_kernel_steps_as_adamw():
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    muon = Muon([ours], lr=0.01, momentum=0.95, weight_decay=0.1)
    adamw = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for gradient in ((0.5, 0.1), (-0.2, 0.3), (0.1, 0.1)):
        for weight, rule in ((ours, muon), (theirs, adamw)):
            weight.grad = torch.tensor(gradient)
            rule.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_plan_may_ask_for_it_and_it_goes_on_from_a_checkpoint(tiny):
    training = tiny.training(optimizer="muon", momentum=0.95, weight_decay=0.01)
    gradients = [torch.randn(8, 8, 3, generator=torch.Generator().manual_seed(n)) for n in range(4)]

    def stepped(rule, weight, some):
        for gradient in some:
            weight.grad = gradient.clone()
            rule.step()
        return weight

    whole, parted = (torch.nn.Parameter(torch.ones(8, 8, 3)) for _ in range(2))
    stepped(make_optimizer(training, [whole]), whole, gradients)
    first = make_optimizer(training, [parted])
    stepped(first, parted, gradients[:2])
    second = make_optimizer(training, [parted])
    restore_optimizer(second, optimizer_tensors(first))
    assert torch.equal(stepped(second, parted, gradients[2:]), whole)


def test_a_closure_is_called_and_parameters_without_gradient_stay():
    weight, idle = torch.nn.Parameter(torch.ones(8, 8)), torch.nn.Parameter(torch.ones(8, 8))
    rule = Muon([weight, idle], lr=0.1, momentum=0.9, weight_decay=0.0)

    def closure():
        rule.zero_grad()
        loss = (weight - torch.eye(8)).square().sum()
        loss.backward()
        return loss.item()

    losses = [rule.step(closure) for _ in range(200)]
    assert losses[-1] < 0.1 * losses[0]
    assert torch.equal(idle, torch.ones(8, 8))

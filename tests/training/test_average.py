"""The average of weights."""

import pytest
import torch
from torch import nn

from delineate.training.average import averaging, decay_at, follow


def test_the_average_of_standing_weights_stands(tiny):
    network = tiny.network()
    average = averaging(network)
    follow(average, network, 0.9)
    for kept, own in zip(average.parameters(), network.parameters(), strict=True):
        assert torch.allclose(kept, own, atol=1e-7)
        assert not kept.requires_grad


def test_the_average_moves_by_what_the_decay_leaves():
    network = nn.Linear(1, 1, bias=False)
    average = averaging(network)
    start = network.weight.item()
    with torch.no_grad():
        network.weight.fill_(start + 1)
    follow(average, network, 0.75)
    assert average.weight.item() == pytest.approx(start + 0.25, abs=1e-6)


def test_whole_numbers_are_copied():
    network = nn.BatchNorm1d(1)
    average = averaging(network)
    network(torch.randn(4, 1, generator=torch.Generator().manual_seed(0)))
    follow(average, network, 0.5)
    assert average.num_batches_tracked.item() == 1
    assert average.running_mean.item() == pytest.approx(network.running_mean.item() / 2)


def test_memory_grows_until_the_planned_decay():
    assert [decay_at(step, 0.99) for step in (0, 10, 10_000)] == pytest.approx([0.1, 0.55, 0.99])

"""Accumulated gradients: those of the batch as a whole, for every kind of loss."""

import pytest
import torch
from torch import nn

from delineate.space import LabelSchema
from delineate.training.accumulate import accumulated
from delineate.training.losses import TERMS, Coding, Loss, supervised
from delineate.training.world import World

PARTLY = Coding.of(LabelSchema.of("ball", "shell").but(ignore=9))


def _gradients(network):
    return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


@pytest.mark.parametrize("over", ["sample", "batch"])
@pytest.mark.parametrize("terms", [TERMS["dice_ce"], TERMS["generalised_dice_ce"], TERMS["cldice_ce"]])
def test_the_gradient_of_the_parts_is_that_of_the_whole(tiny, over, terms):
    loss = Loss(PARTLY, over, *terms)
    batch = tiny.Balls(3, size=5).batch(0)
    labels = batch.labels.clone()
    labels[0, :9], labels[3] = -1, -1  # what is annotated differs from part to part
    whole, parted = tiny.network(dropout=0.0), tiny.network(dropout=0.0)
    expected = supervised(loss, whole(batch.images), labels)
    expected.total.backward()
    found, logits = accumulated(
        parted,
        batch.images.tensor_split(3),
        lambda levels: supervised(loss, levels, labels),
        lambda number: None,
        World.alone("cpu", "fp32").fabric,
    )
    assert found.total.item() == pytest.approx(expected.total.item(), abs=1e-6)
    assert logits.shape == (5, 3, 12, 12)
    for one, other in zip(_gradients(whole), _gradients(parted), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_network_draws_the_same_in_both_of_its_passes(tiny):
    """With dropout, logits whose gradients were taken are those that the weights are pulled by."""
    network, seen = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Dropout(0.5)), []
    network[1].register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    batch = tiny.Balls(3, size=4).batch(0)
    accumulated(
        network,
        batch.images.tensor_split(2),
        lambda levels: supervised(Loss(PARTLY), levels, batch.labels),
        lambda number: torch.manual_seed(number) and None,
        World.alone("cpu", "fp32").fabric,
    )
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])

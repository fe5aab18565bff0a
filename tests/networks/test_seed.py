import pytest
import torch
from torch import nn

from delineate.errors import PlanError
from delineate.networks import SeedUNet2d, SeedUNet3d, parameters


def count(kind, *arguments):
    with torch.device("meta"):
        return parameters(kind(*arguments))


def test_the_2d_seed_has_31_030_723_parameters():
    assert count(SeedUNet2d, 1, 3) == 31_030_723


def test_the_3d_seed_has_5_602_595_parameters_and_5_605_187_for_four_channels():
    assert count(SeedUNet3d, 1, 3) == 5_602_595
    assert count(SeedUNet3d, 4, 3) == 5_605_187


def test_the_2d_seed_drops_out_in_the_order_of_the_blocks():
    with torch.device("meta"):
        network = SeedUNet2d(1, 3)
    blocks = [*network.encoder, *network.decoder]
    rates = [part.p for block in blocks for part in block if isinstance(part, nn.Dropout)]
    assert rates == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]


@pytest.mark.parametrize("edges", [(16, 32), (32, 48)])
def test_the_2d_seed_keeps_the_size(edges):
    network = SeedUNet2d(1, 3, features=(2, 3, 4, 5, 6)).eval()
    assert network(torch.zeros(1, 1, *edges)).shape == (1, 3, *edges)


def test_the_3d_seed_keeps_the_size():
    network = SeedUNet3d(2, 3, features=(2, 3, 4, 5)).eval()
    assert network(torch.zeros(1, 2, 8, 16, 24)).shape == (1, 3, 8, 16, 24)


def test_a_size_that_does_not_divide_by_eight_is_refused():
    with pytest.raises(PlanError, match="multiple of 8 x 8 x 8"):
        SeedUNet3d(1, 3, features=(2, 3, 4, 5))(torch.zeros(1, 1, 8, 8, 12))

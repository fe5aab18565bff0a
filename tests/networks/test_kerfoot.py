"""The U-Net of Kerfoot 2018; MONAI's own of the same shape has the same logits (tests/inference/foreign)."""

import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import parameters
from delineate.networks.kerfoot import KerfootUNet


def network(features=(16, 32, 64, 128, 256), *, residual=True, units=2, norm="batch", dims=3):
    stages = len(features)
    strides = ((2,) * dims,) * (stages - 1) + ((1,) * dims,)
    return KerfootUNet(
        1,
        2,
        features,
        strides,
        ((3,) * dims,) * stages,
        (units,) * stages,
        residual=residual,
        norm=norm,
    )


def test_monais_spleen_network_has_4_808_917_parameters():
    assert parameters(network()) == 4_808_917  # UNet(16, 32, 64, 128, 256), two units, batch norm


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("dims", [2, 3])
def test_logits_have_the_size_of_the_image(dims, residual):
    tiny = network((2, 4, 8), residual=residual, dims=dims).eval()
    with torch.no_grad():
        assert tiny(torch.zeros(1, 1, *(8, 16, 12)[:dims])).shape == (1, 2, *(8, 16, 12)[:dims])


def test_a_unit_that_does_nothing_passes_on_its_input():
    tiny = network((2, 2), units=1, norm="none").eval()
    unit = tiny.up[0].unit
    torch.nn.init.zeros_(unit.parts[0][0].weight)
    torch.nn.init.zeros_(unit.parts[0][0].bias)
    image = torch.randn(1, 2, 4, 4, 4)
    assert torch.equal(unit(image), image)


def test_an_image_that_its_strides_do_not_divide_is_refused():
    with pytest.raises(PlanError, match="each edge must be a multiple of 4 x 4 x 4"):
        network((2, 4, 8))(torch.zeros(1, 1, 8, 8, 6))

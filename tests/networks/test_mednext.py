import pytest
import torch

from delineate.networks import MedNeXt, blueprint, parameters
from delineate.networks.mednext import Block
from delineate.planning.architectures import ARCHITECTURES

PAPER = {"s": 5.6, "b": 10.5, "m": 17.6, "l": 61.8}  # millions, kernels of 3; Roy 2023, Table 1


def planned(size, dims=3, edge=128):
    preset = ARCHITECTURES[f"mednext_{size}"]
    return preset.network(preset.shape((1.0,) * dims, (edge,) * dims), 32)


@pytest.mark.parametrize("size", PAPER)
def test_it_has_the_parameters_of_the_paper(size):
    assert parameters(blueprint(planned(size), 1, 14)) / 1e6 == pytest.approx(PAPER[size], abs=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", PAPER)
def test_it_has_exactly_the_parameters_of_monais(size):
    nets = pytest.importorskip("monai.networks.nets")
    spec = planned(size)
    with torch.device("meta"):
        theirs = nets.MedNeXt(
            in_channels=1, out_channels=3, kernel_size=3, deep_supervision=True, use_residual_connection=True,
            blocks_down=spec.encoder_blocks[:4], blocks_bottleneck=spec.encoder_blocks[4],
            blocks_up=spec.decoder_blocks[::-1], encoder_expansion_ratio=spec.expansion[:4],
            bottleneck_expansion_ratio=spec.expansion[4], decoder_expansion_ratio=spec.expansion[5:],
        )  # fmt: skip
    assert parameters(blueprint(spec, 1, 3)) == parameters(theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", ["same", "down", "up"])
def test_a_block_gives_what_monais_gives(step):
    blocks = pytest.importorskip("monai.networks.blocks.mednext_block")
    kind = {"same": blocks.MedNeXtBlock, "down": blocks.MedNeXtDownBlock, "up": blocks.MedNeXtUpBlock}[step]
    theirs = kind(4, 4 if step == "same" else 6, 2, 3, use_residual_connection=True)
    ours = Block(4, 4 if step == "same" else 6, 2, (3, 3, 3), **({} if step == "same" else {step: (2, 2, 2)}))
    pairs = [("depthwise", "conv1"), ("norm", "norm"), ("wide", "conv2"), ("narrow", "conv3")]
    for mine, other in [*pairs, *([] if step == "same" else [("shortcut", "res_conv")])]:
        getattr(ours, mine).load_state_dict(getattr(theirs, other).state_dict())
    x = torch.rand(2, 4, 4, 6, 4, generator=torch.Generator().manual_seed(0))
    if step == "up":  # MONAI pads after the 1x1, so its first voxels lack the shortcut's bias too, as ours
        assert ours(x).shape == (2, 6, 8, 12, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_steps_along_some_axes_only_fit():
    network = MedNeXt(
        1, 2, (4, 8), ((1, 1, 1), (2, 2, 1)), ((3, 3, 1), (3, 3, 3)), (1, 1), (1,), expansion=(2, 2, 2)
    ).eval()
    assert network(torch.zeros(1, 1, 8, 8, 3)).shape == (1, 2, 8, 8, 3)

import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import (
    ResidualUNet,
    UNet,
    blueprint,
    build_network,
    initialise,
    inputs_of,
    parameters,
    seed_spec,
)
from delineate.networks.blocks import ResidualBlock
from delineate.planning.plan import NetworkSpec


def spec(kind="unet", **changes):
    layout = {
        "kind": kind,
        "features": (4, 6),
        "strides": ((1, 1), (2, 2)),
        "kernels": ((3, 3), (3, 3)),
        "encoder_blocks": (1, 2),
        "decoder_blocks": (1,),
    }
    return NetworkSpec(**(layout | changes))


def test_the_kind_decides_the_network():
    assert isinstance(build_network(spec(), 1, 2), UNet)
    assert isinstance(build_network(spec("residual_unet"), 1, 2), ResidualUNet)


@pytest.mark.parametrize(("kind", "count"), [("seed_unet2d", 31_030_723), ("seed_unet3d", 5_602_595)])
def test_seed_networks_are_built_from_their_description(kind, count):
    assert parameters(blueprint(seed_spec(kind), 1, 3)) == count


def test_an_unknown_seed_network_is_refused():
    with pytest.raises(PlanError, match="expected seed_unet2d or seed_unet3d, got 'unet'"):
        seed_spec("unet")


def test_a_seed_network_of_another_layout_is_refused():
    wrong = seed_spec("seed_unet3d").but(features=(8, 16, 32, 64))
    with pytest.raises(PlanError, match=r"fixed layout.*changes its features"):
        build_network(wrong, 1, 3)


def test_one_seed_gives_one_network_and_another_seed_another():
    first, again, other = (build_network(spec(), 1, 2, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.0.0.conv.weight"], other["encoder.0.0.conv.weight"])


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build_network(spec(), 1, 2)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_have_the_spread_of_kaiming_and_biases_are_zero():
    network = build_network(spec(features=(64, 128)), 1, 2)
    conv = network.encoder[1][1].conv
    assert float(conv.weight.detach().std()) == pytest.approx((2 / 1.0001 / (128 * 9)) ** 0.5, rel=0.02)
    assert not conv.bias.any()
    assert bool((network.encoder[0][0].norm.weight == 1).all())


def test_a_residual_block_starts_as_its_shortcut():
    network = build_network(spec("residual_unet"), 1, 2)
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 3
    x = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blocks[0](x), x)


def test_batch_norm_starts_with_finite_statistics():
    network = build_network(seed_spec("seed_unet3d"), 1, 2)
    assert all(bool(torch.isfinite(buffer).all()) for buffer in network.buffers())


def test_initialising_covers_every_parameter():
    for kind in ("unet", "residual_unet"):
        network = blueprint(spec(kind), 1, 2).to_empty(device="cpu")
        for parameter in network.parameters():
            parameter.data.fill_(float("nan"))
        initialise(network, torch.Generator().manual_seed(0))
        assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_a_cascade_reads_one_more_channel_per_label(make_plan):
    plan = make_plan(cascade=True)
    assert inputs_of(plan, "3d_lowres") == 2
    assert inputs_of(plan, "3d_cascade_fullres") == 2 + 2

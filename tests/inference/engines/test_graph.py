import pytest
import torch
from torch import nn

from delineate.errors import ModelError
from delineate.inference.engines import OnnxRuntime, OpenVino
from delineate.inference.engines.graph import REFUSED, Apart, check_same, difference, exported, windows
from delineate.networks import build_network, seed_spec
from delineate.planning.architectures import ARCHITECTURES
from delineate.planning.plan import Configuration

LEAST = {"segresnet": 8, "swinunetr": 8, "unetr": 8}  # their norms and heads divide the channels
SIDES = {2: (16, 24), 3: (16, 16, 24)}
QUICK = ("attention_unet", "resnet_unet", "vnet", "original_unet", "segnet")
SLOW = sorted(set(ARCHITECTURES) - set(QUICK))
SEEDS = {2: "seed_unet2d", 3: "seed_unet3d"}


def stirred(network):
    """Every parameter anew: zero-initialised ones hide what comes before them."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.requires_grad_(False).eval()


def configured(spec, edges):
    flat = len(edges) == 2
    return Configuration(
        spacing=(1.0, 1.0, 1.0),
        median_shape=(32, 32, 32),
        patch=(*edges, 1) if flat else edges,
        batch=2,
        slice_axis=2 if flat else None,
        network=spec,
        batch_dice=False,
    )


def architecture(name, dims):
    preset = ARCHITECTURES[name]
    shape = preset.shape((1.0,) * dims, SIDES[dims])
    return configured(preset.network(shape, max(2, LEAST.get(name, 1))), shape.patch)


def check_equal_or_refused(configuration, change=stirred):
    spec = configuration.network
    network = change(build_network(spec, 2, 3, seed=1))
    if spec.kind in REFUSED:
        with pytest.raises(ModelError, match=rf"{spec.kind} cannot be converted: .* Use the engine torch"):
            exported(network, configuration, 2)
        return
    graph = exported(network, configuration, 2)
    for engine in (OnnxRuntime(graph, 1), OpenVino(graph, "f32", 1)):
        assert difference(network, engine, windows(configuration, 2, 3)).largest < 1e-3  # made with two
        assert engine(windows(configuration, 2, 1)).shape == (1, 3, *configuration.edges)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", QUICK)
def test_a_network_is_equal_once_it_is_converted_or_refused_with_a_reason(name, dims):
    check_equal_or_refused(architecture(name, dims))


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SLOW)
def test_every_other_network_is_equal_or_refused_too(name, dims):
    check_equal_or_refused(architecture(name, dims))


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_the_teaching_networks_are_equal_too(dims):
    check_equal_or_refused(configured(seed_spec(SEEDS[dims]), (32,) * dims), change=nn.Module.eval)


@pytest.mark.parametrize("kind", ["unet", "residual_unet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_planned_networks_are_equal_once_they_are_converted(configuration, kind, dims):
    flat = {"patch": (16, 8, 1), "slice_axis": 2} if dims == 2 else {"patch": (8, 8, 16)}
    plain = configuration(**flat)
    check_equal_or_refused(plain.but(network=plain.network.but(kind=kind, deep_supervision=True)))


def test_what_the_exporter_does_not_know_is_refused_with_its_reason(configuration):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.matrix_exp(x)

    with pytest.raises(ModelError, match=r"kind unet cannot be converted: .*matrix_exp"):
        exported(Odd(), configuration(), 1)


def test_other_logits_are_refused():
    with pytest.raises(ModelError, match=r"by up to 0\.1 in float32 where logits reach 5; less than 0\.005"):
        check_same(Apart(0.1, 5.0), "3d_fullres fold 0")
    with pytest.raises(ModelError, match="by up to nan"):
        check_same(Apart(float("nan"), 1.0), "3d_fullres fold 0")
    check_same(Apart(0.0009, 0.1), "3d_fullres fold 0")
    check_same(Apart(0.0023, 6.6), "3d_fullres fold 0")


def test_few_small_windows_are_made_or_a_large_one(configuration):
    assert len(windows(configuration(), 1)) == 2
    assert len(windows(configuration((64, 64, 64)), 1)) == 1

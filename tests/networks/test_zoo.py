"""Every network of the literature: what holds for all of them, in 2D and in 3D."""

import pytest
import safetensors.torch
import torch

from delineate.errors import PlanError, RecordError
from delineate.networks import blueprint, build_network, parameters
from delineate.planning.architectures import ARCHITECTURES
from delineate.planning.plan import OWN_FIELDS, SUPERVISED, NetworkSpec

OF_MONAI = ("unetr", "swinunetr", "segresnet")
LIGHT = [n for n in ARCHITECTURES if n not in (*OF_MONAI, "mednext_l", "mednext_m", "original_unet")]
LEAST = {"segresnet": 8, "swinunetr": 8, "unetr": 8}  # their norms and heads divide the channels
SIDES = {2: (16, 24), 3: (16, 16, 24)}


def spec_of(name, dims, width=2):
    """A tiny one, halved twice; widths that have a least of their own keep it."""
    preset = ARCHITECTURES[name]
    shape = preset.shape((1.0,) * dims, SIDES[dims])
    return preset.network(shape, max(width, LEAST.get(name, 1))), shape.patch


def built(name, dims):
    spec, edges = spec_of(name, dims)
    network = build_network(spec, 2, 3, seed=1)
    generator = torch.Generator().manual_seed(0)
    return spec, network, torch.randn((2, 2, *edges), generator=generator)


def stirred(network):
    """Every parameter anew: zero-initialised ones hide gradients."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", LIGHT)
def test_gradients_reach_every_weight_and_eval_gives_the_finest_logits(name, dims):
    spec, network, image = built(name, dims)
    outputs = stirred(network).train()(image)
    levels = outputs if isinstance(outputs, tuple) else (outputs,)
    assert (len(levels) > 1) == spec.deep_supervision
    sizes = [level.shape[2:].numel() for level in levels]
    assert levels[0].shape == (2, 3, *image.shape[2:])
    assert sizes == sorted(sizes, reverse=True)
    sum((level**2).sum() for level in levels).backward()
    lost = [n for n, p in network.named_parameters() if p.ndim > 1 and (p.grad is None or not p.grad.any())]
    assert not lost
    with torch.no_grad():
        assert network.eval()(image).shape == (2, 3, *image.shape[2:])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_go_through_a_file_into_a_blueprint(name, dims):
    spec, network, image = built(name, dims)
    network.eval()
    copy = blueprint(spec, 2, 3)
    assert parameters(copy) == parameters(network)
    content = safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()})
    copy.load_state_dict(safetensors.torch.load(content), assign=True)
    if name in LIGHT or (name in OF_MONAI and dims == 2):
        with torch.no_grad():
            assert torch.equal(copy.eval()(image), network(image))


@pytest.mark.parametrize("name", ["fcn8s", "segnet", "deeplabv3plus", "original_unet"])
def test_some_networks_take_images_of_any_size(name):
    spec, _ = spec_of(name, 2)
    network = build_network(spec, 1, 3).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, 37, 51)).shape == (1, 3, 37, 51)


@pytest.mark.parametrize(
    "name", ["vnet", "attention_unet", "resnet_unet", "densenet_unet", "mednext_s", "unet3d"]
)
def test_others_refuse_an_odd_size_and_say_the_multiple(name):
    spec, _ = spec_of(name, 2)
    with pytest.raises(PlanError, match="each edge must be a multiple of"):
        build_network(spec, 1, 3)(torch.zeros(1, 1, 37, 51))


def test_one_seed_gives_one_network_whatever_the_global_generator():
    spec, _ = spec_of("segresnet", 2)
    before = torch.get_rng_state()
    first, again = (build_network(spec, 1, 2, seed=4).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(before, torch.get_rng_state())


# ---- the description


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_spec_goes_through_json_and_holds_only_what_its_kind_needs(name):
    spec, _ = spec_of(name, 3)
    tree = spec.model_dump(mode="json")
    every = {field for fields in OWN_FIELDS.values() for field in fields}
    assert set(tree) & every == set(OWN_FIELDS.get(spec.kind, ()))
    assert NetworkSpec.from_json(spec.to_json(), where="spec") == spec


def test_a_u_net_is_written_as_before():
    spec = NetworkSpec(
        features=(4, 6),
        strides=((1, 1), (2, 2)),
        kernels=((3, 3), (3, 3)),
        encoder_blocks=(2, 2),
        decoder_blocks=(2,),
    )
    assert set(spec.model_dump()) == {
        "kind", "features", "strides", "kernels", "encoder_blocks", "decoder_blocks", "deep_supervision",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("vnet", {"norm": None}, "vnet needs norm"),
        ("vnet", {"growth": 4}, "vnet has no growth"),
        ("vnet", {"deep_supervision": True}, "vnet has one output: deep_supervision must be false"),
        ("unet3d", {"encoder_blocks": (2, 3, 2)}, "two convolutions in every stage"),
        ("segresnet", {"kernels": ((3, 3), (1, 3), (3, 3), (3, 3))}, "halves every axis between stages"),
        ("mednext_s", {"expansion": (2, 2)}, "3 stages need 5 numbers of expansion, got 2"),
        ("densenet_unet", {"growth": 3}, "features follow from growth and blocks"),
        ("unetr", {"image": (32, 30)}, "is not a multiple of"),
        ("swinunetr", {"heads": (3,)}, r"has 4 number\(s\) of heads, got \[3\]"),
        ("fcn8s", {"decoder_blocks": (1, 1, 1)}, "0 decoder_blocks"),
        ("deeplabv3plus", "two stages", "has 3 stages or more, got 2"),
    ],
)
def test_a_spec_that_does_not_fit_its_kind_is_refused(name, changes, said):
    spec, _ = spec_of(name, 2)
    if changes == "two stages":
        changes = {f: getattr(spec, f)[:2] for f in ("features", "strides", "kernels", "encoder_blocks")}
    tree = spec.model_dump(mode="json") | {k: v for k, v in changes.items() if v is not None}
    tree = {k: v for k, v in tree.items() if changes.get(k, v) is not None}
    with pytest.raises(RecordError, match=said):
        NetworkSpec.from_json(json_of(tree), where="spec")


def json_of(tree):
    import json

    return json.dumps(tree)


def test_supervised_kinds_are_those_that_give_several_outputs():
    assert {spec_of(n, 2)[0].kind for n in ARCHITECTURES if spec_of(n, 2)[0].deep_supervision} == (
        set(SUPERVISED) - {"unet", "residual_unet"}
    )

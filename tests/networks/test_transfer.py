"""Transfer: what a network takes over from another, and what it answers then."""

import numpy as np
import pytest
import torch

from delineate.errors import ModelError
from delineate.networks import build_network
from delineate.networks.kernel import Frame
from delineate.networks.transfer import Described, Provenance, Transfer, differences, transferred
from delineate.planning.architectures import ARCHITECTURES
from delineate.planning.plan import NetworkSpec, Normalization
from delineate.space import LabelSchema

FROM = Provenance(kind="model", dataset="knees", sha256="ab" * 32, configuration="3d_fullres", fold=0)
CHANNELS, OUTPUTS = ("T1", "T2"), ("background", "bone", "cartilage")
VOLUME = Frame("RAS", None)


def spec(dims=3, kind="unet", features=(4, 6, 8), **fields):
    n = len(features)
    layout = {
        "kind": kind,
        "features": features,
        "strides": ((1,) * dims, *((2,) * dims,) * (n - 1)),
        "kernels": ((3,) * dims,) * n,
        "encoder_blocks": (2,) * n,
        "decoder_blocks": (1,) * (n - 1),
    }
    return NetworkSpec.model_validate(layout | fields)


def described(spec, inputs=CHANNELS, outputs=OUTPUTS, frame=VOLUME):
    return Described(spec, inputs, outputs, frame)


def fresh(network, seed=1):
    return build_network(network.spec, len(network.inputs), max(1, len(network.outputs)), seed=seed)


def moved(source, target, learnt=None, **rest):
    """The network of `target` after taking over what one of `source` has learnt, and both."""
    learnt = learnt or fresh(source, seed=7)
    network = fresh(target)
    report = transferred(network, learnt.state_dict(), source, target, FROM, **rest)
    return learnt.eval(), network.eval(), report


def image(channels, *edges, seed=0):
    return torch.randn((2, channels, *edges), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["unet", "residual_unet", "attention_unet", "mednext_s", "fcn8s", "segnet"])
def test_an_identical_network_answers_bit_for_bit_the_same(name, dims):
    if name in ARCHITECTURES:
        shape = ARCHITECTURES[name].shape((1.0,) * dims, (16, 16, 24)[:dims])
        same, edges = ARCHITECTURES[name].network(shape, 2), shape.patch
    else:
        same, edges = spec(dims, name), (16,) * dims
    frame = VOLUME if dims == 3 else Frame("RAS", 2)
    here = described(same, frame=frame)
    learnt, network, report = moved(here, here)
    x = image(2, *edges)
    with torch.no_grad():
        assert torch.equal(learnt(x), network(x))
    assert report.share == 1.0
    assert {one.fate for one in report.tensors} == {"copied"}


@pytest.mark.parametrize("name", ["resnet_unet", "densenet_unet"])
def test_networks_that_join_the_image_once_more_find_its_channels_there_too(name):
    shape = ARCHITECTURES[name].shape((1.0,) * 3, (32, 32, 32))
    same = ARCHITECTURES[name].network(shape, 2)
    learnt, network, report = moved(described(same), described(same, inputs=("T2", "T1")))
    x = image(2, *shape.patch)
    with torch.no_grad():
        torch.testing.assert_close(network(x.flip(1)), learnt(x), atol=1e-4, rtol=1e-4)
    assert report.share == 1.0
    assert len([one for one in report.tensors if one.how == "channels by name"]) > 1


@pytest.mark.slow
def test_parts_that_come_and_go_with_the_number_of_channels_do_not_disturb():
    shape = ARCHITECTURES["unetr"].shape((1.0,) * 3, (32, 32, 32))
    same = ARCHITECTURES["unetr"].network(shape, 8)
    fewer = described(same.but(features=(3, *same.features[1:])) if same.features[0] != 3 else same)
    learnt, network, report = moved(fewer, fewer)
    x = image(2, *shape.patch)
    with torch.no_grad():
        assert torch.equal(learnt(x), network(x))
    assert report.share == 1.0


def test_channels_in_another_order_are_found_by_their_names():
    there, here = described(spec()), described(spec(), inputs=("t2", "T1 "))
    learnt, network, report = moved(there, here)
    x = image(2, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x.flip(1)), learnt(x))
    assert report.channels == {"t2": "copied", "T1 ": "copied"}
    assert [one.how for one in report.tensors if one.fate == "adapted"] == ["channels by name"]


def test_new_channels_begin_with_the_mean_so_that_equal_channels_give_equal_features():
    there, here = described(spec(), inputs=("CT",)), described(spec(), inputs=("T1", "T2", "FLAIR"))
    learnt, network, report = moved(there, here)
    x = image(1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x.expand(-1, 3, -1, -1, -1)), learnt(x), atol=1e-4, rtol=1e-4)
    assert report.channels["FLAIR"] == "new: as CT, times 1/3"


def test_a_channel_that_is_new_beside_a_known_one_says_so_and_what_is_left_out_is_named():
    _, _, report = moved(described(spec()), described(spec(), inputs=("T1", "PET")))
    assert report.channels == {"T1": "copied", "PET": "new: the mean of T1, T2"}
    assert report.notes == ("not needed here: T2",)


def test_labels_of_a_stage_before_begin_anew_where_none_was_read():
    here = described(spec(), inputs=("T1", "T2", "labels before: bone"))
    _, network, report = moved(described(spec()), here)
    own = fresh(here).state_dict()["encoder.0.0.conv.weight"]
    assert torch.equal(network.state_dict()["encoder.0.0.conv.weight"][:, 2], own[:, 2])
    assert report.channels["labels before: bone"] == "new: no stage before was read there"


def test_heads_of_structures_are_found_by_name_and_others_are_new():
    here = described(spec(), outputs=("background", "meniscus", "bone"))
    learnt, network, report = moved(described(spec()), here)
    x = image(2, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:, [0, 2]], learnt(x)[:, [0, 1]])
    own = fresh(here).state_dict()["decoder.heads.0.weight"]
    assert torch.equal(network.state_dict()["decoder.heads.0.weight"][1], own[1])
    assert report.outputs == {"background": "copied", "meniscus": "new", "bone": "copied"}


def test_with_no_structure_in_common_heads_are_new_and_the_rest_is_the_source_bit_for_bit():
    here = described(spec(), outputs=("liver", "spleen"))
    learnt, network, report = moved(described(spec()), here)
    x = image(2, 8, 8, 8)
    with torch.no_grad():
        a, b = x, x
        for one, other in zip(learnt.encoder, network.encoder, strict=True):
            a, b = one(a), other(b)
            assert torch.equal(a, b)
    assert report.share == 1.0
    assert {one.how for one in report.tensors if one.fate == "new"} == {"its outputs are others"}


def test_a_head_that_filled_scans_in_is_left_behind():
    there = described(spec(deep_supervision=False), outputs=())
    _, _, report = moved(there, described(spec()), learnt=fresh(described(spec(deep_supervision=False))))
    new = {one.how for one in report.tensors if one.fate == "new"}
    assert new == {"the head of pretraining is left behind"}
    assert report.share == 1.0


@pytest.mark.parametrize("kind", ["unet", "residual_unet"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_inflated_2d_network_answers_on_a_stack_of_equal_slices_as_on_one(kind, axis):
    there = described(spec(2, kind), frame=Frame("RAS", axis))
    learnt, network, report = moved(there, described(spec(3, kind)))
    x = image(2, 8, 12)
    with torch.no_grad():
        flat = learnt(x)
        stack = network(x.unsqueeze(2 + axis).repeat_interleave(8, 2 + axis))
    expected = flat.unsqueeze(2 + axis).expand_as(stack)
    torch.testing.assert_close(stack, expected, atol=1e-4, rtol=1e-4)
    letter = "ijk"[axis]
    hows = {one.how for one in report.tensors if one.fate == "adapted"}
    assert hows == {f"centred along {letter}", f"repeated along {letter}"}


def test_a_3d_network_that_becomes_2d_answers_as_it_did_inside_a_stack_of_equal_slices():
    there, here = (
        described(spec(3, features=(4, 6))),
        described(spec(2, features=(4, 6)), frame=Frame("RAS", 2)),
    )
    learnt, network, _ = moved(there, here)
    x = image(2, 8, 12)
    with torch.no_grad():
        flat = network.encoder[0][0].conv(x)
        stack = learnt.encoder[0][0].conv(x.unsqueeze(-1).repeat(1, 1, 1, 1, 8))
    torch.testing.assert_close(flat, stack[..., 4], atol=1e-4, rtol=1e-4)


def test_scans_that_lie_otherwise_are_read_with_turned_kernels():
    """The same patient, turned: convolutions without a stride give the same features, turned."""
    there = described(spec(), frame=Frame("RAS", None))
    here = described(spec(), frame=Frame("PIL", None))
    learnt, network, report = moved(there, here)
    x = image(2, 8, 8, 8)  # R A S
    turned = x.permute(0, 1, 3, 4, 2).flip(2, 3, 4)  # A S R, then P I L
    with torch.no_grad():
        a, b = learnt.encoder[0](x), network.encoder[0](turned)
    torch.testing.assert_close(b, a.permute(0, 1, 3, 4, 2).flip(2, 3, 4), atol=1e-4, rtol=1e-4)
    assert "turned" in {one.how for one in report.tensors}


def test_slices_in_another_plane_are_copied_as_they_lie_and_said():
    there = described(spec(2), frame=Frame("RAS", 2))
    learnt, network, report = moved(there, described(spec(2), frame=Frame("RAS", 0)))
    x = image(2, 8, 8)
    with torch.no_grad():
        assert torch.equal(learnt(x), network(x))
    assert "slices lie in another plane of the patient than those it learnt from" in report.notes


def test_a_kernel_that_grows_keeps_the_answer():
    small = spec(kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)))
    learnt, network, report = moved(described(small), described(spec()))
    x = image(2, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x), learnt(x), atol=1e-4, rtol=1e-4)
    assert "centred along i" in {one.how for one in report.tensors}


def test_other_strides_fit_as_far_as_they_can():
    flat = spec(strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)))
    _, _, report = moved(described(flat), described(spec()))
    assert report.share == 1.0
    assert "repeated along i" in {one.how for one in report.tensors}


def test_a_deeper_network_takes_over_what_there_is_and_names_the_rest():
    deep = spec(features=(4, 6, 8, 8), strides=((1, 1, 1), *((2, 2, 2),) * 3))
    _, _, report = moved(described(spec()), described(deep))
    new = [one.name for one in report.tensors if one.fate == "new" and "heads" not in one.name]
    assert new
    assert all(name.startswith(("encoder.3.", "decoder.ups.2", "decoder.stages.2")) for name in new)
    assert "3 stages there, 4 here: matched from full resolution down" in report.notes
    assert 0.5 < report.share < 1


def test_a_network_that_hardly_fits_is_refused_and_says_why():
    wide = spec(features=(5, 7, 9))
    with pytest.raises(ModelError, match=r"only 0% of the network would come from knees") as refused:
        moved(described(spec()), described(wide))
    assert "4 x 2 x 3 x 3 x 3 there, 5 x 2 x 3 x 3 x 3 here" in str(refused.value)
    assert "--from MODEL" in str(refused.value)


def test_weights_of_another_kind_of_network_are_refused():
    with pytest.raises(ModelError, match="weights of residual_unet mean nothing to unet"):
        moved(described(spec(kind="residual_unet")), described(spec()))


def test_every_tensor_is_accounted_for_and_the_report_reads_back():
    here = described(spec(), inputs=("T1", "PET"), outputs=("background", "meniscus"))
    _, network, report = moved(described(spec()), here)
    assert [one.name for one in report.tensors] == list(network.state_dict())
    assert sum(one.numbers for one in report.tensors) == sum(t.numel() for t in network.state_dict().values())
    text = "\n".join(report.lines())
    for words in ("100% of the network is from the model knees", "copied", "adapted", "channel PET: new"):
        assert words in text
    assert Transfer.from_json(report.to_json(), where="here") == report


def test_a_long_list_of_structures_is_told_in_part():
    many = ("background", *(f"bone {n}" for n in range(20)))
    _, _, report = moved(described(spec(), outputs=many), described(spec(), outputs=many))
    assert "outputs: 13 more, in transfer.json" in report.lines()


def test_differences_that_may_be_are_said(make_plan):
    there = make_plan()
    full = there.configuration()
    other = full.but(spacing=(2.0, 1.0, 1.0), patch=(16, 8, 8))
    t1 = there.channels[0].but(normalization=Normalization(rule="unit"))
    regions = LabelSchema.from_json(
        '{"labels": [{"value": 1, "name": "bone"}],'
        ' "regions": [{"name": "leg", "values": [1], "paints": 1}]}',
        where="here",
    )
    here = there.but(channels=(t1, there.channels[1]), labels=regions)
    assert differences(there, full, there, full) == ()
    said = " | ".join(differences(there, full, here, other))
    assert "voxels of 1 x 1 x 1 mm there, 2 x 1 x 1 mm here" in said
    assert "patches of 8 x 8 x 8 there, 16 x 8 x 8 here" in said
    assert "T1 was normalised otherwise there (zscore, here unit)" in said
    assert "one learns labels, the other regions" in said


def test_a_kernel_that_cannot_shrink_is_new():
    large = spec(kernels=((5, 5, 5), (3, 3, 3), (3, 3, 3)))
    _, _, report = moved(described(large), described(spec()))
    new = {one.name: one.how for one in report.tensors if one.fate == "new"}
    assert new["encoder.0.0.conv.weight"] == "4 x 2 x 5 x 5 x 5 there, 4 x 2 x 3 x 3 x 3 here"


def test_networks_whose_head_interpolates_keep_their_own_interpolation():
    shape = ARCHITECTURES["fcn8s"].shape((1.0, 1.0), (16, 24))
    same = ARCHITECTURES["fcn8s"].network(shape, 2)
    frame = Frame("RAS", 2)
    here = described(same, outputs=("background", "x"), frame=frame)
    _, network, report = moved(described(same, frame=frame), here)
    own = fresh(here).state_dict()
    ups = [one.name for one in report.tensors if one.name.startswith("ups")]
    assert ups
    for name in ups:
        np.testing.assert_array_equal(network.state_dict()[name], own[name])

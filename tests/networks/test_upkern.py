"""UpKern: a MedNeXt of kernels of 5 begins as one of kernels of 3, drawn out."""

import pytest
import torch

from delineate.errors import PlanError
from delineate.networks import build_network
from delineate.networks.kernel import Frame
from delineate.networks.transfer import Described, Provenance, transferred
from delineate.networks.upkern import drawn_out, is_larger
from delineate.planning.architectures import ARCHITECTURES, with_kernels

FROM = Provenance(kind="model", dataset="knees", sha256="0" * 64, configuration="3d_fullres", fold=0)


def _spec(dims, kernel):
    preset = ARCHITECTURES["mednext_s"]
    shape = preset.shape((1.0,) * dims, (32, 32, 32)[:dims])
    spec = preset.network(shape, 4)
    return spec.but(kernels=tuple(tuple(kernel for _ in each) for each in spec.kernels))


def test_a_kernel_is_read_linearly_between_its_voxels():
    kernel = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1).expand(2, 1, 3, 3)
    found = drawn_out(kernel, (5, 5))
    assert found.shape == (2, 1, 5, 5)
    assert torch.allclose(found[0, 0, :, 2], torch.tensor([1.0, 1.4, 2.0, 2.6, 3.0]))
    assert torch.equal(drawn_out(kernel, (3, 3)), kernel)


@pytest.mark.parametrize(
    ("sizes", "larger"),
    [((5, 5), True), ((5, 3), True), ((3, 3), False), ((1, 5), False), ((5, 5, 5), False)],
)
def test_only_what_grows_is_drawn_out(sizes, larger):
    assert is_larger(torch.zeros(4, 1, 3, 3), sizes) == larger


@pytest.mark.parametrize("dims", [2, 3])
def test_a_large_mednext_begins_with_the_kernels_of_a_small_one(dims):
    frame = Frame("RAS", None if dims == 3 else 2)
    small, large = _spec(dims, 3), _spec(dims, 5)
    there, here = (
        Described(spec=spec, frame=frame, inputs=("T1",), outputs=("background", "bone"))
        for spec in (small, large)
    )
    learnt, network = build_network(small, 1, 2, seed=3), build_network(large, 1, 2, seed=4)
    report = transferred(network, learnt.state_dict(), there, here, FROM)
    assert report.share == 1.0
    assert {one.how for one in report.tensors if one.fate == "adapted"} == {"drawn out (UpKern)"}
    ours, theirs = network.state_dict(), learnt.state_dict()
    for name, weight in ours.items():
        wanted = theirs[name]
        assert torch.equal(
            weight, drawn_out(wanted, tuple(weight.shape[2:])) if "depthwise.weight" in name else wanted
        )


def test_a_plan_takes_larger_kernels_where_the_network_has_the_choice(make_plan):
    plan = make_plan()
    mednext = plan.configuration().but(network=_spec(3, 3), patch=(32, 32, 32))
    asked = plan.but(configurations={"3d_fullres": mednext})
    found = with_kernels(asked, 5)
    assert {k for kernel in found.configuration().network.kernels for k in kernel} == {5}
    assert found.reasons["configurations.3d_fullres.network.kernels"] == "asked for; 1 across thick slices"
    assert with_kernels(found, 5) is found
    assert with_kernels(found, 3).configuration() == asked.configuration()
    with pytest.raises(PlanError, match="kernels of 5 are a choice of MedNeXt; the plan uses unet"):
        with_kernels(plan, 5)
    with pytest.raises(PlanError, match="kernels of MedNeXt are 3 or 5, got 7"):
        with_kernels(asked, 7)

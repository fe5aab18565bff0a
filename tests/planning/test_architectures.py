"""The networks of the literature, as the planner lays them out."""

from typing import get_args

import pytest

from delineate.cli.wishes import Network
from delineate.errors import PlanError
from delineate.planning import ARCHITECTURES, NetworkName, Plan, make_plan
from delineate.planning.topology import even_topology

DATA = {
    "hippocampi": ([(36, 50, 35)] * 20, (1.0, 1.0, 1.0)),
    "thick slices": ([(200, 220, 18)] * 20, (0.8, 0.8, 6.0)),
    "pictures": ([(300, 200, 1)] * 20, (1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_has_a_plan_for_any_data_with_a_reason_for_each_field(
    name, data, device, fingerprint_of
):
    plan = make_plan(fingerprint_of(*DATA[data]), device=device, network=name)
    assert Plan.from_json(plan.to_json(), where="plan") == plan
    for used, configuration in plan.configurations.items():
        for field in configuration.network.model_dump():
            assert plan.reasons[f"configurations.{used}.network.{field}"]


def test_less_memory_gives_a_smaller_patch_and_a_dearer_network_too(fingerprint_of):
    found = fingerprint_of([(200, 200, 200)] * 20, (1.0, 1.0, 1.0))

    def voxels(**wishes):
        i, j, k = make_plan(found, **wishes).configuration("3d_fullres").patch
        return i * j * k

    assert voxels(network="vnet", memory_gb=4) < voxels(network="vnet", memory_gb=24)
    assert voxels(network="mednext_l") < voxels(network="mednext_s") < voxels()


def test_the_rates_of_deeplab_shrink_with_the_patch(fingerprint_of):
    small = make_plan(fingerprint_of(*DATA["hippocampi"]), network="deeplabv3plus").configuration().network
    assert max(small.rates) < 6
    assert list(small.rates) == sorted(small.rates)


def test_mednext_and_transformers_train_with_adamw_whatever_the_budget(fingerprint_of):
    plans = {
        n: make_plan(fingerprint_of(*DATA["hippocampi"]), network=n) for n in ("mednext_s", "unetr", "vnet")
    }
    assert {n: plan.training.optimizer for n, plan in plans.items()} == {
        "mednext_s": "adamw", "unetr": "adamw", "vnet": "sgd",
    }  # fmt: skip


def test_a_network_nobody_knows_is_refused(fingerprint_of):
    with pytest.raises(PlanError, match="there is no network 'unet9000'; there are attention_unet, deeplab"):
        make_plan(fingerprint_of(*DATA["hippocampi"]), network="unet9000")


def test_the_command_line_knows_every_network():
    names = {network.value for network in Network}
    assert names == {*ARCHITECTURES, "mask_rcnn", "seed_unet2d", "seed_unet3d"}
    assert set(ARCHITECTURES) == set(get_args(NetworkName))


def test_an_even_topology_leaves_more_than_a_voxel_at_the_bottleneck():
    assert even_topology((10, 12), 4).patch == (16, 32)
    assert even_topology((40, 12), 4).patch == (48, 16)


def test_unetr_is_held_to_the_image_it_was_made_for(fingerprint_of):
    plan = make_plan(fingerprint_of(*DATA["hippocampi"]), network="unetr")
    i, j, k = plan.configuration().patch
    with pytest.raises(Exception, match="is not the image"):
        plan.set_by_hand("patch", [i + 16, j, k])

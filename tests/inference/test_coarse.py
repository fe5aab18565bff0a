import pytest

from delineate.inference.coarse import coarser
from delineate.planning.plan import NetworkSpec


def test_the_grid_is_coarser_and_the_patch_sees_the_same_tissue_with_fewer_voxels(make_plan, configuration):
    plan = make_plan({"3d_fullres": configuration((16, 16, 16))})
    small = coarser(plan, "3d_fullres", 2.0, smaller=True).configuration()
    assert small.spacing == (2.0, 2.0, 2.0)
    assert small.patch == (8, 8, 8)
    wide = coarser(plan, "3d_fullres", 2.0, smaller=False).configuration()
    assert wide.patch == (16, 16, 16)


def test_slices_stay_and_so_do_axes_that_are_coarse_already(make_plan, configuration):
    flat = make_plan({"2d": configuration((8, 8, 1), slice_axis=2, spacing=(1.0, 1.0, 5.0))})
    assert coarser(flat, "2d", 2.0, smaller=True).configuration().spacing == (2.0, 2.0, 5.0)
    assert coarser(flat, "2d", 2.0, smaller=True).configuration().patch == (4, 4, 1)
    thick = make_plan({"3d_fullres": configuration((8, 8, 8), spacing=(1.0, 1.0, 5.0))})
    assert coarser(thick, "3d_fullres", 2.0, smaller=True).configuration().patch == (4, 4, 8)
    assert coarser(thick, "3d_fullres", 2.0, smaller=True).configuration().spacing == (2.0, 2.0, 5.0)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.0, 50.0])
def test_every_patch_is_one_that_the_network_takes(factor, make_plan, configuration):
    plan = make_plan({"3d_fullres": configuration((10, 12, 14))})
    made = coarser(plan, "3d_fullres", factor, smaller=True)
    assert all(edge % 2 == 0 and edge >= 4 for edge in made.configuration().patch)
    assert made.use == ("3d_fullres",)


def test_the_factor_of_one_changes_nothing(make_plan, configuration):
    plan = make_plan({"2d": configuration((8, 8, 1), slice_axis=2), "3d_fullres": configuration()})
    assert coarser(plan, "2d", 1.0, smaller=True).configuration() == plan.configuration("2d")


def test_a_network_of_one_image_size_keeps_its_patch(make_plan, configuration):
    fixed = NetworkSpec(
        kind="unetr",
        features=(4, 8, 16, 32, 64),
        strides=((1, 1, 1), *((2, 2, 2),) * 4),
        kernels=((3, 3, 3),) * 5,
        encoder_blocks=(2,) * 5,
        decoder_blocks=(),
        deep_supervision=False,
        heads=(4,),
        image=(32, 32, 32),
    )
    plan = make_plan({"3d_fullres": configuration((16, 16, 16)).but(network=fixed, patch=(32, 32, 32))})
    assert coarser(plan, "3d_fullres", 2.0, smaller=True).configuration().patch == (32, 32, 32)

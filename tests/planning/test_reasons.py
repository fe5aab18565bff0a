import re

import pytest

from delineate.planning import make_plan, plan_table

KINDS = {
    "hippocampi": ([(35, 50, 36)] * 50, (1, 1, 1)),
    "large": ([(500, 500, 300)] * 20, (0.8, 0.8, 1.5)),
    "slices": ([(256, 256, 10)] * 8, [(1.5, 1.5, 10)] * 6 + [(1.5, 1.5, 5)] * 2),
    "pictures": ([(120, 130, 1)] * 100, (1, 1, 1)),
}
WISHES = [{}, {"device": "cpu", "minutes": 3}, {"preset": "L"}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_every_field_of_every_configuration_has_a_reason(kind, wish, fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS[kind]), **wish)
    for name in plan.configurations:
        for field in {*plan.configurations[name].model_dump()} - {"network"}:  # those that the plan shows
            assert plan.reasons[f"configurations.{name}.{field}"]
        for field in plan.configurations[name].network.model_dump():
            assert plan.reasons[f"configurations.{name}.network.{field}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_no_row_of_the_table_is_without_a_reason(kind, wish, fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS[kind]), **wish)
    for field, value, reason in plan_table(plan, tuple(plan.configurations)):
        assert value, field
        assert reason, field
        assert not re.search(r"nan|None|\{|\}", reason), reason


def said(plan, field, name=None):
    return plan.reasons[f"configurations.{name or plan.first}.{field}"]


def test_the_reason_of_a_patch_has_its_numbers(fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS["large"]))
    text = said(plan, "patch")
    assert "started at 320 x 320 x 192" in text
    assert "million feature values in a batch of 2, 1120 million fit into 8 GB" in text
    assert re.search(r"It sees \d% of the median scan", text)


def test_a_patch_that_fits_whole_says_so(fingerprint_of):
    assert said(make_plan(fingerprint_of(*KINDS["hippocampi"])), "patch").startswith(
        "as large as the median scan"
    )


def test_a_narrow_network_tells_what_a_step_may_cost(fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS["hippocampi"]), device="cpu", minutes=2)
    assert "16 at full resolution instead of 32: a step of 2 is 58 GFLOP, of the 107" in said(
        plan, "network.features"
    )


def test_a_step_that_costs_too_much_is_not_hidden(fingerprint_of):
    plan = make_plan(fingerprint_of([(35, 50, 36)] * 50, (1, 1, 1)), device="cpu", minutes=0.05)
    assert "though only" in said(plan, "patch")


def test_thick_slices_explain_spacing_kernels_and_slice_axis(fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS["slices"]))
    assert "the 10th percentile along k (median 10 mm)" in said(plan, "spacing", "3d_fullres")
    assert "1 across the coarse axis in the first" in said(plan, "network.kernels", "3d_fullres")
    assert said(plan, "slice_axis", "2d").startswith("slices across k, the coarsest axis (10 mm)")


def test_the_cascade_says_what_it_reads(fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS["large"]))
    assert "labels found at low resolution" in said(plan, "previous", "3d_cascade_fullres")
    assert "until a patch sees 25% of the median scan" in said(plan, "spacing", "3d_lowres")
    assert "each sees much of a scan" in said(plan, "batch_dice", "3d_lowres")


def test_residual_networks_say_why(fingerprint_of):
    plan = make_plan(fingerprint_of(*KINDS["large"]), preset="M")
    assert "residual encoder" in said(plan, "network.kind")
    assert "residual blocks" in said(plan, "network.encoder_blocks")

import pytest

from delineate.inference.engines.instructions import after, before
from delineate.networks import CleanUp
from delineate.planning.plan import ChannelPlan, Denoise, Normalization
from delineate.space import Label, LabelSchema, Region

RULES = {
    "ct": (
        {"low": -10.0, "high": 90.0, "mean": 40.0, "sd": 20.0},
        "clip to -10 .. 90, subtract 40, divide by 20",
    ),
    "zscore": ({"masked": True}, "both of the voxels that are not zero; the others become 0"),
    "unit": ({}, "subtract the scan's least value"),
    "rgb": ({}, "divide by 255"),
    "none": ({}, "leave the values as they are"),
}


@pytest.mark.parametrize("rule", RULES)
def test_every_normalisation_is_told_with_its_numbers(make_plan, rule):
    fields, expected = RULES[rule]
    channel = ChannelPlan(name="T1", normalization=Normalization(rule=rule, **fields))
    told = before(make_plan().but(channels=(channel,)))
    assert any(expected in line for line in told), told


def test_steps_are_told_in_their_order(make_plan, configuration):
    filtered = ChannelPlan(
        name="T1", normalization=Normalization(rule="none"), denoise=Denoise(rule="median", size=3)
    )
    cascade = {
        "3d_lowres": configuration(spacing=(2.0, 2.0, 2.0)),
        "3d_cascade_fullres": configuration(previous="3d_lowres"),
        "2d": configuration((8, 8, 1), slice_axis=2),
    }
    plan = make_plan(cascade, use=("2d", "3d_cascade_fullres")).but(
        channels=(filtered,), orientation="stored"
    )
    told = " ".join(before(plan))
    order = (
        "stored",
        "Cut off",
        "median filter",
        "slices across k",
        "resample to 2 x 2 x 2",
        "3d_lowres found",
    )
    places = [told.index(part) for part in order]
    assert places == sorted(places)
    later = " ".join(before(plan.but(normalized="resampled", crop_to_nonzero=False)))
    assert later.index("resample") < later.index("median")
    assert "Cut off" not in later


def test_labels_and_regions_are_told(make_plan):
    told = " ".join(after(make_plan(), CleanUp(foreground=True, structures=("two",))))
    assert "0 background, 1 one, 2 two" in told
    assert "one 1, two 2" in told
    assert "of: all structures together, two" in told
    regions = LabelSchema(
        labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
        regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
    )
    told = " ".join(after(make_plan(labels=regions), CleanUp()))
    assert "0 whole (paints 1), 1 core (paints 4)" in told
    assert "Keep the largest" not in told

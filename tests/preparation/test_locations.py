import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.preparation.locations import Target, enough, locate, targets
from delineate.space import LabelSchema, Region

NESTED = LabelSchema.of("oedema", "core", "enhancing").but(
    regions=(
        Region(name="whole", values=(1, 2, 3), paints=1),
        Region(name="centre", values=(2, 3), paints=2),
        Region(name="active", values=(3,), paints=3),
    )
)


def rng():
    return np.random.default_rng(0)


def of(locations, number):
    return locations.rows[locations.rows[:, 0] == number, 1:]


def test_labels_are_targets_numbered_from_one():
    assert targets(LabelSchema.of("a", "b")) == (Target(1, "a", (1,)), Target(2, "b", (2,)))


def test_regions_are_targets_instead_of_labels():
    whole, centre, active = targets(NESTED)
    assert whole == Target(1, "whole", (1, 2, 3))
    assert centre == Target(2, "centre", (2, 3))
    assert active == Target(3, "active", (3,))


def test_with_an_ignore_label_everything_annotated_is_a_target():
    first, *rest = targets(LabelSchema.of("a", "b").but(ignore=9))
    assert first == Target(0, "annotated", (0, 1, 2))
    assert [target.number for target in rest] == [1, 2]


@given(arrays(np.int16, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(-1, 3)))
@settings(max_examples=60, deadline=None)
def test_all_voxels_of_small_structures_are_found(labels):
    for schema in (LabelSchema.of("a", "b", "c"), NESTED, NESTED.but(regions=(), ignore=7)):
        found = locate(labels, targets(schema), rng())
        for target, voxels in zip(targets(schema), found.voxels, strict=True):
            inside = np.isin(labels, target.members)
            assert voxels == inside.sum()
            assert np.array_equal(of(found, target.number), np.argwhere(inside))
        assert found.rows.dtype == np.int32


def test_of_large_structures_a_sample_without_repetition_is_kept():
    labels = np.ones((40, 40, 40), np.int16)
    labels[:2] = 0
    rows = of(locate(labels, targets(LabelSchema.of("a")), rng()), 1)
    assert len(rows) == 10_000
    assert len(np.unique(rows, axis=0)) == 10_000
    assert rows[:, 0].min() == 2
    spread = np.histogram(rows[:, 0], bins=38)[0]
    assert spread.min() > 150  # of about 263 in each slice


@pytest.mark.parametrize(
    ("voxels", "kept"), [(0, 0), (7, 7), (10_000, 10_000), (50_000, 10_000), (2_000_050, 20_001)]
)
def test_a_hundredth_of_the_largest_is_kept(voxels, kept):
    assert enough(voxels) == kept


def test_the_same_generator_draws_the_same_voxels():
    labels = np.ones((30, 30, 30), np.int16)
    a, b = (locate(labels, targets(LabelSchema.of("a")), rng()) for _ in range(2))
    assert np.array_equal(a.rows, b.rows)

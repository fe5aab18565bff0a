"""A recipe changes what it should, in order, and leaves everything else bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import GeometryError, PlanError
from delineate.planning.plan import Augmentation
from delineate.preparation.appearance import Brightness, Noise
from delineate.preparation.deform import Deform
from delineate.preparation.recipe import Cutout, Draw, Recipe, draw_absent
from delineate.preparation.transform import Mirror
from delineate.space import LabelSchema

EDGES = (8, 6, 7)
OFTEN = Augmentation(
    rotation_probability=0.5,
    scale_probability=0.5,
    elastic_probability=0.3,
    elastic_grid_mm=12.0,
    noise_probability=0.5,
    blur_probability=0.5,
    brightness_probability=0.5,
    contrast_probability=0.5,
    low_resolution_probability=0.5,
    gamma_inverted_probability=0.5,
    gamma_probability=0.5,
)
BUSY = Recipe(OFTEN, EDGES, (1.0, 1.2, 0.8), channels=2, mirror_axes=(0, 1, 2))
STILL = BUSY.still
UNMOVED = Deform((0, 1, 2))
PARTIAL = LabelSchema.of("one").but(ignore=9)
UNMIRRORED = Mirror((False,) * 3)


def cutout(draw, channels=2, *, seed=0, previous=False):
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.normal(size=(channels, *draw.reach)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 4, draw.reach).astype(np.int16))
    coarse = torch.from_numpy(rng.integers(0, 4, draw.reach).astype(np.int16)) if previous else None
    return Cutout(image, labels, coarse)


def test_validation_patches_are_the_scan_bit_for_bit():
    draw = STILL.draw(np.random.default_rng(0))
    source = cutout(draw)
    images, labels = STILL.apply([source], [draw])
    assert torch.equal(images[0], source.image)
    assert torch.equal(labels[0], source.labels.long())
    assert draw.reach == EDGES


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_batch_has_the_shape_and_types_that_networks_expect(seed):
    draws = [BUSY.draw(np.random.default_rng((seed, n))) for n in range(3)]
    sources = [cutout(draw, seed=n) for n, draw in enumerate(draws)]
    images, labels = BUSY.apply(sources, draws)
    assert images.shape == (3, 2, *EDGES) and images.dtype == torch.float32
    assert labels.shape == (3, *EDGES) and labels.dtype == torch.int64
    assert torch.isfinite(images).all()
    assert set(labels.unique().tolist()) <= {0, 1, 2, 3}  # no label is invented


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_sample_is_the_same_alone_and_in_any_batch(seed):
    draws = [BUSY.draw(np.random.default_rng((seed, n))) for n in range(2)]
    again = [BUSY.draw(np.random.default_rng((seed, n))) for n in range(2)]
    assert draws == again
    sources = [cutout(draw, seed=n) for n, draw in enumerate(draws)]
    before = [source.image.clone() for source in sources]
    images, labels = BUSY.apply(sources, draws)
    alone, labels_alone = BUSY.apply(sources[1:], again[1:])
    assert torch.equal(images[1], alone[0])
    assert torch.equal(labels[1], labels_alone[0])
    assert all(torch.equal(a, source.image) for a, source in zip(before, sources, strict=True))


def test_two_seeds_give_two_samples():
    draws = [BUSY.draw(np.random.default_rng(n)) for n in range(30)]
    assert len({repr(draw) for draw in draws}) == 30


def test_threads_do_not_change_a_bit():
    recipe = Recipe(OFTEN, (34, 34, 34), (1.0, 1.0, 1.0))  # more than torch gives one thread
    before = torch.get_num_threads()
    draws = [recipe.draw(np.random.default_rng(n)) for n in range(4)]
    sources = [cutout(draw, 1, seed=n) for n, draw in enumerate(draws)]
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(recipe.apply(sources, draws))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0][0], made[1][0])
    assert torch.equal(made[0][1], made[1][1])


def test_image_and_labels_are_mirrored_alike():
    draw = Draw(EDGES, UNMOVED, (), Mirror((True, False, True)))
    source = cutout(draw)
    images, labels = BUSY.apply([source], [draw])
    assert torch.equal(images[0], source.image.flip(1, 3))
    assert torch.equal(labels[0], source.labels.long().flip(0, 2))


def test_label_coded_images_and_labels_move_together():
    recipe = Recipe(OFTEN, (16, 16), (1.0, 1.0), mirror_axes=(0, 1))
    for seed in range(20):
        drawn = recipe.draw(np.random.default_rng(seed))
        draw = Draw(recipe.edges, drawn.deform, (), drawn.mirror)
        halves = (torch.arange(draw.reach[0]) >= draw.reach[0] // 2).to(torch.int16)
        labels = halves[:, None].expand(draw.reach).contiguous()
        images, moved = recipe.apply([Cutout(labels[None].float(), labels)], [draw])
        certain = (images[0, 0] - 0.5).abs() > 0.01
        assert torch.equal(images[0, 0].round()[certain], moved[0].float()[certain])


def test_changes_are_applied_in_the_order_drawn():
    draw = Draw(EDGES, UNMOVED, (Brightness((2.0, 2.0)), Noise(0.1, 3)), UNMIRRORED)
    source = cutout(draw)
    images, _ = BUSY.apply([source], [draw])
    assert torch.equal(images[0], Noise(0.1, 3).apply(source.image * 2))


def test_channels_normalised_in_a_mask_stay_zero_outside_it():
    recipe = Recipe(OFTEN, EDGES, (1.0, 1.0, 1.0), channels=2, masked_channels=(1,))
    draw = Draw(EDGES, UNMOVED, (Noise(0.5, 3),), Mirror((True, False, False)))
    source = cutout(draw)
    source.image[:, :4] = 0
    images, _ = recipe.apply([source], [draw])
    assert (images[0, 1, 4:] == 0).all()  # mirrored
    assert (images[0, 1, :4] != 0).all()
    assert (images[0, 0] != 0).all()


def test_unknown_is_background_unless_the_schema_ignores():
    draw = STILL.draw(np.random.default_rng(0))
    source = cutout(draw)
    source.labels[0] = -1
    assert (STILL.apply([source], [draw])[1][0, 0] == 0).all()
    ignoring = Recipe(None, EDGES, (1.0, 1.0, 1.0), channels=2, outside_label=-1)
    assert (ignoring.apply([source], [draw])[1][0, 0] == -1).all()


def test_the_labels_of_a_previous_stage_move_along_and_become_channels():
    recipe = Recipe(OFTEN, EDGES, (1.0, 1.0, 1.0), channels=2, previous_labels=3)
    assert recipe.inputs == 5
    draw = Draw(EDGES, Deform((0, 1, 2), (180.0, 0.0, 0.0)), (), Mirror((True, False, False)))
    source = cutout(draw, previous=True)
    images, _ = recipe.apply([source], [draw])
    expected = source.previous.flip(0, 1, 2)
    for label in (1, 2, 3):
        assert torch.equal(images[0, 1 + label], (expected == label).float())


def test_the_labels_of_a_previous_stage_are_made_worse_in_training_only():
    recipe = Recipe(OFTEN, EDGES, (1.0, 1.0, 1.0), channels=2, previous_labels=3)
    drawn = [recipe.draw(np.random.default_rng(n)).corruption for n in range(60)]
    worse = [bool(corruption.reshapes or corruption.losses) for corruption in drawn]
    assert 15 < sum(worse) < 45
    assert recipe.still.draw(np.random.default_rng(0)).corruption is None
    n = worse.index(True)
    draw = Draw(EDGES, UNMOVED, (), UNMIRRORED, drawn[n])
    source = cutout(draw, previous=True)
    images, labels = recipe.apply([source], [draw])
    expected = drawn[n].apply(source.previous)
    assert torch.equal(images[0, 2:].argmax(0) + 1, expected.long().clamp(min=1))
    assert torch.equal(labels[0], source.labels.long())


# -- of a plan


def test_a_plan_in_space_gives_its_recipe(sample_plan):
    plan = sample_plan((8, 4, 8), spacing=(1.0, 2.0, 1.0), channels=(False, True), mirror_axes=(0, 2))
    recipe = Recipe.of(plan, "3d_fullres")
    assert recipe == Recipe(
        plan.augmentation["3d_fullres"],
        edges=(8, 4, 8),
        spacing=(1.0, 2.0, 1.0),
        channels=2,
        mirror_axes=(0, 2),
        masked_channels=(1,),
        outside_label=0,
        previous_labels=0,
    )


def test_a_plan_in_a_plane_gives_a_recipe_of_two_axes(sample_plan):
    plan = sample_plan((8, 1, 4), slice_axis=1, spacing=(1.0, 5.0, 2.0), mirror_axes=(1, 2), labels=PARTIAL)
    recipe = Recipe.of(plan, "2d")
    assert (recipe.edges, recipe.spacing, recipe.mirror_axes) == ((8, 4), (1.0, 2.0), (1,))
    assert recipe.outside_label == -1


def test_a_cascade_gets_the_labels_as_inputs(sample_plan):
    plan = sample_plan(labels=LabelSchema.of("a", "b", "c"))
    assert Recipe.of(plan, "3d_cascade_fullres").inputs == 4
    assert Recipe.of(plan, "3d_fullres").inputs == 1


# -- refusals


def test_a_box_of_another_size_is_refused():
    draw = STILL.draw(np.random.default_rng(0))
    source = Cutout(torch.zeros(2, 9, 6, 7), torch.zeros(9, 6, 7))
    with pytest.raises(
        GeometryError, match=r"reads 2 channels of \(8, 6, 7\) voxels, got an image of \(2, 9"
    ):
        STILL.apply([source], [draw])


def test_a_flat_axis_in_a_plane_is_refused(sample_plan):
    with pytest.raises(PlanError, match=r"flat_axis is 0, expected null: a 2D configuration"):
        Recipe.of(sample_plan((8, 8, 1), slice_axis=2, flat_axis=0), "2d")


def test_missing_labels_of_the_previous_stage_are_refused():
    recipe = Recipe(None, EDGES, (1.0, 1.0, 1.0), channels=2, previous_labels=3)
    draw = recipe.draw(np.random.default_rng(0))
    with pytest.raises(GeometryError, match="needs the labels of the previous stage"):
        recipe.apply([cutout(draw)], [draw])


# -- channels that are not there


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.99), st.sets(st.integers(0, 3), max_size=3))
def test_a_stack_always_keeps_a_channel_that_is_there(seed, probability, missing):
    absent = draw_absent(np.random.default_rng(seed), 4, probability, tuple(sorted(missing)))
    assert missing <= set(absent) < {0, 1, 2, 3}
    assert list(absent) == sorted(set(absent))


def test_channels_are_dropped_as_often_as_asked():
    rng = np.random.default_rng(0)
    drawn = [draw_absent(rng, 4, 0.25) for _ in range(4000)]
    shares = [sum(channel in absent for absent in drawn) / len(drawn) for channel in range(4)]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    assert any(len(absent) == 3 for absent in drawn)


def test_an_absent_channel_is_zero_all_over_and_the_others_are_untouched():
    recipe = replace(BUSY, channel_dropout=0.6)
    draws = [recipe.draw(np.random.default_rng(n), missing=(1,)) for n in range(20)]
    for n, draw in enumerate(draws):
        source = cutout(draw, seed=n)
        before = source.image.clone()
        images, labels = recipe.apply([source], [draw])
        plain, same = recipe.apply([source], [replace(draw, absent=())])
        assert draw.absent == (1,)
        assert (images[0, 1] == 0).all()
        assert torch.equal(images[0, 0], plain[0, 0])
        assert torch.equal(labels, same)
        assert torch.equal(source.image, before)


def test_without_dropout_the_draws_are_those_they_always_were():
    plain, dropped = BUSY, replace(BUSY, channel_dropout=0.5)
    for seed in range(10):
        first, second = (r.draw(np.random.default_rng(seed)) for r in (plain, dropped))
        assert replace(second, absent=()) == first
    assert dropped.still.draw(np.random.default_rng(0)).absent == ()


def test_the_plan_says_how_often_channels_are_dropped(sample_plan):
    plan = sample_plan(channels=(False, False))
    plan = plan.but(training=plan.training.but(channel_dropout=0.3))
    assert Recipe.of(plan, "3d_fullres").channel_dropout == 0.3

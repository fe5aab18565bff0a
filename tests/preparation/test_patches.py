"""Where patches are cut from, and that what was cut is what is there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError, PlanError
from delineate.preparation.locations import locate, targets
from delineate.preparation.patches import Sampler
from delineate.preparation.store import Prepared, Store, write_case
from delineate.space import Geometry, LabelSchema
from delineate.space.phantoms import sparse

PATCH = (8, 8, 8)


@pytest.fixture(scope="module")
def case_of(memory_case):
    """A case whose image holds each voxel's own number, from 1 on."""

    def build(shape=(14, 12, 16), *, labels=None, channels=1, coarse=None):
        numbers = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
        indices = np.zeros(shape, np.int16) if labels is None else labels
        return memory_case(np.stack([numbers] * channels), indices, coarse)

    return build


@pytest.fixture(scope="module")
def two_cases(case_of, memory_store):
    small, large = np.zeros((6, 12, 9), np.int16), np.zeros((14, 12, 16), np.int16)
    small[2, 3, 4] = 1
    large[1:3, 1:3, 1:3], large[13, 11, 15] = 1, 2
    return memory_store({"small": case_of((6, 12, 9), labels=small), "large": case_of(labels=large)})


def sampler(plan, store, **changes):
    name = plan.first
    return Sampler.of(plan, name, store, changes.pop("ids", store.ids), fold=0, **changes)


def corners(samples, case, index, count=400):
    drawn = (samples.draw(step, index)[0] for step in range(count))
    return np.array([place.corner for place in drawn if place.case == case])


# -- where


def test_cases_are_drawn_equally_often(sample_plan, two_cases):
    samples = sampler(sample_plan(), two_cases)
    names = [samples.draw(step, 0)[0].case for step in range(1000)]
    assert names.count("small") / 1000 == pytest.approx(0.5, abs=0.05)


def test_patches_lie_anywhere_within_the_scan(sample_plan, two_cases):
    found = corners(sampler(sample_plan(), two_cases), "large", 0, 1500)
    for axis, last in enumerate((6, 4, 8)):
        values, counts = np.unique(found[:, axis], return_counts=True)
        assert values.tolist() == list(range(last + 1))
        assert counts.min() > 0.5 * counts.mean()


def test_a_scan_smaller_than_the_patch_lies_in_its_middle(sample_plan, two_cases):
    found = corners(sampler(sample_plan(), two_cases), "small", 0)
    assert set(found[:, 0]) == {-1}
    assert set(found[:, 1]) == set(range(5))


def test_the_last_third_of_a_batch_is_centred_on_a_class_and_each_class_is_as_likely(sample_plan, two_cases):
    found = corners(sampler(sample_plan(), two_cases), "large", 1, 1500)
    at_single_voxel = (found == (13 - 4, 11 - 4, 15 - 4)).all(1)  # sticks out at the upper end
    assert at_single_voxel.mean() == pytest.approx(0.5, abs=0.06)
    assert (found[~at_single_voxel] == 0).all()  # but not at the lower


@pytest.mark.parametrize(("batch", "forced"), [(2, 1), (3, 1), (4, 1), (9, 3), (12, 4)])
def test_which_samples_of_a_batch_hold_foreground(sample_plan, memory_store, case_of, batch, forced):
    labels = np.zeros((30, 30, 30), np.int16)
    labels[20, 20, 20] = 1
    samples = sampler(sample_plan(batch=batch), memory_store({"a": case_of((30, 30, 30), labels=labels)}))
    centred = [
        all(samples.draw(step, index)[0].corner == (16, 16, 16) for step in range(8))
        for index in range(batch)
    ]
    assert centred == [False] * (batch - forced) + [True] * forced


def test_a_case_without_foreground_gives_patches_anywhere(sample_plan, memory_store, case_of):
    samples = sampler(sample_plan(), memory_store({"empty": case_of()}))
    assert len(np.unique(corners(samples, "empty", 1), axis=0)) > 100


def test_with_an_ignore_label_every_patch_is_centred_on_something_annotated(
    sample_plan, memory_store, case_of
):
    labels = np.full((20, 20, 20), -1, np.int16)
    labels[10, 9, 8] = 0
    plan = sample_plan(labels=LabelSchema.of("one").but(ignore=2))
    samples = sampler(plan, memory_store({"scribble": case_of((20, 20, 20), labels=labels)}))
    assert (corners(samples, "scribble", 0, 20) == (6, 5, 4)).all()
    assert (corners(samples, "scribble", 1, 20) == (6, 5, 4)).all()


def test_a_case_that_nobody_annotated_gives_patches_anywhere(sample_plan, memory_store, case_of):
    plan = sample_plan(labels=LabelSchema.of("one").but(ignore=2))
    store = memory_store({"blank": case_of(labels=np.full((14, 12, 16), -1, np.int16))})
    assert len(np.unique(corners(sampler(plan, store), "blank", 1), axis=0)) > 100


# -- what


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_an_unchanged_patch_is_the_scan_and_zero_around_it(sample_plan, two_cases, step):
    samples = sampler(sample_plan(), two_cases).still
    batch = samples.batch(step)
    for index, (image, labels) in enumerate(zip(batch.images, batch.labels, strict=True)):
        place, _ = samples.draw(step, index)
        case = two_cases.case(place.case)
        assert batch.ids[index] == place.case
        wide = np.pad(case.voxels[0], 16)
        window = tuple(slice(c + 16, c + 24) for c in place.corner)
        assert (image[0].numpy() == wide[window]).all()
        assert (labels.numpy() == np.pad(case.indices, 16)[window]).all()


def test_only_what_the_draw_needs_is_read(sample_plan, case_of, memory_store):
    case = case_of((60, 60, 60))
    samples = sampler(sample_plan(batch=2), memory_store({"a": case}))
    for step in range(60):
        place, draw = samples.draw(step, 0)
        case.calls.clear()
        cutout = samples.read(place, draw)
        assert cutout.labels.shape == draw.reach
        (box,) = case.calls
        margin = [(far - 8) // 2 for far in draw.reach]
        wanted = [max(0, c - m) for c, m in zip(place.corner, margin, strict=True)]
        assert list(box.start) == wanted
    assert samples.still.draw(0, 0)[1].reach == PATCH


def test_a_turned_patch_shows_the_same_middle(sample_plan, memory_store, case_of):
    turn = {"rotation_probability": 1, "rotation_deg": (180.0, 180.0), "scale_probability": 0}
    silent = dict.fromkeys(
        (f"{what}_probability" for what in ("noise", "blur", "brightness", "contrast", "gamma",
                                            "gamma_inverted", "low_resolution", "mirror")), 0
    )  # fmt: skip
    plan = sample_plan(**turn, **silent)
    samples = sampler(plan, memory_store({"a": case_of((30, 28, 26))}))
    turned, plain = samples.batch(3), samples.still.batch(3)
    assert samples.draw(3, 0)[0] == samples.still.draw(3, 0)[0]
    # Half a turn about each of three axes is no turn at all.
    assert torch.allclose(turned.images, plain.images, rtol=1e-5)


def test_beyond_the_scan_is_unknown_where_the_schema_ignores(sample_plan, memory_store, case_of):
    plan = sample_plan(labels=LabelSchema.of("one").but(ignore=2))
    store = memory_store({"thin": case_of((4, 12, 12), labels=np.ones((4, 12, 12), np.int16))})
    samples = sampler(plan, store).still
    labels, corner = samples.batch(0).labels[0].numpy(), samples.draw(0, 0)[0].corner
    inside = np.pad(np.ones((4, 12, 12), int), 8, constant_values=-1)
    assert (labels == inside[tuple(slice(c + 8, c + 16) for c in corner)]).all()
    assert (labels == -1).any() and (labels == 1).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_configuration_reads_slices_across_its_axis(sample_plan, two_cases, axis):
    patch = tuple(1 if a == axis else 8 for a in range(3))
    samples = sampler(sample_plan(patch, slice_axis=axis, batch=3), two_cases, ids=("large",)).still
    found = corners(samples, "large", 0)
    assert len(np.unique(found[:, axis])) == two_cases.case("large").shape[axis]
    batch = samples.batch(0)
    assert batch.images.shape == (3, 1, 8, 8)
    corner = samples.draw(0, 0)[0].corner
    window = tuple(slice(c, c + n) for c, n in zip(corner, patch, strict=True))
    assert (batch.images[0, 0].numpy() == two_cases.case("large").voxels[0][window].squeeze(axis)).all()


def test_a_2d_configuration_with_everything_random_makes_batches(sample_plan, two_cases):
    samples = sampler(sample_plan((8, 1, 8), slice_axis=1, batch=12, elastic_probability=0.5), two_cases)
    for step in range(5):
        assert torch.isfinite(samples.batch(step).images).all()


def test_a_cascade_reads_the_labels_of_the_previous_stage(sample_plan, memory_store, case_of):
    coarse = np.random.default_rng(0).integers(0, 3, (14, 12, 16))
    plan = sample_plan()
    store = memory_store({"a": case_of(coarse=coarse)})
    samples = Sampler.of(plan, "3d_cascade_fullres", store, ("a",), fold=0).still
    batch, corner = samples.batch(0), samples.draw(0, 0)[0].corner
    window = coarse[tuple(slice(c, c + 8) for c in corner)]
    assert batch.images.shape == (2, 3, *PATCH)
    assert (batch.images[0, 1].numpy() == (window == 1)).all()
    assert (batch.images[0, 2].numpy() == (window == 2)).all()


@pytest.mark.parametrize("ignore", [None, 3])
@pytest.mark.parametrize("cache_gb", [0, 1])
def test_the_store_on_disk_gives_the_same_batches_as_memory(
    sample_plan, memory_store, memory_case, tmp_path, ignore, cache_gb
):
    plan = sample_plan(labels=LabelSchema.of("one", "two").but(ignore=ignore), elastic_probability=0.5)
    cases = {}
    for n in range(3):
        rng = np.random.default_rng(n)
        shape = (12 + n, 9, 14)
        labels = rng.integers(0 if ignore is None else -1, 3, shape).astype(np.int16)
        image = rng.normal(size=(1, *shape)).astype(np.float32)
        wanted = targets(plan.labels)
        grid = Geometry(shape, np.eye(4))
        # Few voxels: all of them are kept, in the order of the scan.
        prepared = Prepared(image, labels, grid, grid, ("c0",), wanted, locate(labels, wanted, rng))
        write_case(tmp_path, f"case_{n}", prepared, patch=PATCH, made_from="0" * 64)
        cases[f"case_{n}"] = memory_case(image, labels)
    on_disk = Store.open(tmp_path, cache_gb=cache_gb)
    assert on_disk.ids == tuple(cases)
    ours, theirs = sampler(plan, memory_store(cases)), sampler(plan, on_disk)
    for step in range(12):
        one, other = ours.batch(step), theirs.batch(step)
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
        assert one.ids == other.ids


# -- more of them, and the hard ones


def test_a_batch_of_two_added_twice_is_a_batch_of_four(sample_plan, two_cases):
    plan = sample_plan(batch=2)
    twice = sampler(plan.but(training=plan.training.but(accumulate=2)), two_cases)
    four = sampler(sample_plan(batch=4), two_cases)
    one, other = twice.batch(3), four.batch(3)
    assert torch.equal(one.images, other.images) and one.ids == other.ids
    assert twice.still.size == 2


def test_hard_cases_are_drawn_as_often_as_they_are_hard(sample_plan, two_cases):
    plan = sample_plan()
    samples = sampler(plan.but(training=plan.training.but(hard_cases=0.5)), two_cases)
    mined = samples.mined({"small": 3.0, "large": 1.0})
    drawn = [mined.draw(step, 0)[0].case for step in range(1000)]
    assert drawn.count("small") / 1000 == pytest.approx(0.25 + 0.5 * 0.75, abs=0.05)
    assert mined.draw(7, 1) == mined.draw(7, 1)
    assert samples.chances == mined.still.chances == ()


# -- again


def test_a_batch_can_be_made_again_and_depends_on_seed_fold_and_step(sample_plan, two_cases):
    plan = sample_plan()
    one, again = sampler(plan, two_cases).batch(5), sampler(plan, two_cases).batch(5)
    assert torch.equal(one.images, again.images) and torch.equal(one.labels, again.labels)
    training = plan.training.but(seed=8)
    others = [
        sampler(plan, two_cases).batch(6),
        sampler(plan.but(training=training), two_cases).batch(5),
        Sampler.of(plan, plan.first, two_cases, two_cases.ids, fold=1).batch(5),
    ]
    assert not any(torch.equal(one.images, other.images) for other in others)


def test_processes_that_share_a_batch_make_the_batch_of_one(sample_plan, two_cases):
    samples = sampler(sample_plan(batch=5), two_cases)
    whole = samples.batch(2)
    parts = [samples.shared(rank, 2).batch(2) for rank in range(2)]
    assert [len(part.ids) for part in parts] == [3, 2]
    for rank, part in enumerate(parts):
        assert torch.equal(part.images, whole.images[rank::2])
        assert part.ids == whole.ids[rank::2]


def test_validation_patches_lie_where_training_patches_would_and_nothing_else_is_random(
    sample_plan, two_cases
):
    samples = sampler(sample_plan(), two_cases)
    for step in range(5):
        place, draw = samples.still.draw(step, 1)
        assert place == samples.draw(step, 1)[0]
        assert draw.deform.is_identity and not draw.changes and not any(draw.mirror.flips)


def test_rare_foreground_is_in_almost_every_batch(sample_plan, memory_case, memory_store):
    """One voxel in a thousand is foreground; of batches of two, at least 95 % hold some."""
    cases = {}
    for n in range(4):
        scan, labels = sparse(np.random.default_rng(n), size=40)
        cases[f"case_{n}"] = memory_case(scan.array.astype(np.float32), labels.array.astype(np.int16))
    shares = [(case.indices > 0).mean() for case in cases.values()]
    assert max(shares) < 0.002
    samples = sampler(sample_plan((16, 16, 16), labels=LabelSchema.of("lesion")), memory_store(cases))
    held = [bool((samples.batch(step).labels > 0).any()) for step in range(200)]
    assert np.mean(held) >= 0.95


# -- refusals


def test_training_on_no_case_is_refused(sample_plan, two_cases):
    with pytest.raises(PlanError, match="at least one id, got none"):
        sampler(sample_plan(), two_cases, ids=())


def test_more_processes_than_samples_are_refused(sample_plan, two_cases):
    with pytest.raises(PlanError, match="a batch of 2 cannot be shared by 3 processes"):
        sampler(sample_plan(), two_cases).shared(0, 3)


def test_damaged_data_are_reported_with_the_case(sample_plan, memory_store, memory_case):
    class Damaged(memory_case):
        def image(self, box, /):
            raise RuntimeError("blosc2: cannot decompress")

    good = np.zeros((1, 12, 12, 12), np.float32)
    store = memory_store({"case_017": Damaged(good, np.zeros((12, 12, 12), np.int16))})
    with pytest.raises(DataError, match=r"case_017: .*cannot decompress\. Delete its folder and run"):
        sampler(sample_plan(), store).batch(0)


def test_another_number_of_channels_is_never_repeated_to_fit(sample_plan, memory_store, case_of):
    samples = sampler(sample_plan(channels=(False, False)), memory_store({"mono": case_of()}))
    with pytest.raises(DataError, match=r"mono: .*expected an array of \(2, .*got \(1, "):
        samples.batch(0)


def test_a_case_that_is_not_there_is_named(sample_plan, two_cases):
    with pytest.raises(DataError, match="lost: its prepared data could not be read"):
        sampler(sample_plan(), two_cases, ids=("lost",)).batch(0)


# -- imperfect labels


def scribbled(memory_case, seed=0):
    """A case with four marked voxels of one class, one of another, and many of background."""
    rng = np.random.default_rng(seed)
    labels = np.full((20, 20, 20), -1)
    labels[5, 5, 2:16] = 0
    labels[10, 10, 6:10] = 1
    labels[15, 15, 12] = 2
    return memory_case(rng.normal(size=(1, 20, 20, 20)).astype(np.float32), labels)


def test_scribbles_of_every_class_are_drawn_alike_and_nothing_unmarked(
    sample_plan, memory_case, memory_store
):
    plan = sample_plan(labels=LabelSchema.of("one", "two").but(ignore=9))
    plan = plan.but(training=plan.training.but(patches="classes"))
    store = memory_store({"a": scribbled(memory_case)})
    sampler = Sampler.of(plan, "3d_fullres", store, ("a",), fold=0)
    counts = {0: 0, 1: 0, 2: 0}
    for step in range(300):
        for index in range(2):
            place, _ = sampler.draw(step, index)
            i, j, _ = (corner + 4 for corner in place.corner)
            counts[{5: 0, 10: 1, 15: 2}[i]] += 1
            assert i == j
    assert all(150 < count < 250 for count in counts.values())
    assert (sampler.still.batch(0).labels >= 0).flatten(1).any(1).all()


def test_a_store_keeps_where_background_was_marked(tmp_path):
    labels = np.full((6, 6, 6), -1, np.int16)
    labels[0, 0, :3], labels[3, 3, 3] = 0, 1
    schema = LabelSchema.of("one").but(ignore=2)
    wanted = targets(schema, background=True)
    assert [target.number for target in wanted] == [-1, 0, 1]
    found = locate(labels, wanted, np.random.default_rng(0))
    assert found.voxels == (3, 4, 1)
    grid = Geometry((6, 6, 6), np.eye(4))
    image = np.zeros((1, 6, 6, 6), np.float32)
    prepared = Prepared(image, labels, grid, grid, ("MR",), wanted, found, is_pseudo=True)
    write_case(tmp_path, "a", prepared, patch=(6, 6, 6), made_from="x")
    case = Store.open(tmp_path).case("a")
    assert (case.classes_present, case.classes_annotated, case.is_pseudo) == ((1,), (-1, 1), True)
    assert case.locations(-1).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]


def test_cases_of_models_are_drawn_less_often_by_their_weight(sample_plan, memory_case, memory_store):
    plan = sample_plan()
    plan = plan.but(training=plan.training.but(pseudo_weight=0.25))
    rng = np.random.default_rng(0)
    image, labels = rng.normal(size=(1, 10, 10, 10)).astype(np.float32), rng.integers(0, 3, (10, 10, 10))
    cases = {"people": memory_case(image, labels), "model": memory_case(image, labels, is_pseudo=True)}
    sampler = Sampler.of(plan, "3d_fullres", memory_store(cases), ("people", "model"), fold=0)
    drawn = [sampler.draw(step, 0)[0].case for step in range(2000)]
    assert drawn.count("model") / drawn.count("people") == pytest.approx(0.25, abs=0.04)
    assert sampler.still.weights == ()
    mined = sampler.mined({"people": 1.0, "model": 1.0})
    assert mined.chances[1] / mined.chances[0] == pytest.approx(0.25)

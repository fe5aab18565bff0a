"""What several raters said goes through store, patch and loss as the share of them who said so."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.dataset import Dataset
from delineate.errors import PlanError
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.planning import fingerprint, make_plan
from delineate.planning.imperfect import learning_from_raters
from delineate.planning.plan import Augmentation
from delineate.preparation import prepare
from delineate.preparation.patches import Sampler
from delineate.preparation.recipe import Recipe
from delineate.preparation.shares import averaged, table_of
from delineate.space import Label, LabelMap, LabelSchema, Region
from delineate.space.phantoms import balls
from delineate.training.coding import Coding
from delineate.training.losses import make_loss

PLAIN = LabelSchema.of("one", "two")
REGIONS = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
)


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([PLAIN, REGIONS, PLAIN.but(ignore=9)]))
def test_shares_are_the_mean_of_what_each_rater_alone_would_be(seed, raters, schema):
    rng = np.random.default_rng(seed)
    low = 0 if schema.ignore is None else -1
    maps = torch.from_numpy(rng.integers(low, 3, (raters, 4, 5)))
    shares = averaged(maps, table_of(schema))
    coding = Coding.of(schema)
    each = coding.values(maps).float()  # (rater, output, *edges)
    known = (maps >= 0).sum(0)
    expected = torch.where(known > 0, each.sum(0) / known.clamp(min=1), torch.tensor(-1.0))
    assert torch.allclose(shares, expected)


def test_one_rater_is_a_hard_label():
    maps = torch.tensor([[0, 1, 2, -1]])
    shares = averaged(maps, table_of(PLAIN))
    assert shares.T.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]]


def plan_with_raters(sample_plan, **changes):
    plan = sample_plan(**changes)
    return plan.but(training=plan.training.but(targets="raters", loss="semimetric_ce"))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_batch_of_raters_is_what_each_of_them_gives_averaged(seed, sample_plan, memory_case, memory_store):
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 3, (3, 14, 13, 12))
    image = rng.normal(size=(1, 14, 13, 12)).astype(np.float32)
    plan = plan_with_raters(sample_plan, rotation_probability=0.5, scale_probability=0.5)
    whole = memory_store({"a": memory_case(image, maps[0], maps=maps)})
    got = Sampler.of(plan, "3d_fullres", whole, ("a",), fold=0).batch(seed)
    plain = plan.but(training=plan.training.but(targets="reference"))
    alone = []
    for one in maps:  # the same voxels are foreground, so that the same patches are drawn
        store = memory_store({"a": memory_case(image, maps[0], maps=one[None])})
        alone.append(Sampler.of(plan, "3d_fullres", store, ("a",), fold=0).batch(seed))
    assert got.labels.shape == (2, 3, 8, 8, 8)
    assert got.labels.dtype == torch.float32
    assert torch.allclose(got.labels, torch.stack([batch.labels for batch in alone]).mean(0), atol=1e-6)
    hard = Sampler.of(plain, "3d_fullres", whole, ("a",), fold=0).batch(seed)
    assert torch.equal(hard.images, got.images)
    assert torch.equal(alone[0].labels.argmax(1), hard.labels)


def test_slices_and_a_cascade_have_shares_too(sample_plan, memory_case, memory_store):
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 3, (2, 10, 9, 8))
    case = memory_case(rng.normal(size=(1, 10, 9, 8)).astype(np.float32), maps[0], coarse=maps[1], maps=maps)
    flat = plan_with_raters(sample_plan, patch=(8, 8, 1), slice_axis=2)
    batch = Sampler.of(flat, "2d", memory_store({"a": case}), ("a",), fold=0).batch(0)
    assert batch.labels.shape == (2, 3, 8, 8)
    plan = plan_with_raters(sample_plan)
    batch = Sampler.of(plan, "3d_cascade_fullres", memory_store({"a": case}), ("a",), fold=0).batch(0)
    assert (batch.images.shape[1], batch.labels.shape[1]) == (3, 3)
    assert torch.allclose(batch.labels.sum(1), torch.ones(2, 8, 8, 8))


def test_the_loss_is_least_at_the_raters_own_shares(sample_plan):
    plan = plan_with_raters(sample_plan)
    loss = make_loss(plan.training, plan.labels, batch_dice=False)
    shares = averaged(torch.tensor([[0, 1, 1], [1, 1, 2], [0, 1, 2], [1, 1, 1]]), table_of(plan.labels))[None]
    own = shares.clamp(min=1e-6).log()
    best = loss(own, shares).total
    for seed in range(20):
        other = own + torch.randn(own.shape, generator=torch.Generator().manual_seed(seed))
        assert loss(other, shares).total > best


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three cases drawn by two people each, and one by nobody but the reference."""
    folder = tmp_path_factory.mktemp("raters")
    rows = ["case,MR,label,label:anna,label:ben"]
    for n in range(4):
        scan, labels = balls(np.random.default_rng(n), size=16)
        write_volume(scan, folder / f"{n}.nii.gz")
        write_labels(labels, folder / f"{n}_anna.nii.gz")
        less = LabelMap(np.where(labels.array == 2, 0, labels.array), labels.geometry, labels.schema)
        write_labels(less, folder / f"{n}_ben.nii.gz")
        rows.append(
            f"c{n},{n}.nii.gz,,{n}_anna.nii.gz,{n}_ben.nii.gz" if n else f"c{n},{n}.nii.gz,{n}_anna.nii.gz,,"
        )
    (folder / "dataset.csv").write_text("\n".join(rows) + "\n")
    write_json(folder / "labels.json", {"background": 0, "large": 1, "small": 2})
    return Dataset.open(folder)


def test_one_map_per_rater_is_stored_and_prepared_again_when_the_plan_asks(drawn, tmp_path):
    plan = make_plan(fingerprint(drawn), device="cpu", steps=2)
    before = prepare(drawn, plan, tmp_path)["3d_fullres"]
    assert before.case("c1").record.raters == ()
    store = prepare(drawn, learning_from_raters(plan), tmp_path)["3d_fullres"]
    case, single = store.case("c1"), store.case("c0")
    assert case.record.raters == ("anna", "ben")
    anna, ben = case.drawn()
    assert np.array_equal(anna, case.labels())  # of two, the earlier
    assert (anna == 2).any()
    assert not (ben == 2).any()
    assert single.drawn().shape == (1, *single.shape)
    assert np.array_equal(single.drawn()[0], single.labels())
    assert (case.folder / "raters.b2nd").stat().st_size < 4 * (case.folder / "labels.b2nd").stat().st_size


def test_a_plan_for_raters_needs_some(drawn, tmp_path):
    plan = learning_from_raters(make_plan(fingerprint(drawn), device="cpu", steps=2))
    with pytest.raises(PlanError, match=r"learns the shares of several raters, but no case .* label:NAME"):
        prepare(drawn.subset(["c0"]), plan, tmp_path)


def test_still_patches_have_shares_without_change(sample_plan):
    recipe = Recipe.of(plan_with_raters(sample_plan), "3d_fullres")
    assert recipe.still.shares == recipe.shares == table_of(PLAIN)
    assert Recipe(Augmentation(), (4, 4), (1.0, 1.0)).shares == ()

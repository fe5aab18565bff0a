"""Single objects on their way from files to batches: their ids go where their labels go."""

import numpy as np
import pytest
import torch

from delineate.dataset import Dataset
from delineate.errors import DataError, GeometryError
from delineate.io import write_objects, write_volume
from delineate.io.disk import write_json
from delineate.planning import fingerprint, make_plan
from delineate.preparation import prepare
from delineate.preparation.patches import Sampler
from delineate.preparation.recipe import Cutout, Recipe
from delineate.preparation.store import CaseRecord
from delineate.space.phantoms import nuclei


def pictures(folder, table, *, kinds=False, count=3):
    """Pictures of nuclei; with `kinds` every third is of another kind."""
    for n in range(count):
        scan, ids = nuclei(np.random.default_rng(n), size=40, count=9)
        if kinds:
            ids = np.where(ids > 0, ids + 1000 * (1 + (ids % 3 == 0)), 0)
        write_volume(scan, folder / f"images/{n}.png")
        write_objects(ids, scan.geometry, folder / f"labels/{n}.png")
    write_json(folder / "labels.json", table)
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    dataset = pictures(folder, {"background": 0, "nucleus": "instances"})
    plan = make_plan(fingerprint(dataset, workers=1), network="mask_rcnn", device="cpu", steps=4)
    plan = plan.set_by_hand("batch", 3)
    return dataset, plan, prepare(dataset, plan, folder / "prepared", workers=1)["2d"]


def test_prepared_objects_are_those_of_the_files(prepared):
    dataset, _, store = prepared
    for case in dataset.cases:
        ids, labels = store.case(case.id).objects(), store.case(case.id).labels()
        assert (ids == dataset.objects(case)).all()
        assert ((ids > 0) == (labels == 1)).all()
        assert ids.dtype == np.int32


def test_batches_tell_the_network_where_objects_are(prepared):
    _, plan, store = prepared
    samples = Sampler.of(plan, "2d", store, store.ids, fold=0)
    batch = samples.batch(0)
    assert batch.labels.shape == (3, 2, *plan.configuration().edges)
    assert ((batch.labels[:, 0] > 0) == (batch.labels[:, 1] > 0)).all()
    told = batch.told
    assert torch.equal(told[0], batch.labels)
    assert len(set(told[1].tolist())) == 3
    again = samples.batch(0)
    assert again.seeds == batch.seeds
    assert torch.equal(again.labels, batch.labels)
    assert samples.batch(1).seeds != batch.seeds
    parts = [samples.shared(rank, 3).batch(0).seeds for rank in range(3)]
    assert sum(parts, ()) == batch.seeds
    assert len(samples.still.batch(0).seeds) == 3


def test_where_labels_are_learnt_nothing_is_told(prepared, tmp_path):
    dataset, _, _ = prepared
    plan = make_plan(fingerprint(dataset, workers=1), device="cpu", steps=4)
    store = prepare(dataset, plan, tmp_path, workers=1)["2d"]
    batch = Sampler.of(plan, "2d", store, store.ids, fold=0).batch(0)
    assert batch.labels.ndim == 3
    assert batch.told == batch.seeds == ()
    with pytest.raises(DataError, match=r"holds no single objects: it was prepared for another network"):
        store.case("0").objects()


def test_another_network_prepares_what_it_needs(prepared, tmp_path):
    dataset, plan, _ = prepared
    plain = make_plan(fingerprint(dataset, workers=1), device="cpu", steps=4)
    prepare(dataset, plain, tmp_path, workers=1)
    before = CaseRecord.load(tmp_path / "2d/0/case.json").made_from
    prepare(dataset, plan, tmp_path, workers=1)
    assert CaseRecord.load(tmp_path / "2d/0/case.json").made_from != before
    assert (tmp_path / "2d/0/objects.b2nd").is_file()


def test_each_object_keeps_its_kind(tmp_path):
    table = {"background": 0, "round": 1, "odd": 2, "ids_per_kind": 1000}
    dataset = pictures(tmp_path, table, kinds=True, count=2)
    plan = make_plan(fingerprint(dataset, workers=1), network="mask_rcnn", device="cpu", steps=4)
    store = prepare(dataset, plan, tmp_path / "prepared", workers=1)["2d"]
    case = store.case("0")
    ids, labels = case.objects(), case.labels()
    file_ids = np.unique(np.asarray(dataset.labels(dataset.case("0")).array))
    assert set(file_ids.tolist()) == {0, 1, 2}
    for number in np.unique(ids[ids > 0]):
        assert len(np.unique(labels[ids == number])) == 1
    assert {1, 2} <= set(case.classes_present)
    other = Dataset.open(tmp_path)
    write_json(tmp_path / "labels.json", table | {"ids_per_kind": 500})
    with pytest.raises(DataError, match="nobody explained"):
        Dataset.open(tmp_path).objects(other.case("0"))


def test_ids_go_where_labels_go(prepared):
    _, plan, _ = prepared
    recipe = Recipe.of(plan, "2d")
    for seed in range(12):
        draw = recipe.draw(np.random.default_rng(seed))
        ids = torch.arange(draw.reach[0] * draw.reach[1]).reshape(draw.reach) % 97
        cutout = Cutout(torch.zeros(1, *draw.reach), (ids > 0).short(), objects=ids.int())
        _, labels = recipe.apply([cutout], [draw])
        assert torch.equal(labels[0, 0], (labels[0, 1] > 0).long())


def test_a_recipe_of_objects_without_any_is_refused(prepared):
    _, plan, _ = prepared
    recipe = Recipe.of(plan, "2d").still
    draw = recipe.draw(np.random.default_rng(0))
    with pytest.raises(GeometryError, match="needs the ids of objects, got none"):
        recipe.apply([Cutout(torch.zeros(1, *draw.reach), torch.zeros(draw.reach).short())], [draw])

"""The study of nuclei: what is held out, and the whole of it on a few phantoms."""

import json

import numpy as np
import pytest
from benchmarks.nuclei import Bench, Study, difference, run

from delineate.evaluation import InstanceMap, evaluate_instances
from delineate.io import write_objects, write_volume
from delineate.pipeline import Unwatched
from delineate.space import Geometry
from delineate.space.phantoms import nuclei


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuclei")
    for n in range(9):
        scan, ids = nuclei(np.random.default_rng(n), size=40, count=8)
        write_volume(scan, folder / f"images/n{n}.png")
        write_objects(ids, scan.geometry, folder / f"instances/n{n}.png")
    return folder


def study(data, folder, **changes):
    return Study(data, folder, **({"minutes": None, "steps": 2, "test": 3, "watched": 2} | changes))


def test_no_picture_is_in_two_parts_and_the_seed_decides(data, tmp_path):
    bench = Bench.of(study(data, tmp_path))
    every = (*bench.test, *bench.watched, *bench.learnt)
    assert len(set(every)) == len(every) == 9
    assert Bench.of(study(data, tmp_path)).test == bench.test
    assert Bench.of(study(data, tmp_path, seed=1)).test != bench.test


def test_too_few_pictures_are_refused(data, tmp_path):
    with pytest.raises(SystemExit, match="9 pictures are too few"):
        Bench.of(study(data, tmp_path, test=20))


def test_a_difference_is_taken_picture_by_picture():
    grid = Geometry.of_image((8, 8))
    whole, half = np.zeros((8, 8, 1), int), np.zeros((8, 8, 1), int)
    whole[:4], half[:4, :5] = 1, 1
    cases = ["a", "b", "c"]
    perfect = evaluate_instances(cases, lambda _: (InstanceMap(whole, grid), InstanceMap(whole, grid)))
    worse = evaluate_instances(cases, lambda _: (InstanceMap(whole, grid), InstanceMap(half, grid)))
    assert difference(perfect, worse, "pq").value == pytest.approx(1 - 5 / 8)


@pytest.mark.slow
def test_the_whole_study_on_a_few_phantoms(data, tmp_path):
    said = []
    small = {"batch": 2, "training.validate_every": 2, "training.validation_batches": 1}
    rows = run(study(data, tmp_path, by_hand=small), Unwatched(), said.append)
    assert [row["arm"] for row in rows] == ["mask_rcnn", "unet", "true foreground"]
    assert 0 < rows[2]["pq"]["value"] <= 1
    told = json.loads((tmp_path / "nuclei.json").read_text())
    assert set(told["less"]) == {
        f"{arm} by {m}" for arm in ("unet", "true foreground") for m in ("pq", "ap@0.5")
    }
    assert "| mask_rcnn |" in said[0]
    assert "pq: Mask R-CNN less unet, picture by picture" in said[0]
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    again = run(study(data, tmp_path, by_hand=small), Unwatched(), said.append)  # what is finished is kept
    assert again == rows

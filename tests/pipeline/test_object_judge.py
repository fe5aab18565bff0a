"""The judge of objects: several kinds, scores, and pictures where nothing is found."""

import json

import numpy as np
import pytest

from delineate.dataset import Dataset, Splits
from delineate.dataset.splits import Fold
from delineate.errors import RunError
from delineate.io import write_objects, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import PlanWishes, Unwatched, plan
from delineate.pipeline.object_judge import ObjectJudge
from delineate.pipeline.run_folder import Run
from delineate.space.phantoms import nuclei

TABLE = {"background": 0, "odd": 1, "even": 2, "ids_per_kind": 100}


@pytest.fixture
def judge(tmp_path):
    """A run with predictions that somebody else made: all objects but the first, with falling scores."""
    raw = tmp_path / "raw"
    for n in range(4):
        scan, ids = nuclei(np.random.default_rng(n), size=40, count=8)
        write_volume(scan, raw / f"images/n{n}.png")
        write_objects(
            np.where(ids > 0, ids + 100 * (2 - ids % 2), 0), scan.geometry, raw / f"labels/n{n}.png"
        )
    write_json(raw / "labels.json", TABLE)
    made = plan(raw, tmp_path / "run", PlanWishes(steps=2, network="mask_rcnn"), Unwatched())
    run, dataset = Run(tmp_path / "run"), Dataset.open(raw)
    splits = Splits(mode="given", folds=(Fold(train=("n2", "n3"), validation=("n0", "n1")),))
    return ObjectJudge(run, made, dataset, splits, "cpu", Unwatched())


def predicted(judge, *, score):
    """Writes what a finder would: as it is, but the first object of each picture is missing."""
    folder = judge.run.fold("2d", 0)
    (folder / "predictions").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")  # says that the fold is trained
    for case in judge.cases:
        about = judge.dataset.case(case)
        ids, labels = judge.dataset.objects(about), judge.dataset.labels(about)
        ids = np.where(ids == 1, 0, ids)
        write_objects(ids, labels.geometry, folder / "predictions" / f"{case}.nii.gz")
        names = {1: "odd", 2: "even"}
        rows = [
            {"id": int(n), "kind": names[int(labels.array[ids == n][0])], "score": score(int(n))}
            for n in np.unique(ids[ids > 0])
        ]
        write_json(folder / "predictions" / f"{case}_objects.json", {"objects": rows})


def test_objects_are_held_against_those_of_their_kind(judge):
    predicted(judge, score=lambda n: 1 - n / 100)
    reference, found = judge.pair("n0", sure=0.5)
    assert set(reference.kinds.values()) == set(found.kinds.values()) == {"odd", "even"}
    assert len(found.ids) == len(reference.ids) - 1
    assert found.scores[2] == pytest.approx(0.98)
    assert len(judge.pair("n0", sure=0.975)[1].ids) == 1
    assert len(judge.pair("n0", sure=1.0)[1].ids) == 0


def test_before_training_there_is_nothing_to_judge(judge):
    with pytest.raises(RunError, match="no fold is trained yet"):
        _ = judge.cases
    assert json.loads((judge.run.folder / "plan.json").read_text())["training"]["loss"] == "mask_rcnn"

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import PlanError
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.planning import fingerprint, make_plan
from delineate.planning.imperfect import (
    learning_from_raters,
    learning_from_scribbles,
    weighing_pseudo_labels,
)
from delineate.planning.plan import Plan
from delineate.space.phantoms import balls


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    for n in range(2):
        scan, labels = balls(np.random.default_rng(n), size=16)
        write_volume(scan, folder / "imagesTr" / f"b{n}_0000.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"b{n}.nii.gz")
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "large": 1, "small": 2}}
    write_json(folder / "dataset.json", about | {"numTraining": 2, "file_ending": ".nii.gz"})
    return make_plan(fingerprint(Dataset.open(folder)), device="cpu", steps=4)


def test_raters_are_learnt_with_the_loss_that_is_least_at_their_shares(plan):
    changed = learning_from_raters(plan)
    assert (changed.training.targets, changed.training.loss) == ("raters", "semimetric_ce")
    assert "shares" in changed.reasons["training.loss"]
    assert learning_from_raters(changed) is changed
    assert Plan.from_json(changed.to_json(), where="test") == changed


def test_scribbles_need_an_ignore_label_and_are_told_how_to_have_one(plan):
    with pytest.raises(PlanError, match=r'\{"background": 3, "large": 1, "small": 2, "ignore": 0\}'):
        learning_from_scribbles(plan)
    marked = plan.but(labels=plan.labels.but(ignore=3))
    changed = learning_from_scribbles(marked)
    assert changed.training.patches == "classes"
    assert "unmarked voxels teach nothing" in changed.reasons["training.patches"]
    assert learning_from_scribbles(changed) is changed


def test_pseudo_labels_weigh_what_was_asked(plan):
    changed = weighing_pseudo_labels(plan, 0.5)
    assert changed.training.pseudo_weight == 0.5
    assert "0.5 times as often" in changed.reasons["training.pseudo_weight"]
    assert weighing_pseudo_labels(changed, 0.5) is changed
    for weight in (0, 1.5):
        with pytest.raises(PlanError, match="pseudo_weight is above 0 and at most 1"):
            weighing_pseudo_labels(plan, weight)

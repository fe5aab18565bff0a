"""The objective of networks that find objects: finite whatever is there, and exact after an interruption."""

import numpy as np
import pytest
import safetensors.torch
import torch

from delineate.dataset import Dataset
from delineate.errors import PlanError
from delineate.io import write_objects, write_volume
from delineate.io.disk import write_json
from delineate.networks.mask_rcnn import Answers, Found, Truth
from delineate.planning import fingerprint, make_plan
from delineate.preparation import prepare
from delineate.space import LabelSchema
from delineate.space.phantoms import nuclei
from delineate.training import train
from delineate.training.history import read
from delineate.training.losses import make_loss
from delineate.training.objects import Objects, counted, losses

SCHEMA = LabelSchema.of("small", "large")


def answers(**changes):
    """Two samples: the first with an object, the second without; everything said right, but not sure."""
    fields = {
        "samples": 2,
        "objectness": torch.zeros(4),
        "is_object": torch.tensor([1.0, 0, 0, 0]),
        "of_anchor": torch.tensor([0, 0, 1, 1]),
        "shifts": torch.zeros(1, 4),
        "true_shifts": torch.zeros(1, 4),
        "of_shift": torch.tensor([0]),
        "kinds": torch.zeros(4, 3),
        "true_kinds": torch.tensor([1, 0, 0, 0]),
        "of_region": torch.tensor([0, 0, 1, 1]),
        "changes": torch.zeros(1, 4),
        "true_changes": torch.zeros(1, 4),
        "masks": torch.zeros(1, 4, 4),
        "true_masks": torch.ones(1, 4, 4),
        "of_mask": torch.tensor([0]),
    }
    return Answers(**(fields | changes))


def test_the_loss_is_the_sum_of_five_each_a_mean_of_its_sample():
    first, second = losses(answers()).tolist()
    half = float(np.log(2))
    assert second == pytest.approx(half + float(np.log(3)))
    assert first == pytest.approx(half + float(np.log(3)) + half)  # the outline of its object
    moved = losses(answers(shifts=torch.ones(1, 4), changes=torch.full((1, 4), 2.0)))
    assert moved[1] == pytest.approx(second)
    shift, change = 4 * (1 - 1 / 18) / 2, 4 * 1.5 / 2  # two anchors and two regions share them
    assert moved[0] - first == pytest.approx(shift + change)


def test_the_loss_falls_to_nothing_where_everything_is_right_and_sure():
    sure = answers(
        objectness=torch.tensor([99.0, -99, -99, -99]),
        kinds=torch.tensor([[0.0, 99, 0], [99, 0, 0], [99, 0, 0], [99, 0, 0]]),
        masks=torch.full((1, 4, 4), 99.0),
    )
    assert losses(sure).abs().max() < 1e-6


def test_samples_without_anything_to_compare_cost_nothing():
    none, rows = torch.zeros(0, dtype=torch.long), torch.zeros(0, 4)
    empty = answers(
        objectness=torch.zeros(0), is_object=torch.zeros(0), of_anchor=none, shifts=rows, true_shifts=rows,
        of_shift=none, kinds=torch.zeros(0, 3), true_kinds=none, of_region=none, changes=rows,
        true_changes=rows, masks=torch.zeros(0, 4, 4), true_masks=torch.zeros(0, 4, 4), of_mask=none,
    )  # fmt: skip
    assert losses(empty).tolist() == [0.0, 0.0]


def test_processes_that_share_a_batch_have_its_mean():
    objective = Objects(SCHEMA).on(torch.device("cpu"))
    parts = objective(answers(), torch.zeros(2), total=lambda value: 3 * value)
    assert float(parts.total) == pytest.approx(float(losses(answers()).mean()))
    assert float(parts.region) == 0
    assert torch.equal(objective.hardness(answers(), torch.zeros(2)), losses(answers()))


def found(boxes, kinds, scores=None):
    n = len(boxes)
    scores = torch.full((n,), 0.9) if scores is None else torch.tensor(scores)
    return Found(
        torch.tensor(boxes, dtype=torch.float32).reshape(n, 4),
        scores,
        torch.tensor(kinds).long(),
        torch.ones(n, 4, 4),
    )


def truth(boxes, kinds):
    n = len(boxes)
    where = torch.zeros(40, 40, dtype=torch.long)
    return Truth(
        torch.tensor(boxes, dtype=torch.float32).reshape(n, 4),
        torch.tensor(kinds).long(),
        torch.arange(n),
        where,
    )


def test_objects_are_counted_by_kind_and_each_once():
    there = truth([[0, 0, 10, 10], [20, 20, 30, 30]], [1, 2])
    twice = found([[0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30]], [1, 1, 1])
    assert counted(twice, there, 2).tolist() == [[1, 0], [2, 0], [0, 1]]
    assert counted(found([[20, 20, 30, 31]], [2]), there, 2).tolist() == [[0, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("finds", "objects", "counts"),
    [
        (found([], []), truth([], []), [[0, 0], [0, 0], [0, 0]]),
        (found([], []), truth([[0, 0, 9, 9]], [2]), [[0, 0], [0, 0], [0, 1]]),
        (found([[0, 0, 9, 9]], [1]), truth([], []), [[0, 0], [1, 0], [0, 0]]),
        (found([[0, 0, 9, 9]], [1], [0.4]), truth([[0, 0, 9, 9]], [1]), [[0, 0], [0, 0], [1, 0]]),
    ],
)
def test_counts_where_something_is_missing(finds, objects, counts):
    assert counted(finds, objects, 2).tolist() == counts


def test_the_figure_is_the_f1_of_objects():
    figures = Objects(SCHEMA).figures(torch.tensor([[3, 0], [1, 0], [2, 0]]))
    assert figures == {"small": pytest.approx(6 / 9), "large": None}


def test_the_loss_of_objects_is_no_loss_of_voxels(tiny):
    with pytest.raises(PlanError, match="compares objects, not voxels"):
        make_loss(tiny.training().but(loss="mask_rcnn"), SCHEMA, batch_dice=False)


class Stop(Exception):  # noqa: N818
    """What a test interrupts a training with."""


def _stop(step):
    if step.step == 4:
        raise Stop


def test_a_training_goes_on_bit_by_bit_where_it_was(tmp_path):
    for n in range(4):
        scan, ids = nuclei(np.random.default_rng(n), size=40, count=8)
        write_volume(scan, tmp_path / f"raw/images/{n}.png")
        write_objects(ids, scan.geometry, tmp_path / f"raw/instances/{n}.png")
    write_json(tmp_path / "raw/labels.json", {"background": 0, "nucleus": "instances"})
    dataset = Dataset.open(tmp_path / "raw")
    plan = make_plan(fingerprint(dataset, workers=1), network="mask_rcnn", device="cpu", steps=6)
    for field, value in {
        "batch": 2,
        "network.features": [4, 6, 8, 8],
        "training.validate_every": 3,
        "network.detector.width": 8,
        "network.detector.hidden": 8,
        "training.validation_batches": 1,
    }.items():
        if field == "network.features":
            value = value[: len(plan.configuration().network.features)]
        plan = plan.set_by_hand(field, value)
    store = prepare(dataset, plan, tmp_path / "prepared", workers=1)["2d"]

    class Split:
        train, validation = ("0", "1", "2"), ("3",)

    whole = train(plan, store, Split(), tmp_path / "whole", workers=1)
    with pytest.raises(Stop):
        train(plan, store, Split(), tmp_path / "again", workers=1, watch=_stop)
    again = train(plan, store, Split(), tmp_path / "again", workers=2)
    assert again.read_bytes() == whole.read_bytes()
    rows = read(tmp_path / "whole/history.jsonl")
    assert [row.step for row in rows] == [3, 6]
    assert set(rows[-1].validation.dice) == {"nucleus"}
    assert all(torch.isfinite(tensor).all() for tensor in safetensors.torch.load_file(whole).values())

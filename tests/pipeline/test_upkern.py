"""From a MedNeXt of kernels of 3 to one of 5, through two runs."""

import pytest

from delineate.networks import Model
from delineate.pipeline import PlanWishes, Unwatched, run
from delineate.pipeline.wishes import StartWishes

QUICK = {
    "training.precision": "fp32",
    "training.validate_every": 2,
    "training.validation_batches": 1,
    "batch": 2,
}


@pytest.mark.slow
def test_a_run_of_larger_kernels_begins_with_a_model_of_smaller_ones(balls_folder, tmp_path):
    first = PlanWishes(steps=1, network="mednext_s", by_hand=QUICK)
    run(balls_folder, tmp_path / "three", first, Unwatched())
    begun = PlanWishes(steps=1, start=StartWishes(tmp_path / "three" / "model"), kernel=5, by_hand=QUICK)
    run(balls_folder, tmp_path / "five", begun, Unwatched())
    plan = Model.open(tmp_path / "five" / "model").plan
    assert plan.configuration().network.kind == "mednext"
    assert max(k for kernel in plan.configuration().network.kernels for k in kernel) == 5
    transfer = (tmp_path / "five" / "folds" / plan.first / "fold_0" / "transfer.json").read_text()
    assert "drawn out (UpKern)" in transfer

import pytest

from delineate.errors import RunError
from delineate.pipeline import Run, Unwatched
from delineate.pipeline.cascade import hand_down


def test_a_cascade_needs_every_case_in_the_validation_part_of_some_fold(tmp_path, finished):
    run = Run.open(finished)
    plan, splits = run.plan(), run.splits()
    one = splits.but(folds=splits.folds[:1])
    with pytest.raises(
        RunError, match="a cascade needs every case in the validation part of some fold; 8 are"
    ):
        hand_down(run, plan, "3d_fullres", one, "cpu", Unwatched())

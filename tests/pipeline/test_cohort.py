import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.pipeline import phantoms


def test_the_same_seed_writes_the_same_heads_and_they_open_as_a_dataset(tmp_path):
    for name in ("a", "b"):
        phantoms(tmp_path / name, cases=2, seed=5)
    first, second = (Dataset.open(tmp_path / name) for name in ("a", "b"))
    assert first.channels == ("T1", "T1c", "T2", "FLAIR")
    for case in first.cases:
        scan, labels = first.pair(case)
        again, _ = second.pair(second.case(case.id))
        assert np.array_equal(scan.array, again.array)
        assert labels.mask("whole tumour").any()


def test_phantoms_do_not_overwrite_anything(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        phantoms(tmp_path, cases=2, seed=5)

import pytest
import torch

from delineate.errors import DataError
from delineate.inference.scratch import Scratch

CPU = torch.device("cpu")


def test_a_file_keeps_what_was_let_go(tmp_path):
    kept = Scratch(CPU, tmp_path).zeros((3, 1000, 1000))
    assert not kept.values.any()
    kept.values[1] = torch.arange(1000.0)
    kept.let_go()
    kept.values[1] += 1
    kept.let_go()
    assert torch.equal(kept.values[1, 7], torch.arange(1000.0) + 1)
    assert not kept.values[2].any()


def test_the_file_has_no_name_and_leaves_nothing(tmp_path):
    kept = Scratch(CPU, tmp_path).zeros((10,))
    assert list(tmp_path.iterdir()) == []
    del kept
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_it_is_memory():
    kept = Scratch(CPU).zeros((4, 2))
    kept.let_go()
    assert kept.pages is None
    assert kept.values.shape == (4, 2)


def test_a_folder_without_room_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"4000000\.0 GB of sums cannot be kept here.*allow more memory"):
        Scratch(CPU, tmp_path).zeros((10**15,))

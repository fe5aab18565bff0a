import torch

from delineate.networks.mask_rcnn.truth import truth_of


def test_objects_have_the_boxes_of_their_voxels_and_their_kind():
    labels = torch.zeros((2, 10, 12), dtype=torch.int64)
    labels[:, 2:5, 3:9] = torch.tensor([1, 70])[:, None, None]
    labels[:, 6:10, 0:2] = torch.tensor([2, 7])[:, None, None]
    truth = truth_of(labels)
    assert truth.ids.tolist() == [7, 70]
    assert truth.kinds.tolist() == [2, 1]
    assert truth.boxes.tolist() == [[6, 0, 10, 2], [2, 3, 5, 9]]


def test_slivers_at_the_border_are_no_objects():
    labels = torch.zeros((2, 8, 8), dtype=torch.int64)
    labels[:, 0, 0:3] = 1
    assert len(truth_of(labels).boxes) == 0


def test_an_empty_patch_has_no_objects():
    truth = truth_of(torch.zeros((2, 8, 8), dtype=torch.int64))
    assert truth.boxes.shape == (0, 4)
    assert len(truth.kinds) == len(truth.ids) == 0


def test_an_object_in_two_pieces_has_one_box():
    labels = torch.zeros((2, 8, 8), dtype=torch.int64)
    labels[:, 0:2, 0:2] = 1
    labels[:, 6:8, 6:8] = 1
    assert truth_of(labels).boxes.tolist() == [[0, 0, 8, 8]]

import torch

from delineate.networks.mask_rcnn.proposals import proposed, refined, told_apart


def test_the_likeliest_boxes_of_each_level_come_first_and_lie_in_the_image():
    anchors = torch.tensor([[0.0, 0, 8, 8], [20, 20, 28, 28], [0, 0, 8, 8.5], [-4, -4, 6, 6]])
    logits = torch.tensor([1.0, 3.0, 2.0, 0.5])
    boxes = proposed(logits, torch.zeros(4, 4), anchors, [2, 2], (32, 32), 3)
    assert boxes.tolist() == [[20, 20, 28, 28], [0, 0, 8, 8.5], [0, 0, 8, 8]]  # levels do not compete


def test_boxes_of_one_level_that_are_nearly_the_same_are_one():
    anchors = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 9]])
    assert proposed(torch.tensor([1.0, 2.0]), torch.zeros(2, 4), anchors, [2], (32, 32), 9).tolist() == [
        [0, 0, 8, 9]
    ]


def test_boxes_without_extent_are_left_out():
    anchors = torch.tensor([[-9.0, 0, 0.5, 8]])
    assert len(proposed(torch.zeros(1), torch.zeros(1, 4), anchors, [1], (32, 32), 9)) == 0


def test_second_changes_are_a_tenth_and_a_fifth_as_large():
    box = torch.tensor([[10.0, 10, 20, 20]])
    moved = refined(box, torch.tensor([[1.0, 0, 0, 0]]), (64, 64))
    assert torch.allclose(moved, box + torch.tensor([1.0, 0, 1, 0]))


def test_objects_are_told_apart_by_kind():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 1, 10, 11], [30, 30, 40, 40]])
    logits = torch.tensor([[0.0, 4.0, -9.0], [0.0, 3.0, 3.5], [9.0, 0.0, 0.0]])
    found, scores, kinds = told_apart(boxes, logits, 9)
    assert kinds.tolist() == [1, 2]  # the second box goes as one of kind 1, and stays as one of kind 2
    assert found.tolist() == boxes[:2].tolist()
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert len(told_apart(boxes, logits, 1)[0]) == 1


def test_nothing_is_found_where_everything_is_background():
    found, scores, kinds = told_apart(torch.zeros(3, 4), torch.tensor([[9.0, 0.0]] * 3), 9)
    assert len(found) == len(scores) == len(kinds) == 0

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.networks.mask_rcnn.roi_align import level_of, pyramid_align, roi_align


def ramp(edges, stride, slope=(2.0, -3.0)):
    """Features that grow evenly: at the voxel position (x, y), in faces, they are 2 x - 3 y + 5."""
    i, j = (((torch.arange(n, dtype=torch.float64) + 0.5) * s) for n, s in zip(edges, stride, strict=True))
    return (slope[0] * i[:, None] + slope[1] * j + 5)[None, None]


@given(
    st.tuples(*[st.floats(8.0, 20.0)] * 2),
    st.tuples(*[st.floats(1.0, 20.0)] * 2),
    st.sampled_from([(1, 1), (2, 2), (4, 2)]),
    st.integers(1, 7),
)
def test_on_a_ramp_every_cell_is_the_value_at_its_middle_exactly(first, size, stride, cells):
    box = torch.tensor([[*first, first[0] + size[0], first[1] + size[1]]], dtype=torch.float64)
    edges = tuple(48 // s for s in stride)
    found = roi_align(ramp(edges, stride), box, torch.tensor([0]), stride, cells)
    share = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    i, j = first[0] + share * size[0], first[1] + share * size[1]
    assert torch.allclose(found[0, 0], 2 * i[:, None] - 3 * j + 5, atol=1e-9)


def slowly(features, box, stride, cells):
    """The definition, one place after the other."""
    result = torch.zeros(features.shape[0], cells, cells, dtype=features.dtype)
    for a in range(cells):
        for b in range(cells):
            for p in range(2):
                for q in range(2):
                    x = box[0] + (a + (p + 0.5) / 2) / cells * (box[2] - box[0])
                    y = box[1] + (b + (q + 0.5) / 2) / cells * (box[3] - box[1])
                    result[:, a, b] += read_at(features, x / stride - 0.5, y / stride - 0.5) / 4
    return result


def read_at(features, x, y):
    x = min(max(float(x), 0.0), features.shape[1] - 1.0)
    y = min(max(float(y), 0.0), features.shape[2] - 1.0)
    i, j = min(int(x), features.shape[1] - 2), min(int(y), features.shape[2] - 2)
    u, v = x - i, y - j
    near = features[:, i, j] * (1 - v) + features[:, i, j + 1] * v
    far = features[:, i + 1, j] * (1 - v) + features[:, i + 1, j + 1] * v
    return near * (1 - u) + far * u


def test_it_is_what_the_definition_says_at_borders_and_for_several_images():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 6, 5, generator=generator, dtype=torch.float64)
    boxes = torch.tensor(
        [[0.0, 0.0, 12.0, 10.0], [3.3, 1.2, 7.9, 9.7], [9.0, 8.0, 9.5, 8.5]], dtype=torch.float64
    )
    images = torch.tensor([1, 0, 1])
    found = roi_align(features, boxes, images, (2, 2), 3)
    for n, image in enumerate(images.tolist()):
        assert torch.allclose(found[n], slowly(features[image], boxes[n], 2, 3), atol=1e-12)


def test_its_gradients_are_those_of_differences():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 2, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[1.2, 0.7, 8.3, 9.1], [0.4, 2.2, 5.1, 11.3]], dtype=torch.float64)
    images = torch.tensor([1, 0])
    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes, images, (2, 2), 2), (features,))


def test_without_boxes_there_is_nothing_but_a_gradient_can_still_flow():
    features = torch.ones(1, 2, 4, 4, requires_grad=True)
    found = roi_align(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), (2, 2), 7)
    assert found.shape == (0, 2, 7, 7)
    assert pyramid_align([features], torch.zeros(0, 4), torch.zeros(0).long(), [(2, 2)], 3).shape == (
        0,
        2,
        3,
        3,
    )


@pytest.mark.parametrize(("size", "level"), [(10, 0), (27, 0), (29, 1), (55, 1), (57, 2), (500, 2)])
def test_larger_objects_are_read_at_coarser_levels(size, level):
    assert level_of(torch.tensor([[0.0, 0.0, size, size]]), 1.0, 3).tolist() == [level]


def test_every_box_is_read_from_its_level_in_the_order_they_came():
    pyramid = [torch.full((1, 1, 32, 32), 1.0), torch.full((1, 1, 16, 16), 2.0)]
    boxes = torch.tensor([[0.0, 0, 60, 60], [0.0, 0, 8, 8], [4.0, 4, 60, 62]])
    found = pyramid_align(pyramid, boxes, torch.zeros(3).long(), [(2, 2), (4, 4)], 2)
    assert found.mean((1, 2, 3)).tolist() == [2.0, 1.0, 2.0]

import pytest

from delineate.inference.layout import Layout, best_axis


def lies(shape, patch=(8, 8, 8)):
    return Layout.on(shape, patch, 3, batch=2, step=0.5)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((40, 16, 16), 0), ((16, 40, 16), 1), ((16, 16, 40), 2), ((16, 17, 18), 0), ((4, 4, 4), 0)],
)
def test_rows_run_across_the_axis_that_takes_least_memory(shape, axis):
    assert best_axis([lies(shape)], shape) == axis


def test_slices_are_taken_one_after_the_other():
    slices, volume = lies((32, 32, 32), (32, 32, 1)), lies((32, 32, 32), (32, 32, 32))
    assert best_axis([slices], (32, 32, 32)) == 2
    assert best_axis([slices, volume], (32, 32, 32)) == 2


def test_a_grid_smaller_than_the_patch_is_padded_to_it():
    assert lies((4, 20, 8)).padded == (8, 20, 8)
    assert lies((4, 20, 8)).count == 4
    assert lies((4, 20, 8)).plane(1) == 3 * 8 * 8


def test_a_picture_is_decided_at_once_unless_it_is_a_large_one():
    picture = (256, 200, 1)
    small = Layout.on(picture, (64, 64, 1), 3, 4, 0.5)
    assert best_axis([small], picture) == 2
    huge = (20_000, 20_000, 1)
    assert best_axis([Layout.on(huge, (64, 64, 1), 3, 4, 0.5)], huge) != 2

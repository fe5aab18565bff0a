import pytest

from delineate.planning.presets import PRESETS


@pytest.mark.parametrize(
    ("name", "memory_gb", "flat", "solid"),
    [
        ("default", 8, 85e6, 560e6),
        ("M", 8, 135e6, 680e6),
        ("L", 24, 380e6, 2100e6),
        ("XL", 40, 560e6, 3600e6),
    ],
)
def test_what_fits_is_what_the_authors_measured(name, memory_gb, flat, solid):
    preset = PRESETS[name]
    assert preset.memory_gb == memory_gb
    assert (preset.room(2, memory_gb), preset.room(3, memory_gb)) == (flat, solid)


@pytest.mark.parametrize("name", PRESETS)
def test_twice_the_memory_is_twice_the_room(name):
    assert PRESETS[name].room(3, 16) == 2 * PRESETS[name].room(3, 8)


def test_deeper_residual_encoders_repeat_their_last_stage():
    assert PRESETS["M"].encoder(8) == (1, 3, 4, 6, 6, 6, 6, 6)
    assert PRESETS["default"].encoder(3) == (2, 2, 2)


def test_plain_patches_shrink_for_a_batch_of_two_and_residual_ones_for_the_whole_batch():
    assert [PRESETS["default"].batch_that_must_fit(dims) for dims in (2, 3)] == [2, 2]
    assert [PRESETS["L"].batch_that_must_fit(dims) for dims in (2, 3)] == [12, 2]

import pytest

from delineate.dataset import names
from delineate.dataset.names import Part


@pytest.mark.parametrize(
    ("name", "whole", "number"),
    [
        ("ID_0001_Z_0107", "ID_0001", 107),
        ("case3-slice12", "case3", 12),
        ("liver_7.frame_003", "liver_7", 3),
        ("slice_09", "", 9),
    ],
)
def test_names_of_slices_are_understood(name, whole, number):
    assert names.slice_of(name) == Part(whole, number)


@pytest.mark.parametrize("name", ["hippocampus_001", "001", "ganz12", "0121d6759c5adb29", "slice"])
def test_other_names_are_no_slices(name):
    assert names.slice_of(name) is None


def test_numbered_names_have_a_stem_and_a_number():
    assert names.numbered("hippocampus_001") == Part("hippocampus", 1)
    assert names.numbered("001") is None


@pytest.mark.parametrize(
    ("name", "slide"),
    [
        ("S12-1_x2048_y0", "S12-1"),
        ("slide3_tile_7", "slide3"),
        ("TUM-17_patch_3_4", "TUM-17"),
        ("biopsy_00512_01024", "biopsy"),
    ],
)
def test_names_of_tiles_are_understood(name, slide):
    assert names.slide_of(name) == slide
    assert names.slide_of("hippocampus_001") is None


@pytest.mark.parametrize("name", ["p07_visit2", "p07-tp1", "p07_baseline", "p07_ses-02", "p07_month_6"])
def test_names_of_visits_are_understood(name):
    assert names.first_visit_of(name) == "p07"
    assert names.first_visit_of("p07") is None
    assert names.first_visit_of("liver_12") is None


@pytest.mark.parametrize(
    "name", ["img_12_flip", "img_12-rot90", "img_12_aug3", "img_12_copy", "img_12_noise_2"]
)
def test_names_of_copies_are_understood(name):
    assert names.original_of(name) == "img_12"
    assert names.original_of("img_12") is None

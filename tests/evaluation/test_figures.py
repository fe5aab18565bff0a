import io

import numpy as np
import pytest
from PIL import Image

from delineate.errors import GeometryError
from delineate.evaluation import View, best_view, colors, png, slice_figure
from delineate.space import Geometry, LabelMap, LabelSchema, Volume
from delineate.space.phantoms import cells, head, head_schema

SHAPE = (20, 16, 12)
ONE = LabelSchema.of("thing")


def ras(spacing=(1.0, 1.0, 1.0), shape=SHAPE):
    return Geometry(shape, np.diag([*spacing, 1.0]))


def scan_on(grid, channels=("image",)):
    values = np.random.default_rng(0).normal(100, 5, (len(channels), *grid.shape)).astype(np.float32)
    return Volume(values, grid, channels)


def labels_on(grid, *boxes, schema=ONE):
    array = np.zeros(grid.shape, np.uint8)
    for value, slices in enumerate(boxes, 1):
        array[slices] = value
    return LabelMap(array, grid, schema)


# --- which slice


def test_the_slice_with_most_of_the_reference_is_shown():
    grid = ras()
    array = np.zeros(SHAPE, np.uint8)
    array[5:7, 5:7, 2:9] = 1
    array[4:9, 4:9, 6] = 1
    view = best_view(scan_on(grid), LabelMap(array, grid, ONE))
    assert (view.plane, view.slice) == ("axial", 6)


def test_without_a_reference_the_prediction_decides_and_then_the_middle():
    grid = ras()
    empty = labels_on(grid)
    found = labels_on(grid, np.s_[4:9, 4:9, 3:4])
    assert best_view(scan_on(grid), empty, found).slice == 3
    assert best_view(scan_on(grid), empty).slice == 6
    assert best_view(scan_on(grid), empty, empty).slice == 6


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [
        ((1.0, 1.0, 5.0), "axial"),
        ((1.0, 5.0, 1.0), "coronal"),
        ((5.0, 1.0, 1.0), "sagittal"),
        ((1.0, 1.2, 1.0), "axial"),
    ],
)
def test_slices_are_shown_as_they_were_taken(spacing, plane):
    grid = ras(spacing)
    for code in ("RAS", "LPS", "ASR"):
        turned = grid.reoriented(code)
        assert best_view(scan_on(turned), labels_on(turned)).plane == plane


def test_the_channel_in_which_a_structure_stands_out_is_shown():
    scan = scan_on(ras(), ("T1", "T1c", "T2"))
    where = np.s_[8:12, 6:10, 4:8]
    scan.array[(1, *where)] += 80
    scan.array[(2, *where)] += 10
    assert best_view(scan, labels_on(ras(), where)).channel == "T1c"


def test_a_structure_that_fills_the_scan_is_shown_in_the_first_channel():
    scan = scan_on(ras(), ("T1", "T2"))
    assert best_view(scan, labels_on(ras(), np.s_[:, :, :])).channel == "T1"


# --- how it lies


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR", "AIL"])
@pytest.mark.parametrize(
    ("plane", "right", "anterior", "superior"),
    # where the patient's right, front and top appear: (row, column), 0 first, 1 last
    [
        ("axial", (None, 0), (0, None), None),
        ("coronal", (None, 0), None, (0, None)),
        ("sagittal", None, (None, 0), (0, None)),
    ],
)
def test_slices_are_seen_as_radiologists_see_them(code, plane, right, anterior, superior):
    grid = Geometry((12, 12, 12), np.diag([1.0, 1.0, 1.0, 1.0]))
    for axis, place in enumerate((right, anterior, superior)):
        if place is None:
            continue
        values = np.zeros((1, 12, 12, 12), np.float32)
        marked = [slice(None)] * 4
        marked[axis + 1] = slice(10, 12)  # RAS: the last voxels are right, anterior or superior
        values[tuple(marked)] = 100
        scan = Volume(values, grid).reoriented(code)
        picture = slice_figure(scan, View(plane, 6, "image"), edge=24)[..., 0].astype(float)
        row, column = place
        if column is not None:
            assert picture[:, :3].mean() > 200 > 50 > picture[:, -3:].mean()
        if row is not None:
            assert picture[:3].mean() > 200 > 50 > picture[-3:].mean()


@pytest.mark.parametrize(
    ("plane", "size"), [("axial", (160, 80)), ("coronal", (240, 80)), ("sagittal", (240, 160))]
)
def test_millimetres_are_square(plane, size):
    grid = ras((0.5, 1.0, 5.0), (20, 20, 6))  # 10 x 20 x 30 mm
    picture = slice_figure(scan_on(grid), View(plane, 1, "image"), edge=max(size))
    assert picture.shape == (*size, 3)


# --- what is drawn


def test_the_reference_is_a_line_and_the_prediction_a_tint():
    grid = ras(shape=(40, 40, 5))
    scan = Volume(np.full((1, 40, 40, 5), 50, np.float32), grid)
    truth, found = labels_on(grid, np.s_[10:30, 10:30, 1:4]), labels_on(grid, np.s_[5:15, 10:30, 1:4])
    view = View("axial", 2, "image")
    plain = slice_figure(scan, view, edge=200)
    color = np.array(colors(ONE)["thing"])
    assert (plain == plain[0, 0]).all()
    line = slice_figure(scan, view, reference=truth, edge=200)
    drawn = (line == color).all(axis=-1)
    assert drawn.sum() == pytest.approx(4 * 100 * 2, rel=0.05)  # 100 pixels a side, two thick
    assert (line[~drawn] == plain[0, 0]).all()
    tint = slice_figure(scan, view, prediction=found, edge=200)
    changed = (tint != plain).any(axis=-1)
    assert changed.sum() == pytest.approx(50 * 100, rel=0.05)
    both = slice_figure(scan, view, reference=truth, prediction=found, edge=200)
    assert ((both == color).all(axis=-1) >= drawn).all()
    assert ((both != plain).any(axis=-1) == (changed | drawn)).all()


def test_one_voxel_is_never_lost_however_small_it_is_drawn():
    grid = ras(shape=(64, 64, 3))
    truth = labels_on(grid, np.s_[30:31, 20:21, 1:2])
    color = colors(ONE)["thing"]
    for edge in (16, 64, 300):
        picture = slice_figure(scan_on(grid), View("axial", 1, "image"), reference=truth, edge=edge)
        assert (picture == color).all(axis=-1).any()


def test_regions_have_the_colour_that_they_paint():
    schema = head_schema()
    assert colors(schema) == {
        "whole tumour": schema.color(2),
        "tumour core": schema.color(1),
        "enhancing tumour": schema.color(3),
    }
    scan, truth = head(np.random.default_rng(3), spacing_mm=5.0)
    picture = slice_figure(scan, best_view(scan, truth), reference=truth)
    assert (picture == colors(schema)["whole tumour"]).all(axis=-1).any()


def test_a_colour_scan_keeps_its_colours_and_lies_as_it_is():
    scan, truth = cells(np.random.default_rng(1), size=64)
    view = best_view(scan, truth)
    picture = slice_figure(scan, view, edge=64)
    assert np.array_equal(picture, scan.array[..., 0].transpose(2, 1, 0))
    assert slice_figure(scan, view, reference=truth, edge=64).shape == picture.shape


def test_values_that_are_not_numbers_are_black():
    grid = ras()
    scan = scan_on(grid)
    scan.array[0, :5] = np.nan
    picture = slice_figure(scan, View("axial", 3, "image"), edge=40)
    assert picture[:, -5:].max() < 60  # low i is left, on the right of the picture


def test_a_constant_scan_is_drawn():
    grid = ras()
    flat = Volume(np.ones((1, *SHAPE), np.int16), grid)
    assert slice_figure(flat, View("axial", 0, "image")).dtype == np.uint8


def test_labels_on_another_grid_are_refused():
    moved = ras((1.0, 1.0, 2.0))
    with pytest.raises(GeometryError, match=r"labels and scan are on different grids: .*2 mm.*1 mm"):
        slice_figure(scan_on(ras()), View("axial", 0, "image"), prediction=labels_on(moved))


def test_the_png_holds_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)

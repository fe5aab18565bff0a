from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.io.frames import Frame
from delineate.io.stack import split, stack

MIXED = ["b", "10", "9.5", "a"]
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def frame(n, position, axes=AXIAL, **changes):
    fields = {"shape": (4, 3), "spacing": (1.0, 1.0), "thickness": 2.5, **changes}
    return Frame(Path(f"{n:02d}.dcm"), 0, position=tuple(position), axes=tuple(axes), **fields)


def axial(heights, **changes):
    return tuple(frame(n, (0.0, 0.0, z), **changes) for n, z in enumerate(heights))


def refused(frames, message):
    with pytest.raises(DataError, match=message) as caught:
        stack(frames, "series")
    assert str(caught.value).startswith("series: ")
    assert "\n  " in str(caught.value)


# Laws


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_every_slice_is_where_its_header_says_in_whatever_order_they_come(data, grids):
    grid = data.draw(grids())
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    axes = (lps[:3, :2] / np.array(grid.spacing)[:2]).T.ravel()
    changes = {"shape": grid.shape[:2], "spacing": grid.spacing[:2], "thickness": grid.spacing[2]}
    made = [frame(k, lps[:3, 3] + k * lps[:3, 2], axes, **changes) for k in range(grid.shape[2])]
    found = stack(tuple(data.draw(st.permutations(made))), "series")
    for k, slice_ in enumerate(found.frames):
        first = found.geometry.to_world(np.array([0.0, 0.0, k]))
        assert np.allclose(first, np.array(slice_.position) * [-1, -1, 1], atol=1e-6)
    assert np.linalg.det(found.geometry.affine[:3, :3]) > 0  # k always runs along the normal
    assert np.allclose(found.geometry.spacing, grid.spacing, rtol=1e-6)


@given(jitter=st.lists(st.floats(-0.004, 0.004), min_size=12, max_size=12), gap=st.floats(0.5, 5))
@settings(deadline=None)
def test_rounded_positions_are_even(jitter, gap):
    assert stack(axial([n * gap + j for n, j in enumerate(jitter)]), "series").notes == ()


@given(volumes=st.integers(2, 4), slices=st.integers(1, 4), mark=st.sampled_from(["EchoTime", "ContentTime"]))
@settings(deadline=None)
def test_volumes_at_the_same_places_are_split_in_the_order_of_their_marks(volumes, slices, mark):
    made = [
        frame(n, (0, 0, 2.0 * k), marks={mark: str(10 * v)})
        for n, (k, v) in enumerate((k, v) for k in range(slices) for v in reversed(range(volumes)))
    ]
    parts = split(tuple(made))
    assert [part[0].marks[mark] for part in parts] == [str(10 * v) for v in range(volumes)]
    assert all(stack(part, "series").geometry.shape == (4, 3, slices) for part in parts)


# Construction


def test_a_single_slice_is_as_thick_as_it_says():
    one = stack((frame(0, (1, 2, 3), spacing=(0.5, 2.0)),), "series")
    assert one.geometry.shape == (4, 3, 1)
    assert one.geometry.spacing == (0.5, 2, 2.5)
    assert one.geometry.affine[:3, 3].tolist() == [-1, -2, 3]
    unknown = stack((frame(0, (1, 2, 3), thickness=None),), "series")
    assert unknown.geometry.spacing[2] == 1
    assert unknown.notes == ("one slice of unknown thickness: taken as 1 mm",)


def test_marks_of_two_kinds_together_tell_volumes_apart():
    made = [
        frame(n, (0, 0, 2.0 * k), marks={"EchoTime": str(echo), "AcquisitionNumber": str(run)})
        for n, (k, echo, run) in enumerate((k, e, r) for k in range(3) for e in (5, 10) for r in (1, 2))
    ]
    assert [len(part) for part in split(tuple(made))] == [3, 3, 3, 3]
    refused(tuple(made), "holds 4 volumes at the same 3 places .12 images, told apart by EchoTime and Acq")


def test_parts_of_other_size_or_direction_are_split():
    coronal = (1.0, 0, 0, 0, 0, -1.0)
    made = (*axial([0, 1, 2]), *axial([0, 1], shape=(5, 5)), frame(9, (0, 0, 0), coronal))
    assert [len(part) for part in split(made)] == [3, 2, 1]


def test_words_are_sorted_after_numbers():
    made = tuple(frame(n, (0, 0, 0), marks={"EchoTime": mark}) for n, mark in enumerate(MIXED))
    assert [part[0].marks["EchoTime"] for part in split(made)] == ["9.5", "10", "a", "b"]


def test_frames_without_a_place_stay_together():
    made = tuple(Frame(Path("a"), n, (4, 3)) for n in range(2))
    assert split(made) == (made,)


def test_a_slight_lean_is_kept_as_it_is_and_noted():
    lean = stack(tuple(frame(n, (0.015 * n, 0, 3.0 * n)) for n in range(4)), "series")
    assert lean.notes == ("slices are shifted by 0.29 degrees from the normal",)
    assert np.allclose(lean.geometry.to_world(np.array([0, 0, 3.0])), [-0.045, 0, 9])


# Refusals


def test_a_missing_slice_is_named_with_its_neighbours():
    refused(axial([0, 2, 4, 8, 10]), r"1 of 6 slices are missing, the first between 02.dcm and 03.dcm \(4 mm")
    refused(axial([0, 2, 4, 10, 12, 16]), "3 of 9 slices are missing")


def test_uneven_slices_are_refused():
    refused(axial([0, 2, 4, 7, 9]), "unevenly spaced: 2 to 3 mm apart, usually 2 mm; .* 02.dcm and 03.dcm")


def test_a_spacing_that_changes_slowly_is_refused():
    refused(axial(np.cumsum(np.linspace(1.0, 1.03, 60))), "unevenly spaced: up to .* mm off an even grid")


def test_a_tilted_gantry_is_refused_with_its_angle():
    made = tuple(frame(n, (0, -3.0 * n * np.tan(np.radians(12)), 3.0 * n)) for n in range(5))
    refused(made, r"(?s)the gantry was tilted: slices shift by 12\.0 degrees against their normal.*dcm2niix")


def test_slices_shifted_to_and_fro_are_refused():
    refused(
        tuple(frame(n, (0.5 * (n == 2), 0, 3.0 * n)) for n in range(5)),
        "shifted against each other by up to 0.5 mm",
    )


def test_repeated_places_are_refused():
    refused(axial([0, 2, 2, 4]), r"4 images at 3 places, and nothing .* 01.dcm and 02.dcm are both at 2 mm")
    again = Frame(Path("a.dcm"), 7, (4, 3), position=(0, 0, 0), axes=AXIAL, spacing=(1, 1))
    refused((again, again), r"a\.dcm \(frame 8\) and a\.dcm \(frame 8\)")


def test_several_volumes_at_the_same_places_are_refused_with_what_tells_them_apart():
    made = (*axial([0, 2, 4], marks={"EchoTime": "5"}), *axial([0, 2, 4], marks={"EchoTime": "9"}))
    refused(made, "holds 2 volumes at the same 3 places .6 images, told apart by EchoTime.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (5, 3)}, r"differ in size \(columns, rows\): \(4, 3\) in 00.dcm, \(5, 3\) in 09.dcm"),
        ({"axes": (1.0, 0, 0, 0, 0, -1.0)}, "differ in orientation"),
        ({"spacing": (1.0, 1.1)}, r"differ in pixel spacing: \(1, 1\) in 00.dcm, \(1, 1.1\)"),
    ],
)
def test_images_that_are_not_alike_are_refused(changes, message):
    refused((*axial([0, 1]), frame(9, (0, 0, 2), **changes)), message)


def test_images_without_a_place_are_refused():
    refused((*axial([0, 1]), Frame(Path("x.dcm"), 0, (4, 3))), "1 of 3 images do not say where in")


def test_a_mosaic_is_refused():
    refused(axial([0], marks={"ImageType": "['ORIGINAL', 'MOSAIC']"}), "(?s)00.dcm is a mosaic.*dcm2niix")


@pytest.mark.parametrize("axes", [(1, 0, 0, 1, 0, 0), (1, 0, 0, 0, 0.5, 0), (0, 0, 0, 0, 0, 0)])
def test_directions_that_make_no_sense_are_refused(axes):
    refused((frame(0, (0, 0, 0), axes),), "are no unit vectors at right angles")


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_a_pixel_spacing_that_is_no_size_is_refused(spacing):
    refused((frame(0, (0, 0, 0), spacing=spacing),), "is no size")

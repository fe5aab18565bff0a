"""mask -> SEG -> mask and mask -> RTSTRUCT -> mask are identical, however the slices lie."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from clinic_stacks import MAKER, NAMES, WHEN, Stack, blobs, names, result_of, stacks, write_images
from hypothesis import HealthCheck, assume, find, given, settings
from hypothesis import strategies as st

from delineate.clinic import (
    deliver,
    make_result,
    open_series,
    read_rtstruct,
    read_seg,
    write_rtstruct,
    write_seg,
)
from delineate.errors import DataError
from delineate.space import Label, LabelMap, LabelSchema


def drawn(stack: Stack, seed: int, density: float = 0.5) -> np.ndarray:
    """Labels on all slices of a stack; where there are some, one is on a slice that is there."""
    values = blobs(stack.geometry, seed, density)
    assume(values[:, :, stack.slices].any() or not values.any())  # else they are refused, as labels elsewhere
    return values


SMALL = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def same(annotation, result) -> bool:
    return [s.name for s in annotation.structures] == [f.name for f in result.findings] and all(
        np.array_equal(annotation.mask(finding.name), result.mask(finding)) for finding in result.findings
    )


@SMALL
@given(
    stack=stacks(),
    seed=st.integers(0, 10**6),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    kind=st.sampled_from(["BINARY", "LABELMAP", "FRACTIONAL"]),
    empty_frames=st.booleans(),
)
def test_a_mask_comes_back_from_a_segmentation(stack, seed, density, kind, empty_frames):
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "series", stack)
        result = result_of(folder, stack, drawn(stack, seed, density))
        assert np.array_equal(result.array, result.given.array[:, :, stack.slices])
        write_seg(result, Path(name) / "seg.dcm", kind, empty_frames=empty_frames)
        found = read_seg(Path(name) / "seg.dcm", result.series)
        assert same(found, result)
        own = read_seg(Path(name) / "seg.dcm")
        assert [s.voxels for s in own.structures] == [s.voxels for s in found.structures]


@SMALL
@given(
    stack=stacks(),
    seed=st.integers(0, 10**6),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    holes=st.sampled_from(["keyhole", "xor"]),
)
def test_a_mask_comes_back_from_contours(stack, seed, density, holes):
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "series", stack)
        result = result_of(folder, stack, drawn(stack, seed, density))
        write_rtstruct(result, Path(name) / "rt.dcm", holes=holes)
        assert same(read_rtstruct(Path(name) / "rt.dcm", result.series), result)


@SMALL
@given(stack=stacks(), seed=st.integers(0, 10**6))
def test_the_second_look_finds_every_centroid_within_a_tenth_of_a_voxel(stack, seed):
    """Held against the labels' own grid, by code that shares nothing with the writers."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "series", stack)
        result = result_of(folder, stack, drawn(stack, seed))
        delivery = deliver(
            result,
            Path(name) / "out",
            {
                "seg.dcm": lambda r, path, before: write_seg(r, path),
                "map.dcm": lambda r, path, before: write_seg(r, path, "LABELMAP"),
                "rt.dcm": lambda r, path, before: write_rtstruct(r, path),
            },
        )
        limit = 0.1 * min(*stack.spacing, stack.gap)
        assert all(off <= limit for made in delivery.objects for off in made.off_mm.values())
        assert {s.name: s.voxels for s in delivery.structures} == {
            name: int((result.array == value).sum()) for value, name in enumerate(NAMES, 1)
        }


@pytest.mark.parametrize(
    ("what", "is_so"),
    [
        ("oblique", lambda s: sum(abs(x) > 0.1 for x in s.turn) > 5),
        ("sagittal", lambda s: abs(s.turn[6]) == 1),
        ("columns to the right", lambda s: s.turn[0] == -1),
        ("anisotropic", lambda s: max(*s.spacing, s.gap) > 5 * min(*s.spacing, s.gap)),
        ("leans by more than 20 degrees", lambda s: np.hypot(*s.lean) > np.tan(np.radians(20))),
        ("leans a little", lambda s: 0 < np.hypot(*s.lean) < np.tan(np.radians(2))),
        ("lacks two slices", lambda s: len(s.missing) == 2),
        ("has a slice twice", lambda s: s.repeated),
        ("is not square", lambda s: s.columns > 2 * s.rows),
        ("is one slice", lambda s: s.count == 1),
        (
            "all at once",
            lambda s: s.missing and s.repeated and np.hypot(*s.lean) > 0.1 and s.columns != s.rows,
        ),
    ],
)
def test_what_the_laws_above_are_asked_of_is_drawn(what, is_so):
    assert is_so(find(stacks(), is_so, settings=settings(max_examples=5000, database=None)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(names=names(), stack=stacks(), seed=st.integers(0, 10**6))
def test_names_in_any_alphabet_come_back_with_their_masks(names, stack, seed):
    schema = LabelSchema(
        labels=tuple(Label(value=n, name=name, code=f"99X:{n}:thing") for n, name in enumerate(names, 1))
    )
    with tempfile.TemporaryDirectory() as folder:
        series = open_series(write_images(Path(folder) / "series", stack))
        labels = LabelMap(drawn(stack, seed), stack.geometry, schema)
        result = make_result(labels, series, MAKER, when=WHEN)
        write_seg(result, Path(folder) / "seg.dcm")
        write_rtstruct(result, Path(folder) / "rt.dcm")
        assert same(read_seg(Path(folder) / "seg.dcm", series), result)
        assert same(read_rtstruct(Path(folder) / "rt.dcm", series), result)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_labels_of_a_full_scan_are_right_on_a_series_without_some_of_its_slices(seed):
    stack = Stack(count=9, missing=(2, 5), repeated=(1,))
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "series", stack)
        result = result_of(folder, stack, drawn(stack, seed))
        assert "2 of 9 slices are missing" in result.notes
        assert any("8 images at 7 places" in note for note in result.notes)
        write_seg(result, Path(name) / "seg.dcm")
        labels = read_seg(Path(name) / "seg.dcm", result.series).labels()
        assert labels.geometry.same_place(stack.geometry)
        assert np.array_equal(labels.array[:, :, stack.slices], result.given.array[:, :, stack.slices])
        assert (
            labels.array[:, :, [2, 5]] == labels.schema.ignore
        ).all()  # nobody annotated what is not there


def test_labels_on_a_slice_that_is_missing_only_are_refused(tmp_path):
    stack = Stack(missing=(1,))
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[:, :, 1] = 1
    folder = write_images(tmp_path / "series", stack)
    with pytest.raises(DataError, match="no labelled voxel lies on this series"):
        result_of(folder, stack, values)


@pytest.mark.parametrize("names", [("肝臓", "Niere links ß", "опухоль", "rate 🙂")])
def test_names_of_all_alphabets_come_back(tmp_path, names):
    stack = Stack()
    folder = write_images(tmp_path / "series", stack)
    schema = LabelSchema(
        labels=tuple(Label(value=n, name=name, code=f"99X:{n}:{name}") for n, name in enumerate(names, 1))
    )
    labels = LabelMap(blobs(stack.geometry, 3), stack.geometry, schema)
    result = make_result(labels, open_series(folder), MAKER, when=WHEN)
    write_seg(result, tmp_path / "seg.dcm")
    write_rtstruct(result, tmp_path / "rt.dcm")
    for found in (
        read_seg(tmp_path / "seg.dcm", result.series),
        read_rtstruct(tmp_path / "rt.dcm", result.series),
    ):
        assert tuple(s.name for s in found.structures) == names
        assert [s.kind.meaning for s in found.structures] == list(names)
        assert found.labels().schema.labels[0].code == f"99X:1:{names[0]}"

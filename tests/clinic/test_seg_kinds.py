"""SEG beyond plain labels: probabilities, overlapping regions, and compressed files; each read back."""

import numpy as np
import pydicom
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, dicom_errors, result_of, rewritten, write_images
from pydicom.uid import ExplicitVRLittleEndian

from delineate.clinic import (
    deliver,
    make_result,
    open_series,
    read_seg,
    with_probabilities,
    write_rtstruct,
    write_seg,
)
from delineate.clinic import readback as looked
from delineate.clinic.agreement import agreed
from delineate.errors import DataError
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region, Volume

STACK = Stack(columns=12, rows=9, count=6, spacing=(0.5, 0.8), origin=(-3.0, 12.0, 40.0))
NESTED = LabelSchema(
    labels=tuple(Label(value=n, name=name) for n, name in enumerate(("edema", "necrosis", "lesion"), 1)),
    regions=(
        Region(name="whole tumor", values=(1, 2, 3), paints=1),
        Region(name="tumor core", values=(2, 3), paints=2),
        Region(name="enhancing tumor", values=(3,), paints=3),
    ),
)


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "series", STACK)


def by_region(folder):
    labels = LabelMap(np.minimum(blobs(STACK.geometry, 3), 3), STACK.geometry, NESTED)
    return make_result(labels, open_series(folder), MAKER, when=WHEN, regions=True)


# Regions


def test_regions_are_overlapping_segments_and_contours(folder, tmp_path):
    result = by_region(folder)
    assert result.overlaps
    deliver(
        result,
        tmp_path / "out",
        {
            "seg.dcm": lambda r, path, _: write_seg(r, path),
            "rt.dcm": lambda r, path, _: write_rtstruct(r, path),
        },
    )
    content = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert content.SegmentsOverlap == "YES"
    found = read_seg(tmp_path / "out" / "seg.dcm", result.series)
    values = result.given.array
    for region in NESTED.regions:
        assert np.array_equal(found.mask(region.name), np.isin(values, region.values))
    assert found.mask("whole tumor").sum() > found.mask("tumor core").sum() > 0
    nested = found.labels(overlap="regions")
    assert np.array_equal(nested.mask("tumor core"), np.isin(values, (2, 3)))


def test_overlapping_regions_are_no_label_map(folder, tmp_path):
    with pytest.raises(DataError, match=r"(?s)structures overlap.*--seg-kind binary"):
        write_seg(by_region(folder), tmp_path / "seg.dcm", "LABELMAP")


def test_labels_without_regions_have_none_to_deliver(folder):
    labels = LabelMap(blobs(STACK.geometry, 3), STACK.geometry, LabelSchema.of("liver", "spleen", "aorta"))
    with pytest.raises(DataError, match=r"(?s)no regions, only liver, spleen, aorta.*without --regions"):
        make_result(labels, open_series(folder), MAKER, when=WHEN, regions=True)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
def test_highdicom_reads_overlapping_regions(folder, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    result = by_region(folder)
    made = write_seg(result, tmp_path / "seg.dcm")
    uids = [images[0].uid for images in result.series.references]
    read = highdicom.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(
        uids, assert_missing_frames_are_empty=True
    )
    for finding in result.findings:
        theirs = read[..., made.numbers[finding.name] - 1].transpose(2, 1, 0)
        assert np.array_equal(theirs > 0, result.mask(finding)), finding.name


# Probabilities


def soft(folder, grid: Geometry = STACK.geometry, seed: int = 0):
    """A result with smooth probabilities on a grid of their own."""
    names = ("liver", "kidney_left", "liver tumour", "spleen")
    result = result_of(folder, STACK, blobs(STACK.geometry, 5), names)
    middle = STACK.geometry.to_world(np.array([6.0, 4.0, 2.5]))
    far = np.linalg.norm(
        grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1).astype(float)) - middle, axis=-1
    )
    fields = [np.exp(-((far / (1.5 + n)) ** 2)) for n in range(4)]
    fields[3][...] = 0
    return with_probabilities(result, Volume(np.stack(fields).astype(np.float32), grid, names))


def delivered(result, out):
    return deliver(result, out, {"seg.dcm": lambda r, path, _: write_seg(r, path, "FRACTIONAL")})


def test_probabilities_are_delivered_and_read_back_as_what_they_weigh(folder, tmp_path):
    result = soft(folder)
    delivery = delivered(result, tmp_path / "out")
    assert max(delivery.objects[0].off_mm.values()) < 1e-3
    content = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert (content.SegmentationFractionalType, content.MaximumFractionalValue) == ("PROBABILITY", 255)
    sums = looked.count_segments(
        tmp_path / "out" / "seg.dcm", looked.images(sorted((tmp_path / "series").iterdir()))
    )
    stored = np.rint(result.probabilities * 255).astype(np.int64).sum(axis=(1, 2, 3))
    assert [sums[n].voxels if n in sums else 0 for n in (1, 2, 3, 4)] == stored.tolist()
    found = read_seg(tmp_path / "out" / "seg.dcm", result.series)
    assert np.array_equal(found.mask("liver"), result.probabilities[0] >= 0.5)
    assert dicom_errors(tmp_path / "out" / "seg.dcm") == []


def test_probabilities_on_another_grid_are_read_at_the_slices(folder, tmp_path):
    delivery = delivered(soft(folder, STACK.geometry.respaced((1.0, 1.0, 1.0))), tmp_path / "out")
    assert max(delivery.objects[0].off_mm.values()) < 1e-3


def test_probabilities_that_were_moved_or_changed_are_not_delivered(folder, tmp_path):
    result = soft(folder)
    made = write_seg(result, tmp_path / "seg.dcm", "FRACTIONAL")
    known = looked.images(sorted((tmp_path / "series").iterdir()))

    def flip(content):
        frames = np.frombuffer(content.PixelData, np.uint8)[: 12 * 9 * content.NumberOfFrames].reshape(
            -1, 9, 12
        )
        changed = frames.copy()
        changed[:, :, :-1] = frames[:, :, 1:]
        content.PixelData = changed.tobytes() + b"\0" * (changed.size % 2)

    rewritten(tmp_path / "seg.dcm", flip)
    with pytest.raises(DataError, match="nothing was delivered"):
        agreed(result, made, known, {}, {})
    turned = soft(folder)
    turned.given_probabilities.array[:] = turned.given_probabilities.array[:, ::-1]
    shifted = np.roll(turned.given_probabilities.array, 3, axis=1)
    turned.given_probabilities.array[:] = shifted
    with pytest.raises(DataError, match=r"has moved by .* mm against the labels as they were given"):
        delivered(turned, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Compression


@pytest.mark.parametrize(
    ("kind", "compress"),
    [("BINARY", "deflate"), ("LABELMAP", "deflate"), ("LABELMAP", "rle"), ("FRACTIONAL", "rle")],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
def test_compressed_files_hold_the_same_voxels(folder, tmp_path, kind, compress):
    highdicom = pytest.importorskip("highdicom")
    result = result_of(folder, STACK, blobs(STACK.geometry, 6))
    delivery = deliver(
        result, tmp_path / "out", {"seg.dcm": lambda r, path, _: write_seg(r, path, kind, compress=compress)}
    )
    assert max(delivery.objects[0].off_mm.values()) < 1e-3
    path = tmp_path / "out" / "seg.dcm"
    syntax = pydicom.dcmread(path).file_meta.TransferSyntaxUID
    assert syntax.name == {"deflate": "Deflated Explicit VR Little Endian", "rle": "RLE Lossless"}[compress]
    found = read_seg(path, result.series)
    assert all(np.array_equal(found.mask(f.name), result.mask(f)) for f in result.findings)
    uids = [images[0].uid for images in result.series.references]
    numbers = list(delivery.objects[0].numbers.values())
    read = highdicom.seg.segread(path).get_pixels_by_source_instance(
        uids, segment_numbers=numbers, assert_missing_frames_are_empty=True
    )
    for n, finding in enumerate(result.findings):
        assert np.array_equal(read[..., n].transpose(2, 1, 0) > 0.5, result.mask(finding)), finding.name
    if kind != "LABELMAP":  # which dciodvfy of 2022 does not know; nor does it skip about in a packed stream
        plain = pydicom.dcmread(path)
        if compress == "deflate":
            plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plain.save_as(tmp_path / "plain.dcm", enforce_file_format=True)
        assert dicom_errors(tmp_path / "plain.dcm") == []


def test_compressed_files_are_smaller(tmp_path):
    stack = Stack(columns=64, rows=64, count=20)
    folder = write_images(tmp_path / "series", stack)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[10:50, 10:50] = 1
    result = result_of(folder, stack, values)
    sizes = {}
    for kind in ("LABELMAP", "FRACTIONAL"):
        for compress in ("none", "deflate", "rle"):
            write_seg(result, tmp_path / "seg.dcm", kind, compress=compress)
            sizes[compress] = (tmp_path / "seg.dcm").stat().st_size
        assert max(sizes["deflate"], sizes["rle"]) < 0.5 * sizes["none"], kind


def test_bits_have_no_run_lengths(folder, tmp_path):
    result = result_of(folder, STACK, blobs(STACK.geometry, 6))
    with pytest.raises(DataError, match=r"(?s)a bit per pixel \(PS3.5 G.2\).*--compress deflate"):
        write_seg(result, tmp_path / "seg.dcm", compress="rle")

"""SEG and RTSTRUCT of many makers are read, and what cannot be read says why."""

import numpy as np
import pydicom
import pytest
from clinic_stacks import Stack, blobs, result_of, rewritten, write_images

from delineate.clinic import open_series, read_rtstruct, read_seg, write_rtstruct, write_seg
from delineate.clinic.seg_reader import unpacked
from delineate.errors import DataError, GeometryError


@pytest.fixture
def drawn(tmp_path):
    """A result with its SEG and RTSTRUCT."""
    stack = Stack(columns=12, rows=10, count=6)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[2:9, 2:8, 1:5], values[4:6, 4:6, 2:4] = 1, 2
    result = result_of(write_images(tmp_path / "series", stack), stack, values, ("liver", "spleen"))
    write_seg(result, tmp_path / "seg.dcm")
    write_seg(result, tmp_path / "map.dcm", "LABELMAP")
    write_rtstruct(result, tmp_path / "rt.dcm")
    return result, tmp_path


# --- real files


def test_the_liver_of_dcmqi_lies_on_its_three_slices(shared_data):
    folder = shared_data / "dicom_dcmqi" / "segmentations"
    found = read_seg(folder / "liver.dcm", open_series(folder / "ct-3slice"))
    assert [s.name for s in found.structures] == ["Liver"]
    assert [patch.k for patch in found.structures[0].patches] == [0, 1, 2]
    assert repr(found.structures[0]) == f"Structure(1, 'Liver', {found.structures[0].voxels} voxels)"


def test_overlapping_segments_of_dcmqi_are_kept_as_regions(shared_data):
    folder = shared_data / "dicom_dcmqi" / "segmentations"
    found = read_seg(folder / "partial_overlaps.dcm", open_series(folder / "ct-3slice"))
    labels = found.labels(overlap="regions")
    for structure in found.structures:
        assert np.array_equal(labels.mask(structure.name), found.mask(structure.name))
    assert len(labels.schema.labels) > len(found.structures)
    with pytest.raises(DataError, match=r"structures overlap.*ORANGE and GREEN share 2989 voxels") as error:
        found.labels()
    assert "--overlap smaller" in str(error.value)
    smaller = found.labels(overlap="smaller")
    assert any("given to the smaller" in note for note in smaller.notes)


@pytest.mark.parametrize("name", ["23x38x3", "24x38x3"])
def test_the_same_segment_in_nrrd_has_the_same_voxels(shared_data, name):
    """Bits run on from frame to frame: 23 x 38 is no multiple of 8."""
    from delineate.io import read_label_values

    folder = shared_data / "dicom_dcmqi" / "segmentations" / name
    (file,) = (folder / "nrrd").glob("*.nrrd")
    series = open_series(folder / "image")
    found = read_seg(next((folder / "seg").iterdir()), series)
    assert found.structures[0].voxels == int((read_label_values(file).array > 0).sum())


def test_every_encoding_of_a_segment_has_its_voxels(shared_data):
    """Little and big endian, run lengths of single bits, frames that end within a byte, JPEG 2000."""
    folder = shared_data / "dicom_pydicom"
    plain = read_seg(folder / "liver.dcm").labels().array
    assert plain.sum() == 107098
    for name in ("liver_expb", "liver_rle"):
        assert np.array_equal(read_seg(folder / f"{name}.dcm").labels().array, plain), name
    cut = read_seg(folder / "liver_nonbyte_aligned.dcm").labels().array
    assert cut.shape == (510, 510, 3)
    assert cut.sum() == 107098
    packed = read_seg(folder / "liver_nonbyte_aligned_j2k.dcm").labels().array
    assert np.array_equal(packed, cut)


def test_run_lengths_of_bytes_are_unpacked():
    runs = bytes([2, 7, 8, 9, 128, 254, 5, 0, 1])
    assert list(unpacked(runs, 7)) == [7, 8, 9, 5, 5, 5, 1]
    assert list(unpacked(runs, 5)) == [7, 8, 9, 5, 5]


@pytest.mark.parametrize("name", ["noppv", "ppv5"])
def test_label_maps_with_any_padding_value_have_their_segments(shared_data, name):
    path = shared_data / "dicom_dcmqi" / "segmentations" / f"sparse-labelmap-{name}.dcm"
    content = pydicom.dcmread(path)
    found = read_seg(path)
    assert [s.name for s in found.structures] == ["Liver"]
    assert found.structures[0].voxels == int((content.pixel_array == 1).sum())


def test_every_kind_of_highdicom_is_read_and_slides_are_refused(shared_data):
    folder = shared_data / "dicom_highdicom"
    binary = read_seg(folder / "seg_image_ct_binary.dcm")
    content = pydicom.dcmread(folder / "seg_image_ct_binary.dcm")
    assert binary.structures[0].voxels == int(content.pixel_array.sum())
    fractional = read_seg(folder / "seg_image_ct_true_fractional.dcm")
    shares = pydicom.dcmread(folder / "seg_image_ct_true_fractional.dcm")
    most = shares.MaximumFractionalValue
    assert fractional.structures[0].voxels == int((shares.pixel_array >= most / 2).sum())
    assert any("a fractional segmentation" in note for note in fractional.notes)
    assert len(read_seg(folder / "seg_image_ct_binary_overlap.dcm").structures) == 2
    with pytest.raises(DataError, match="tiles of a whole slide"):
        read_seg(folder / "seg_image_sm_control_labelmap.dcm")
    with pytest.raises(DataError, match="does not say where in the patient"):
        read_seg(folder / "seg_image_cr_binary.dcm")


def test_the_breast_segment_lies_on_a_series_of_three_time_points(shared_data):
    folder = shared_data / "dicom_mr_seg_breast" / "UCSF-BR-06"
    found = read_seg(folder / "mask" / "1-1.dcm", open_series(folder / "image_dce_3dfgre_orig"))
    assert found.structures[0].name == "Breast"
    assert len(found.structures[0].patches) == 42


def test_the_volumes_of_the_matrad_phantom_are_read(shared_data):
    folder = shared_data / "dicom_rt_matrad"
    found = read_rtstruct(folder / "RTstruct.dcm", open_series(folder))
    assert [len(s.patches) for s in found.structures] == [39, 61, 61]
    assert found.labels(overlap="smaller").volume_ml("Volume1") > 0
    regions = found.labels(overlap="regions")
    for structure in found.structures:
        assert np.array_equal(regions.mask(structure.name), found.mask(structure.name))


def test_contours_on_no_slice_are_left_out_and_counted(shared_data):
    folder = shared_data / "dicom_rtutils" / "mock_data"
    found = read_rtstruct(folder / "invalid_reference_rt.dcm", open_series(folder))
    assert any("contours on no slice of the series" in note for note in found.notes)


# --- what may be in a file


def test_codes_colours_identity_and_maker_come_back(drawn):
    result, folder = drawn
    for found in (
        read_seg(folder / "seg.dcm", result.series),
        read_rtstruct(folder / "rt.dcm", result.series),
    ):
        for structure, finding in zip(found.structures, result.findings, strict=True):
            assert structure.kind == finding.concept.kind
            assert structure.color == finding.concept.color
            assert structure.tracking_uid == finding.tracking_uid
            assert structure.maker == "AUTOMATIC"
        assert found.labels().schema.labels[0].code == "SCT:10200004"
    assert read_rtstruct(folder / "rt.dcm", result.series).structures[0].role == "ORGAN"


def test_a_file_of_another_kind_is_refused(drawn):
    result, folder = drawn
    with pytest.raises(DataError, match="is no segmentation"):
        read_seg(folder / "rt.dcm", result.series)
    with pytest.raises(DataError, match="is no structure set"):
        read_rtstruct(folder / "seg.dcm", result.series)


def test_another_frame_of_reference_is_refused(drawn, tmp_path):
    _, folder = drawn
    other = open_series(write_images(tmp_path / "other", Stack(), FrameOfReferenceUID="9.9"))
    with pytest.raises(DataError, match="another frame of reference"):
        read_seg(folder / "seg.dcm", other)
    with pytest.raises(DataError, match="another frame of reference"):
        read_rtstruct(folder / "rt.dcm", other)


def test_segments_on_another_grid_are_put_on_the_slices_and_it_is_said(drawn, tmp_path):
    result, folder = drawn
    finer = Stack(columns=24, rows=20, count=6, spacing=(0.5, 0.5), origin=(-0.25, -0.25, 0.0))
    series = open_series(write_images(tmp_path / "finer", finer))
    found = read_seg(folder / "seg.dcm", series)
    assert any("on another grid" in note for note in found.notes)
    expected = np.repeat(np.repeat(result.mask(result.findings[1]), 2, 0), 2, 1)
    assert np.array_equal(found.mask("spleen"), expected)


def test_frames_that_are_not_described_are_refused(drawn):
    _, folder = drawn

    def cut(content):
        del content.PerFrameFunctionalGroupsSequence[-1]

    with pytest.raises(DataError, match="says 6 frames but describes 5"):
        read_seg(rewritten(folder / "seg.dcm", cut))


def test_names_that_repeat_are_told_apart(drawn):
    result, folder = drawn

    def same(content):
        for item in content.StructureSetROISequence:
            item.ROIName = "GTV"

    found = read_rtstruct(rewritten(folder / "rt.dcm", same), result.series)
    assert [s.name for s in found.structures] == ["GTV", "GTV (2)"]
    with pytest.raises(DataError, match="no structure 'liver'"):
        found.mask("liver")


def change_first(**changes):
    def change(content):
        contour = content.ROIContourSequence[0].ContourSequence[0]
        for name, value in changes.items():
            setattr(contour, name, value)

    return change


def lifted(far):
    def change(content):
        contour = content.ROIContourSequence[0].ContourSequence[0]
        contour.ContourData = [
            float(x) + (far if n % 3 == 2 else 0) for n, x in enumerate(contour.ContourData)
        ]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_first(ContourGeometricType="OPEN_PLANAR"), "1 contours that are open"),
        (change_first(ContourData=[0, 0, 2, 1, 1, 2], NumberOfContourPoints=2), "fewer than three points"),
        (change_first(ContourData=[1, 1, 2, 5, 1, 2, 5, 5, 3.5]), "do not lie in a plane parallel"),
        (lifted(0.5), "1 contours between two slices: taken for the nearer one"),
        (lifted(-100.0), "1 contours on no slice of the series"),
        (lifted(1.5), "slices with contours on several planes"),
    ],
)
def test_doubtful_contours_are_counted(drawn, change, told):
    result, folder = drawn
    found = read_rtstruct(rewritten(folder / "rt.dcm", change), result.series)
    assert any(told in note for note in found.notes), found.notes


def test_slices_left_out_between_contours_are_not_invented(drawn):
    result, folder = drawn

    def hole(content):
        del content.ROIContourSequence[0].ContourSequence[1]

    found = read_rtstruct(rewritten(folder / "rt.dcm", hole), result.series)
    assert any("1 slices without a contour between slices with one" in note for note in found.notes)
    assert not found.mask("liver")[:, :, 2].any()


def test_a_structure_set_without_structures_is_refused(drawn):
    result, folder = drawn

    def nothing(content):
        content.StructureSetROISequence = []

    with pytest.raises(DataError, match="holds no structures"):
        read_rtstruct(rewritten(folder / "rt.dcm", nothing), result.series)


def test_uneven_slices_have_no_label_map_and_say_so(tmp_path):
    stack = Stack(count=5)
    folder = write_images(tmp_path / "series", stack)

    def nearer(content):
        content.ImagePositionPatient[2] = 2.7

    rewritten(folder / "998.dcm", nearer)
    result = result_of(folder, stack, blobs(stack.geometry, 1))
    write_seg(result, tmp_path / "seg.dcm")
    found = read_seg(tmp_path / "seg.dcm", result.series)
    assert all(np.array_equal(found.mask(f.name), result.mask(f)) for f in result.findings)
    with pytest.raises(GeometryError, match="no even grid has these slices"):
        found.labels()


def test_compressed_segments_are_read(drawn):
    result, folder = drawn
    content = pydicom.dcmread(folder / "map.dcm")
    content.compress(pydicom.uid.RLELossless)
    content.save_as(folder / "rle.dcm")
    found = read_seg(folder / "rle.dcm", result.series)
    assert all(np.array_equal(found.mask(f.name), result.mask(f)) for f in result.findings)


def test_one_image_without_frames_of_labels_is_still_an_image(drawn, tmp_path):
    _, folder = drawn
    stack = Stack()
    result = result_of(write_images(tmp_path / "b", stack), stack, np.zeros(stack.geometry.shape, np.uint8))
    for kind in ("BINARY", "LABELMAP", "FRACTIONAL"):
        write_seg(result, folder / "empty.dcm", kind)
        assert pydicom.dcmread(folder / "empty.dcm").NumberOfFrames == 1
        assert all(s.voxels == 0 for s in read_seg(folder / "empty.dcm", result.series).structures)

"""Others agree: highdicom and dcmqi read our SEG, dciodvfy finds no error, plastimatch fills our contours."""

import json
import subprocess

import numpy as np
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, dicom_errors, result_of, tool, write_images

from delineate.clinic import (
    make_result,
    measure,
    open_series,
    read_rtstruct,
    read_seg,
    write_rtstruct,
    write_seg,
    write_sr,
)
from delineate.clinic.color import to_cielab
from delineate.io import read_label_values, read_volume
from delineate.space import Geometry, LabelMap, LabelSchema

REAL = (  # series of the shared data that have all UIDs
    "sts_sarcoma_dicom/STS_001/CT/image",
    "sts_sarcoma_dicom/STS_001/PET/image",
    "sts_sarcoma_dicom/STS_001/MR_T1/image",
    "dicom_dcmqi/segmentations/ct-3slice",
    "dicom_dcmqi/segmentations/23x38x3/image",
    "dicom_dcmqi/segmentations/24x38x3/multiframe",
    "dicom_rt_matrad",
    "dicom_rtutils/mock_data",
    "dicom_mr_seg_breast/UCSF-BR-06/image_dce_3dfgre_orig",
    "dicom_mr_hippocrop/Study1/13_HCropVolume",
    "dicom_ct_tilt",
)
NOT_FOR_PLASTIMATCH = ("multiframe", "image_dce_3dfgre_orig", "dicom_ct_tilt")  # frames, phases, tilt
STRUCTURES = ("liver", "kidney_left", "liver tumour", "spleen")


def nested_balls(grid: Geometry) -> np.ndarray:
    """A shell with a hole, a ball within the hole, a block at the corner; 4 is never there."""
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in grid.shape]
    far = np.sqrt(sum(line**2 for line in np.meshgrid(*lines, indexing="ij")))
    values = np.zeros(grid.shape, np.uint8)
    values[far < 0.8], values[far < 0.5], values[far < 0.3] = 1, 0, 2
    values[:2, :3, :2] = 3
    return values


def real_result(folder):
    series = open_series(folder)
    grid = series.geometry
    if grid is None:  # uneven slices: labels on an even grid over the same tissue
        affine = series.slice_geometry(0).affine.copy()
        affine[:3, 2] *= 3.0 / np.linalg.norm(affine[:3, 2])
        grid = Geometry((*series.shape, int(np.ptp(series.along) / 3)), affine)
    labels = LabelMap(nested_balls(grid), grid, LabelSchema.of(*STRUCTURES))
    return make_result(labels, series, MAKER, when=WHEN)


@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_finds_no_error_on_objects_for_real_series(shared_data, tmp_path, name):
    tool("dciodvfy")
    result = real_result(shared_data / name)
    seg = write_seg(result, tmp_path / "binary.dcm")
    write_seg(result, tmp_path / "fractional.dcm", "FRACTIONAL")
    write_rtstruct(result, tmp_path / "rt.dcm")
    write_sr(result, tmp_path / "sr.dcm", seg, measure(result))
    for path in sorted(tmp_path.glob("*.dcm")):
        assert dicom_errors(path) == []
    write_seg(result, tmp_path / "map.dcm", "LABELMAP")
    told = dicom_errors(tmp_path / "map.dcm")  # dciodvfy of 2022 does not know label maps (Supplement 243)
    assert all("Information Object Not found" in line or "monotonically" in line for line in told)
    for kind in ("binary", "fractional", "map"):
        found = read_seg(tmp_path / f"{kind}.dcm", result.series)
        assert all((found.mask(f.name) == result.mask(f)).all() for f in result.findings)


def by_highdicom(path, result):
    """(i, j, k) values of each structure as highdicom reads them, on the slices of the series."""
    highdicom = pytest.importorskip("highdicom")
    seg = highdicom.seg.segread(path)
    images = [slice_[0] for slice_ in result.series.references]
    numbers = [n for n in seg.segment_numbers if n != 0]
    how = {"segment_numbers": numbers, "assert_missing_frames_are_empty": True}
    if images[0].frame is None:
        read = seg.get_pixels_by_source_instance([image.uid for image in images], **how)
    else:
        read = seg.get_pixels_by_source_frame(images[0].uid, [image.frame for image in images], **how)
    return dict(zip(numbers, np.moveaxis(read, -1, 0).transpose(0, 3, 2, 1), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
def test_highdicom_reads_our_segmentations_of_real_series(shared_data, tmp_path, name):
    result = real_result(shared_data / name)
    for kind in ("BINARY", "LABELMAP", "FRACTIONAL"):
        made = write_seg(result, tmp_path / f"{kind}.dcm", kind)
        read = by_highdicom(tmp_path / f"{kind}.dcm", result)
        for finding in result.findings:
            assert np.array_equal(read[made.numbers[finding.name]] > 0.5, result.mask(finding))


def by_dcmqi(path, out):
    """Each segment as dcmqi reads it, by number."""
    out.mkdir()
    program = tool("segimage2itkimage")
    command = [program, "--inputDICOM", path, "--outputDirectory", out, "--outputType", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for file in sorted(out.glob("*.nrrd")):
        values = read_label_values(file)
        for number in set(np.unique(values.array).tolist()) - {0}:
            array = (values.array == number).astype(np.uint8)
            found[number] = LabelMap(array, values.geometry, LabelSchema.of("in"))
    assert json.loads((out / "meta.json").read_text())["segmentAttributes"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("name", [name for name in REAL if name != "dicom_ct_tilt"])
def test_dcmqi_reads_our_segmentations_of_real_series(shared_data, tmp_path, name, kind, record_property):
    """Measured with dcmqi 1.5.7: 2652068 voxels of 10 series, none wrong. It evens the tilted series."""
    tool("segimage2itkimage")
    result = real_result(shared_data / name)
    made = write_seg(result, tmp_path / "seg.dcm", kind)
    found = by_dcmqi(tmp_path / "seg.dcm", tmp_path / "out")
    for finding in result.findings:
        wanted = result.mask(finding)
        number = made.numbers[finding.name]
        if not wanted.any():
            assert number not in found
            continue
        theirs = found[number].resampled(result.series.geometry, order=0).array > 0
        record_property(finding.name, int(theirs.sum()))
        assert np.array_equal(theirs, wanted), finding.name


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize(
    "stack",
    [
        Stack(columns=12, rows=9, count=6, spacing=(0.5, 0.8)),
        Stack(columns=5, rows=8, count=5, turn=(0, 1.0, 0, 0, 0, -1.0, -1.0, 0, 0)),
        Stack(columns=7, rows=7, count=6, lean=(0.0, 0.3), missing=(2,)),
    ],
    ids=["axial", "sagittal", "tilted with a gap"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
def test_highdicom_reads_our_segmentation_voxel_by_voxel(tmp_path, kind, stack):
    folder = write_images(tmp_path / "series", stack)
    result = result_of(folder, stack, blobs(stack.geometry, 5))
    made = write_seg(result, tmp_path / "seg.dcm", kind)
    read = by_highdicom(tmp_path / "seg.dcm", result)
    for finding in result.findings:
        number = made.numbers[finding.name]
        assert np.array_equal(read[number] > 0.5, result.mask(finding)), finding.name


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom", "ignore::UserWarning:highdicom")
def test_we_read_what_highdicom_writes(tmp_path):
    highdicom = pytest.importorskip("highdicom")
    import pydicom
    from pydicom.sr.codedict import codes

    stack = Stack(columns=12, rows=9, count=6, spacing=(0.5, 0.8), lean=(0.1, 0.2))
    folder = write_images(tmp_path / "series", stack)
    result = result_of(folder, stack, blobs(stack.geometry, 6))
    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    images.sort(key=lambda item: np.dot(item.ImagePositionPatient, result.series.normal))
    for item in images:
        item.AccessionNumber, item.StudyTime, item.StudyID = "", "", ""
        item.PatientBirthDate, item.ReferringPhysicianName = "", ""
    about = [
        highdicom.seg.SegmentDescription(
            n, finding.name, codes.SCT.AnatomicalStructure, codes.SCT.Liver, "MANUAL"
        )
        for n, finding in enumerate(result.findings, 1)
    ]
    for kind in ("BINARY", "LABELMAP"):
        seg = highdicom.seg.Segmentation(
            images, result.array.transpose(2, 1, 0), kind, about, "2.25.1", 1, "2.25.2", 1, "x", "y", "1", "2"
        )
        seg.save_as(tmp_path / f"{kind}.dcm")
        found = read_seg(tmp_path / f"{kind}.dcm", result.series)
        assert [s.name for s in found.structures] == [f.name for f in result.findings]
        assert all((found.mask(f.name) == result.mask(f)).all() for f in result.findings)


def test_colours_are_those_of_highdicom():
    highdicom = pytest.importorskip("highdicom")
    for color in ((255, 0, 0), (230, 149, 173), (12, 200, 90), (0, 0, 0), (255, 255, 255)):
        theirs = highdicom.color.CIELabColor.from_rgb(*color).value
        assert np.abs(np.subtract(to_cielab(color), theirs)).max() < 5 * 257  # theirs goes through 8 bits


def by_plastimatch(rtstruct, images, out):
    """The structures as plastimatch fills them: name -> (values, geometry)."""
    program = tool("plastimatch")
    command = [program, "convert", "--input", rtstruct, "--referenced-ct", images, "--output-prefix", out]
    subprocess.run([*command, "--prefix-format", "nrrd"], check=True, capture_output=True)
    return {path.stem: read_label_values(path) for path in out.glob("*.nrrd")}


def test_plastimatch_fills_our_contours_to_the_same_voxels(tmp_path, record_property):
    """Keyholes: plastimatch 1.9 does not know the type CLOSEDPLANAR_XOR."""
    tool("plastimatch")
    stack = Stack(columns=40, rows=36, count=8, spacing=(0.8, 1.1), gap=2.5)
    folder = write_images(tmp_path / "series", stack)
    values = nested_balls(stack.geometry)
    values[10:30, 4:9, :][np.random.default_rng(0).random((20, 5, 8)) > 0.6] = 2  # islands and pin holes
    result = result_of(folder, stack, values)
    write_rtstruct(result, tmp_path / "rt.dcm")
    found = by_plastimatch(tmp_path / "rt.dcm", folder, tmp_path / "filled")
    for finding in result.findings[:3]:
        name = finding.name.replace(" ", "_")
        theirs = next(file for stem, file in found.items() if stem.replace(" ", "_") == name)
        on_ours = LabelMap(theirs.array, theirs.geometry, LabelSchema.of("in")).resampled(
            stack.geometry, order=0
        )
        record_property(finding.name, int(result.mask(finding).sum()))
        assert np.array_equal(on_ours.array > 0, result.mask(finding)), finding.name


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REAL if name.split("/")[-1] not in NOT_FOR_PLASTIMATCH])
def test_plastimatch_fills_our_contours_on_real_series(shared_data, tmp_path, name, record_property):
    """Measured with plastimatch 1.9.3: 1820156 voxels of 8 series, none of them wrong."""
    tool("plastimatch")
    result = real_result(shared_data / name)
    write_rtstruct(result, tmp_path / "rt.dcm")
    found = by_plastimatch(tmp_path / "rt.dcm", shared_data / name, tmp_path / "filled")
    by_name = {stem.replace(" ", "_"): file for stem, file in found.items()}
    for finding in result.findings:
        if not (wanted := result.mask(finding)).any():
            continue
        file = by_name[finding.name.replace(" ", "_")]
        theirs = LabelMap(file.array, file.geometry, LabelSchema.of("in"))
        theirs = theirs.resampled(result.series.geometry, order=0).array > 0
        record_property(finding.name, int(theirs.sum()))
        assert np.array_equal(theirs, wanted), finding.name


def test_the_contours_of_the_sarcoma_patient_agree_with_plastimatch(shared_data, tmp_path, record_property):
    """Measured: 117145 voxels (CT), 117145 (MR), 5095 (PET) in both, Dice 1.0000."""
    tool("plastimatch")
    case = shared_data / "sts_sarcoma_dicom" / "STS_001"
    for modality, least in (("CT", 0.999), ("MR_T1", 0.999), ("PET", 0.999)):
        series = open_series(case / modality / "image")
        found = read_rtstruct(case / modality / "mask" / "RS.dcm", series)
        ours = found.mask(found.structures[0].name)
        filled = by_plastimatch(
            case / modality / "mask" / "RS.dcm", case / modality / "image", tmp_path / modality
        )
        file = next(iter(filled.values()))
        theirs = LabelMap((file.array > 0).astype(np.uint8), file.geometry, LabelSchema.of("in"))
        theirs = theirs.resampled(series.geometry, order=0).array > 0
        dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
        assert dice > least, (modality, dice)
        record_property(modality, (int(ours.sum()), int(theirs.sum()), round(float(dice), 4)))
        volume = read_volume(case / modality / "image")
        assert volume.geometry.same_place(found.labels().geometry, tolerance_mm=0.01)

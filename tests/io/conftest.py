"""DICOM series and grids made for the tests of io."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from delineate.space import Geometry

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def decimals(values):
    """Numbers as DICOM decimal strings: at most 16 characters."""
    return [f"{value:.12g}"[:16] for value in np.ravel(values)]


def plain(pixels, **tags) -> Dataset:
    """An image without geometry; `pixels` (row, column), (frame, row, column) or (row, column, 3)."""
    pixels = np.asarray(pixels)
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID = CT
    item.SOPInstanceUID = pydicom.uid.generate_uid()
    item.SeriesInstanceUID = "1.2.3"
    item.PatientName = "Secret^Name"
    item.PatientID = "SECRET-ID"
    item.Modality = "CT"
    item.Rows, item.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    item.SamplesPerPixel = 3 if colour else 1
    if colour:
        item.PlanarConfiguration = 0
    item.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    item.BitsAllocated = item.BitsStored = 8 * pixels.dtype.itemsize
    item.HighBit = item.BitsAllocated - 1
    item.PixelRepresentation = int(pixels.dtype.kind == "i")
    item.PixelData = pixels.tobytes()
    item["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    if pixels.ndim == 3 and not colour:
        item.NumberOfFrames = len(pixels)
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def slice_at(pixels, position, axes=AXIAL, spacing=(1.0, 1.0), **tags) -> Dataset:
    """A classic slice; `spacing` is DICOM's: between rows, between columns."""
    item = plain(pixels)
    item.ImagePositionPatient = decimals(position)
    item.ImageOrientationPatient = decimals(axes)
    item.PixelSpacing = decimals(spacing)
    item.SliceThickness = "2.5"
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def enhanced(pixels, positions, axes=AXIAL, spacing=(1.0, 1.0), marks=None, **tags) -> Dataset:
    """An enhanced multi-frame object: geometry in functional groups."""
    item = plain(pixels, SOPClassUID=ENHANCED_CT)
    direction, measures, value = Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient = decimals(axes)
    measures.PixelSpacing = decimals(spacing)
    measures.SliceThickness = "2.5"
    value.RescaleSlope, value.RescaleIntercept = "2", "-1000"
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([direction])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([value])
    item.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number, position in enumerate(positions):
        place, content, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = decimals(position)
        if marks is not None:
            content.TemporalPositionIndex = marks[number]
        frame.PlanePositionSequence = Sequence([place])
        frame.FrameContentSequence = Sequence([content])
        frames.append(frame)
    item.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def save(item: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    item.file_meta.MediaStorageSOPClassUID = item.get("SOPClassUID") or CT
    item.file_meta.MediaStorageSOPInstanceUID = item.get("SOPInstanceUID") or "1.2.3.4"
    item.save_as(path, enforce_file_format=True)
    return path


def save_series(folder: Path, array, geometry: Geometry, shuffle=None, **tags) -> Path:
    """A volume (i, j, k) as a classic series: one file per k, each placed by itself, names in any order."""
    lps = LPS @ geometry.affine
    spacing = np.array(geometry.spacing)
    axes = (lps[:3, :2] / spacing[:2]).T
    names = np.arange(array.shape[2])
    if shuffle is not None:
        shuffle.shuffle(names)
    for k, name in enumerate(names):
        position = lps[:3, 3] + k * lps[:3, 2]
        item = slice_at(array[:, :, k].T.copy(), position, axes, (spacing[1], spacing[0]), **tags)
        save(item, folder / f"{name:03d}.dcm")
    return folder


@st.composite
def geometries(draw, shape=None):
    """Oblique grids without shear, in any orientation."""
    numbers = draw(st.lists(st.floats(-1, 1), min_size=9, max_size=9))
    q, _ = np.linalg.qr(np.array(numbers).reshape(3, 3) + np.eye(3) * 3)
    order, signs = draw(st.permutations(range(3))), draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    affine = np.eye(4)
    spacing = [draw(st.floats(0.2, 8.0)) for _ in range(3)]
    affine[:3, :3] = (q[:, order] * signs) * spacing
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return Geometry(shape or tuple(draw(st.integers(1, 6)) for _ in range(3)), affine)


class Dicom:
    """The functions above, as a fixture can hand them out."""

    plain, slice_at, enhanced = staticmethod(plain), staticmethod(slice_at), staticmethod(enhanced)
    save, save_series = staticmethod(save), staticmethod(save_series)


@pytest.fixture(scope="session")
def dicom() -> Dicom:
    return Dicom()


@pytest.fixture(scope="session")
def grids():
    """A strategy of grids: `grids()` or `grids(shape)`."""
    return geometries


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A new folder at each call: for laws, which run many times within one test."""
    return lambda: tmp_path_factory.mktemp("fresh")

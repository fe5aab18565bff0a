"""Channels of one examination lie on the slices of the first, only when asked, and nothing moves."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from delineate.dataset import Case
from delineate.dataset import Dataset as Cases
from delineate.errors import DataError
from delineate.io import Manner
from delineate.space import LabelSchema

OPEN = Manner(straighten=True)


def write_series(folder, along, *, size=(12, 14), pixel=1.0, lean=0.0, frame="1.2.3.4", start=0.0):
    """Slices whose values are 2 x + 3 y + 5 z of the patient (LPS mm): they tell where tissue is."""
    folder.mkdir(parents=True)
    i, j = np.meshgrid(*(np.arange(n) * pixel for n in size), indexing="ij")
    series = generate_uid()
    for n, z in enumerate(along):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID, item.SeriesInstanceUID = MRImageStorage, generate_uid(), series
        item.Modality, item.FrameOfReferenceUID = "MR", frame
        item.ImagePositionPatient = [start, start + lean * z, z]
        item.ImageOrientationPatient, item.PixelSpacing = [1, 0, 0, 0, 1, 0], [pixel, pixel]
        item.Columns, item.Rows = size
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
        plane = 100 * (2 * (i + start) + 3 * (j + start + lean * z) + 5 * z)
        item.PixelData = np.rint(plane).astype(np.uint16).T.tobytes()
        item.save_as(folder / f"{n:02d}.dcm", enforce_file_format=True)
    return folder


def scanned(*folders, manner=OPEN):
    case = Case(id="eva", images=folders)
    names = tuple(folder.name for folder in folders)
    cases = Cases("d", folders[0], "incoming", names, LabelSchema.of("lesion"), (), (case,))
    return cases.scan(case, manner)


def told(volume, channel):
    """What the values of a channel should be, by where its voxels are; and what they are."""
    shape = volume.geometry.shape
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, z = (volume.geometry.to_world(index.astype(float)) * (-1, -1, 1)).T
    return (100 * (2 * x + 3 * y + 5 * z)).reshape(shape), volume.array[channel]


def inner(values, edge=1):
    return values[edge:-edge, edge:-edge, edge:-edge]


def test_a_finer_channel_lies_on_the_slices_of_the_first_and_nothing_moves(tmp_path):
    one = write_series(tmp_path / "T1", np.arange(0, 16, 2.0))
    two = write_series(tmp_path / "T2", np.arange(0, 15, 1.0), size=(24, 28), pixel=0.5)
    with pytest.raises(DataError, match="channels are on different grids"):
        scanned(one, two, manner=Manner())
    volume = scanned(one, two)
    assert volume.array.shape == (2, 12, 14, 8)
    for channel in (0, 1):
        wanted, got = told(volume, channel)
        assert np.abs(inner(got - wanted)).max() < 1.0  # of values up to 14000
    assert any(note.startswith("T2: put onto the slices of T1") for note in volume.source.notes)


def test_leaning_and_uneven_channels_come_together(tmp_path):
    one = write_series(tmp_path / "T1", np.arange(0, 16, 2.0), lean=0.2)
    two = write_series(tmp_path / "T2", np.array([0, 2, 4, 7, 8, 10, 14.0]), size=(20, 24))
    volume = scanned(one, two)
    notes = " | ".join(volume.source.notes)
    assert notes.count("straightened, as asked") == 2
    assert "T2: put onto the slices of T1" in notes
    inside = volume.array[0] > 0  # where the leaning slices show something
    wanted, got = told(volume, 1)
    both = inside & (volume.array[1] > volume.array[1].min())
    assert both.mean() > 0.5
    assert np.abs(got - wanted)[both].max() < 30  # a seventh of a voxel: pixels end in whole steps
    wanted, got = told(volume, 0)
    assert np.abs(got - wanted)[2:-2, 4:-4, 1:-1].max() < 30


def test_channels_on_one_grid_are_left_alone(tmp_path):
    folders = [write_series(tmp_path / name, np.arange(0, 10, 2.0)) for name in ("T1", "T2")]
    asked, plain = scanned(*folders), scanned(*folders, manner=Manner())
    assert np.array_equal(asked.array, plain.array)
    assert asked.source.notes == plain.source.notes


def test_how_much_of_the_first_is_covered_is_said(tmp_path):
    one = write_series(tmp_path / "T1", np.arange(0, 20, 1.0))
    two = write_series(tmp_path / "T2", np.arange(0, 10, 1.0))
    assert any("of which it covers 50%" in note for note in scanned(one, two).source.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "9.9"}, "have different frames of reference: nobody knows how they lie"),
        ({"frame": ""}, "nothing says that they share one"),
        ({"start": 500.0}, "T2 shows nothing of T1"),
    ],
)
def test_channels_that_nothing_brings_together_are_refused(tmp_path, options, message):
    one = write_series(tmp_path / "T1", np.arange(0, 8, 2.0))
    two = write_series(tmp_path / "T2", np.arange(0, 9, 1.0), **options)
    with pytest.raises(DataError, match=message):
        scanned(one, two)

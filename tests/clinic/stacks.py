"""DICOM series made for the tests of clinic, labels for them, and the tools that judge what is written."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from delineate.clinic import Maker, make_result, open_series
from delineate.space import Geometry, LabelMap, LabelSchema

CT = "1.2.840.10008.5.1.4.1.1.2"
WHEN = datetime(2026, 1, 2, 3, 4, 5)
NAMES = ("liver", "kidney_left", "liver tumour", "spleen")
MAKER = Maker("AUTOMATIC", "phantom model", "7", "ab" * 32)


@dataclass(frozen=True)
class Stack:
    """How the slices of a series lie: numbers are DICOM's, LPS+ mm."""

    columns: int = 9
    rows: int = 7
    count: int = 5
    spacing: tuple[float, float] = (1.0, 1.0)  # between columns, between rows
    gap: float = 2.0
    turn: tuple[float, ...] = (
        1.0,
        0,
        0,
        0,
        1.0,
        0,
        0,
        0,
        1.0,
    )  # rows, columns, normal as the rows of a matrix
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lean: tuple[float, float] = (0.0, 0.0)  # mm per mm, along the rows and columns of pixels
    missing: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()

    def place(self, k: int) -> np.ndarray:
        axes = np.reshape(self.turn, (3, 3))
        step = axes[2] + self.lean[0] * axes[0] + self.lean[1] * axes[1]
        return np.array(self.origin) + k * self.gap * step

    @property
    def geometry(self) -> Geometry:
        """The grid of all slices, those that are missing too (RAS+)."""
        axes = np.reshape(self.turn, (3, 3))
        affine = np.eye(4)
        step = self.place(1) - self.place(0)
        lps = np.column_stack([axes[0] * self.spacing[0], axes[1] * self.spacing[1], step])
        affine[:3, :3] = np.diag([-1, -1, 1]) @ lps
        affine[:3, 3] = np.diag([-1, -1, 1]) @ np.array(self.origin)
        return Geometry((self.columns, self.rows, self.count), affine)

    @property
    def slices(self) -> list[int]:
        return [k for k in range(self.count) if k not in self.missing]


def ds(values) -> list[str]:
    """Numbers as DICOM decimal strings: at most 16 characters."""
    return [f"{value + 0.0:.11g}"[:16] for value in np.ravel(values)]


def image(stack: Stack, k: int, **tags) -> Dataset:
    """One slice."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SpecificCharacterSet = "ISO_IR 192"
    item.SOPClassUID, item.SOPInstanceUID = CT, generate_uid()
    item.PatientName, item.PatientID, item.PatientSex = "Müller^Jürgen=山田", "P-1", "O"
    item.StudyInstanceUID, item.SeriesInstanceUID, item.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    item.StudyDate, item.Modality, item.SeriesNumber = "20260101", "CT", 3
    item.ImagePositionPatient = ds(stack.place(k))
    item.ImageOrientationPatient = ds(stack.turn[:6])
    item.PixelSpacing = ds([stack.spacing[1], stack.spacing[0]])
    item.SliceThickness = ds([stack.gap])[0]
    item.Rows, item.Columns = stack.rows, stack.columns
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated = item.BitsStored = 16
    item.HighBit, item.PixelRepresentation = 15, 0
    item.PixelData = np.full((stack.rows, stack.columns), k, np.uint16).tobytes()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def write_images(folder: Path, stack: Stack, **tags) -> Path:
    """A series as files, named against the order of its slices."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, k in enumerate([*stack.slices, *stack.repeated]):
        path = folder / f"{999 - number:03d}.dcm"
        image(stack, k, **tags).save_as(path, enforce_file_format=True)
    return folder


def blobs(grid: Geometry, seed: int, density: float = 0.5) -> np.ndarray:
    """Label values 0 to 3 in clumps with holes and islands, some at the border; 4 is never there."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random(grid.shape), 0.8, mode="wrap")
    ranks = smooth.argsort(axis=None).argsort().reshape(grid.shape) / smooth.size
    return np.digitize(ranks, [1 - density, 1 - density / 2, 1 - density / 8]).astype(np.uint8)


def result_of(folder: Path, stack: Stack, values: np.ndarray, names: tuple[str, ...] = NAMES, **options):
    """Labels on all slices of a stack as a result on those that are there."""
    labels = LabelMap(values, stack.geometry, LabelSchema.of(*names))
    return make_result(labels, open_series(folder), MAKER, when=WHEN, **options)


@st.composite
def stacks(draw) -> Stack:
    """Series in any direction: oblique, mirrored, leaning, uneven pixels, missing and repeated slices."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    kind = draw(st.sampled_from(["axial", "signs", "oblique"]))
    if kind == "axial":
        rows = np.eye(3)
    if kind == "signs":
        rows = np.eye(3)[rng.permutation(3)] * rng.choice([-1.0, 1.0], (3, 1))
    rows = np.array([float(f"{x:.9f}") for x in rows.ravel()]).reshape(3, 3)
    rows[2] = np.cross(rows[0], rows[1])
    count = draw(st.integers(1, 7))
    inner = list(range(1, count - 1))
    lean = np.tan(np.radians(draw(st.floats(0, 25))))
    angle = draw(st.floats(0, 6.28))
    return Stack(
        columns=draw(st.integers(1, 12)),
        rows=draw(st.integers(1, 12)),
        count=count,
        spacing=(draw(st.sampled_from([0.3, 0.7421875, 1.0, 4.07])), draw(st.sampled_from([0.5, 1.0, 3.1]))),
        gap=draw(st.sampled_from([0.6, 1.25, 5.0])),
        turn=tuple(rows.ravel().tolist()),
        origin=tuple(np.round(rng.uniform(-300, 300, 3), 3).tolist()),
        lean=(lean * np.cos(angle), lean * np.sin(angle)) if draw(st.booleans()) else (0.0, 0.0),
        missing=_some(draw, inner),
        repeated=(0,) if draw(st.booleans()) else (),
    )


def _some(draw, inner: list[int]) -> tuple[int, ...]:
    """One or two of the inner slices, or none; at least three are left."""
    if len(inner) < 3 or not draw(st.booleans()):
        return ()
    most = min(2, len(inner) - 2)
    return tuple(sorted(draw(st.sets(st.sampled_from(inner), min_size=1, max_size=most))))


def names() -> st.SearchStrategy[tuple[str, ...]]:
    """Four names in any alphabet, as people and programs write them."""
    letters = st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\\"
    )
    name = st.text(letters, min_size=1, max_size=20).map(lambda text: " ".join(text.split())).filter(bool)
    return st.lists(name, min_size=4, max_size=4, unique_by=lambda text: text.casefold()).map(tuple)


def tool(name: str) -> str:
    """A program that judges DICOM; skips where it is not installed."""
    path = shutil.which(name)
    if path is None:
        packages = {
            "dciodvfy": "apt-get install dicom3tools",
            "plastimatch": "apt-get install plastimatch",
            "dsrdump": "apt-get install dcmtk",
            "segimage2itkimage": "pip install dcmqi",
        }
        pytest.skip(f"{name} is not here: {packages[name]}")
    return path


def dicom_errors(path: Path) -> list[str]:
    """What dciodvfy calls an error."""
    done = subprocess.run([tool("dciodvfy"), "-new", path], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def rewritten(path: Path, change) -> Path:
    """A file with its data set changed."""
    content = pydicom.dcmread(path)
    change(content)
    content.save_as(path)
    return path

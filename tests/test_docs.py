"""Every block of the README and the docs is run, every link leads somewhere, the reference is complete.

What a page shows is what is run, in the order of the page and in a folder of its own. The exceptions are
listed here: `SMALLER` makes trainings a few steps long; `make` targets only have to exist; `WORLDS` says what
is there before a page begins (the cohorts are tiny, and so are their networks).

    ```python                      run; the blocks of a page share their names
    ```sh                          `delineate` commands are run; `# exit 1` says that they find something
    ```json title="a/labels.json"  read by the code that reads such a file, and written there for what follows
    ```csv title="a/cases.csv"     the same
    ```text title="a/"             a tree: its files are made, unless they are there
    ```text                        only shown
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset as DicomFile
from pydicom.dataset import FileMetaDataset
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import Maker, make_result, open_series, write_rtstruct
from delineate.dataset import Dataset, LabelTable, Splits, read_label_table
from delineate.dataset.table_file import read_table
from delineate.evaluation import learning_curve, read_curve, read_gate
from delineate.evaluation.follow_up import read_days
from delineate.io import read_geometry, write_labels, write_objects, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import MeasureWishes, PlanWishes, Unwatched, evaluate_folders, run
from delineate.pipeline.service import read_service
from delineate.space import Geometry, LabelMap, LabelSchema, Volume
from delineate.space.phantoms import balls, cells, head, nuclei

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"])
WITH_BLOCKS = [page for page in PAGES if "```" in page.read_text() and page.parent != DOCS / "reference"]
ENDINGS = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}

SMALLER = (  # what a page says, and what is run for it: a minute is a tenth of a step
    (r"--minutes (\d+)", lambda match: f"--steps {max(1, int(match[1]) // 10)}"),
    (r"minutes=(\d+)", lambda match: f"steps={max(1, int(match[1]) // 10)}"),
    (r"phantoms heads --cases \d+", "phantoms many_heads --cases 2"),  # `heads` is the tiny cohort
)

# --- what there is before a page begins


def write_heads(folder: Path, cases: int) -> Path:
    """Phantom heads of 8 mm voxels in the layout of BraTS."""
    affine = np.diag([8.0, 8.0, 9.0, 1.0])
    affine[:3, 3] = (-68, -84, -76)
    for number in range(cases):
        rng = np.random.default_rng(number)
        scan, labels = head(rng, grid=Geometry((18, 22, 18), affine), tumour_mm=26)
        name = f"head_{number:03d}"
        for channel, values in zip(scan.channels, scan.array, strict=True):
            file = folder / name / f"{name}_{ENDINGS[channel]}.nii.gz"
            write_volume(Volume(values[None], scan.geometry, (channel,)), file)
        write_labels(labels, folder / name / f"{name}_seg.nii.gz")
    return folder


def write_hippocampi(folder: Path) -> Path:
    """Ten tiny scans with two structures, in the layout of the Decathlon, and two without labels."""
    pairs = []
    for number in range(1, 13):
        scan, labels = balls(np.random.default_rng(number), size=16)
        name = f"hippocampus_{number:03d}.nii.gz"
        if number % 6 == 2:
            write_volume(scan, folder / "imagesTs" / name)
            continue
        write_volume(scan, folder / "imagesTr" / name)
        write_labels(labels, folder / "labelsTr" / name)
        pairs.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    tests = [f"./imagesTs/{path.name}" for path in sorted((folder / "imagesTs").iterdir())]
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    content = {"modality": {"0": "MRI"}, "labels": labels, "training": pairs, "test": tests}
    write_json(folder / "dataset.json", content)
    return folder


def write_series(folder: Path) -> Path:
    """A tiny scan as a DICOM series."""
    pixels = (100 * balls(np.random.default_rng(3), size=16)[0].array[0]).clip(0).astype(np.uint16)
    folder.mkdir(parents=True)
    for k in range(pixels.shape[2]):
        item = DicomFile()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        item.SeriesInstanceUID, item.Modality, item.PatientID = "1.2.3", "MR", "phantom"
        item.StudyInstanceUID, item.FrameOfReferenceUID = "1.2.1", "1.2.2"
        item.Rows = item.Columns = 16
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
        item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.SliceThickness = [1, 1], 1
        item.PixelData = pixels[:, :, k].T.tobytes()
        item.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)
    return folder


def write_visits(folder: Path, cases: dict[str, tuple[int, int]]) -> Path:
    """Labels of a lesion and a node, so many voxels long."""
    grid = Geometry((30, 30, 8), np.diag([1.0, 1.0, 3.0, 1.0]))
    for name, (lesion, node) in cases.items():
        array = np.zeros(grid.shape, np.uint8)
        array[2 : 2 + lesion, 3:11, 2:5] = 1
        array[3:9, 20 : 20 + node, 4] = 2
        write_labels(LabelMap(array, grid, LabelSchema.of("lesion", "node")), folder / f"{name}.nii.gz")
    return folder


def write_readers(folder: Path, cases: int) -> Path:
    """Three readers, a network, a worker who guesses, and a known answer to the first case."""
    for number in range(cases):
        grid = Geometry((14, 13, 12), np.diag([1.0, 1.0, 2.0, 1.0]))
        distance = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - 6.5, axis=-1) - 4
        for reader, wider in (("ann", 0.0), ("bob", 0.4), ("cat", 0.8), ("network", 0.5), ("eve", -3.0)):
            rng = np.random.default_rng([number, len(reader)])
            drawn = (distance + rng.normal(0, 0.4, distance.shape) < wider).astype(np.uint8)
            file = folder / reader / f"case_{number:02d}.nii.gz"
            write_labels(LabelMap(drawn, grid, LabelSchema.of("lesion")), file)
    answer = LabelMap((distance < 0.3).astype(np.uint8), grid, LabelSchema.of("lesion"))
    write_labels(answer, folder / "gold" / "case_00.nii.gz")
    return folder


@dataclass(frozen=True)
class Things:
    """What pages are given: a maker per name. Each is made once and copied."""

    folder: Path

    def copied(self, name: str, to: Path) -> None:
        made = self.folder / name
        if not made.exists():
            getattr(self, f"make_{name}")(made)
        (shutil.copytree if made.is_dir() else shutil.copy)(made, to / self.named(name))

    @staticmethod
    def named(name: str) -> str:
        files = {"scan": "scan.nii.gz", "labels": "labels.nii.gz", "people": "people.csv"}
        return files.get(name, name)

    def make_heads(self, to: Path) -> None:
        write_heads(to, 8)

    def make_Task04_Hippocampus(self, to: Path) -> None:  # noqa: N802 - the name of the download
        write_hippocampi(to)

    def make_scan(self, to: Path) -> None:
        write_volume(balls(np.random.default_rng(3), size=16)[0], to.with_name("scan.nii.gz"))
        shutil.move(to.with_name("scan.nii.gz"), to)

    def make_RESULTS(self, to: Path) -> None:  # noqa: N802 - as nnU-Net's users call it
        shutil.copytree(ROOT / "tests" / "inference" / "foreign" / "golden" / "thick", to)

    def make_BUNDLE(self, to: Path) -> None:  # noqa: N802 - as the page calls it
        shutil.copytree(ROOT / "tests" / "inference" / "foreign" / "golden" / "bundle", to)

    def make_series(self, to: Path) -> None:
        write_series(to)

    def make_labels(self, to: Path) -> None:
        """Labels for the series: LPS+ millimetres are its pixels."""
        found = balls(np.random.default_rng(3), size=16)[1].array
        grid = Geometry(found.shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
        write_labels(LabelMap(found, grid, LabelSchema.of("liver", "liver tumour")), to.with_name("l.nii.gz"))
        shutil.move(to.with_name("l.nii.gz"), to)

    def make_download(self, to: Path) -> None:
        """A series with contours, in folders that do not say that they belong together."""
        write_series(to / "images")
        found = balls(np.random.default_rng(3), size=16)[1].array
        grid = Geometry(found.shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
        labels = LabelMap(found, grid, LabelSchema.of("liver", "liver tumour"))
        series = open_series(to / "images")
        result = make_result(labels, series, Maker("MANUAL"), when=datetime(2026, 1, 2))
        write_rtstruct(result, to / "contours.dcm")

    def make_references(self, to: Path) -> None:
        write_predictions(to, 0)

    def make_predicted_old(self, to: Path) -> None:
        write_predictions(to, 5)

    def make_predicted_newer(self, to: Path) -> None:
        write_predictions(to, 4)

    def make_measured(self, to: Path) -> None:
        references = write_predictions(to.with_name("measured_references"), 0)
        predictions = write_predictions(to.with_name("measured_predictions"), 3)
        evaluate_folders(references, predictions, to, MeasureWishes(), Unwatched())

    def make_other(self, to: Path) -> None:
        self.make_measured(to)

    def make_new(self, to: Path) -> None:
        scan = Dataset.open(write_heads(to.with_name("one_head"), 1))
        for file, ending in zip(scan.cases[0].images, ENDINGS.values(), strict=True):
            to.mkdir(exist_ok=True)
            shutil.copy(file, to / f"eva_{ending}.nii.gz")

    def make_work(self, to: Path) -> None:
        run(write_heads(to.with_name("work_heads"), 8), to, PlanWishes(steps=1), Unwatched())

    def make_readers(self, to: Path) -> None:
        write_readers(to, 4)

    def make_before(self, to: Path) -> None:
        write_visits(to, {"ann": (9, 6), "bob": (10, 6)})

    def make_after(self, to: Path) -> None:
        write_visits(to, {"ann": (20, 6), "bob": (10, 5)})

    def make_reader_1(self, to: Path) -> None:
        write_visits(to, {f"scan_{n}": (n, 5) for n in range(8, 20)})

    def make_reader_2(self, to: Path) -> None:
        write_visits(to, {f"scan_{n}": (n + n % 3 - 1, 5 + n % 2) for n in range(8, 20)})

    def make_livers(self, to: Path) -> None:
        write_livers(to, lambda values, _: values)

    def make_found(self, to: Path) -> None:
        write_livers(to, lambda values, n: np.where(first_planes(values, n % 2), 0, values))

    def make_second_reader(self, to: Path) -> None:
        write_livers(to, lambda values, n: np.roll(values, n % 3 - 1, axis=2))

    def make_people(self, to: Path) -> None:
        lines = (
            f"case_{n:02d},{'north' if n % 2 else 'south'},{'fm'[n % 3 > 0]},{20 + 2 * n}" for n in range(36)
        )
        to.write_text("\n".join(["case,site,sex,age", *lines]) + "\n")

    def make_validation(self, to: Path) -> None:
        write_heads(to, 3)

    def make_probabilities(self, to: Path) -> None:
        """Of a model that is sure of everything and wrong in one voxel of eight."""
        dataset = Dataset.open(write_heads(to.with_name("validated"), 3))
        for number, case in enumerate(dataset.cases):
            labels = dataset.labels(case)
            there = labels.schema.encode(labels.array).values
            wrong = np.random.default_rng(number).random(labels.array.shape) < 0.125
            said = np.where(np.where(wrong, np.roll(there, 1, axis=0), there), 0.97, 0.01).astype(np.float32)
            volume = Volume(said, labels.geometry, labels.schema.outputs)
            write_volume(volume, to / f"{case.id}_probabilities.nii.gz")

    def make_one_channel(self, to: Path) -> None:
        run(write_hippocampi(to.with_name("one_channel_data")), to, PlanWishes(steps=1), Unwatched())

    def make_endoscopy(self, to: Path) -> None:
        """A model of RGB pictures."""
        folder = to.with_name("cells")
        rows = ["case,image,label"]
        for number in range(5):
            picture, labels = cells(np.random.default_rng(number), size=32)
            write_volume(picture, folder / f"c{number}.png")
            write_labels(labels, folder / f"c{number}_label.png")
            rows.append(f"c{number},c{number}.png,c{number}_label.png")
        write_json(folder / "labels.json", {"background": 0, "cytoplasm": 1, "nucleus": 2})
        (folder / "dataset.csv").write_text("\n".join(rows) + "\n")
        run(folder / "dataset.csv", to, PlanWishes(steps=1), Unwatched())

    def make_nuclei(self, to: Path) -> None:
        """Pictures of nuclei, and maps of their ids."""
        for number in range(5):
            scan, ids = nuclei(np.random.default_rng(number), size=40, count=8)
            write_volume(scan, to / "images" / f"n{number:02d}.png")
            write_objects(ids, scan.geometry, to / "instances" / f"n{number:02d}.png")

    def make_frames(self, to: Path) -> None:
        for number in range(4):
            write_volume(cells(np.random.default_rng(9 + number), size=32)[0], to / f"frame_{number}.png")


def write_livers(folder: Path, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Labels of 36 phantoms that are livers with a lesion, changed by somebody who draws otherwise."""
    for number in range(36):
        labels = balls(np.random.default_rng(number), size=16)[1]
        values = change(labels.array, number).astype(labels.array.dtype)
        write_labels(replace(labels, array=values), folder / f"case_{number:02d}.nii.gz")
    write_json(folder / "labels.json", {"background": 0, "liver": 1, "lesion": 2})


def first_planes(values: np.ndarray, count: int) -> np.ndarray:
    """Where the first planes of a liver are."""
    start = int(np.flatnonzero((values == 1).any(axis=(1, 2)))[0])
    where = np.zeros(values.shape, bool)
    where[: start + count] = True
    return where


def write_predictions(folder: Path, missing: int) -> Path:
    """Labels of twelve phantoms as a model would draw them that misses the ends of every ball."""
    for number in range(12):
        labels = balls(np.random.default_rng(number), size=16)[1]
        found = labels.array.copy()
        if missing:
            found[: missing + number % 2] = 0
        write_labels(replace(labels, array=found), folder / f"case_{number:02d}.nii.gz")
    return folder


WORLDS = {  # page -> what lies in its folder before it begins
    "README.md": ("heads",),
    "hippocampus-in-ten-minutes.md": ("Task04_Hippocampus",),
    "own-folds.md": ("heads",),
    "resuming-and-editing-plans.md": ("heads",),
    "sequences.md": ("heads", "new"),
    "imperfect-labels.md": ("one_channel", "Task04_Hippocampus"),
    "instances.md": ("nuclei",),
    "segment-new-scans.md": ("work", "one_channel", "scan", "series", "new"),
    "choose-hardware.md": ("heads",),
    "engines-and-compression.md": ("one_channel", "scan", "Task04_Hippocampus"),
    "nnunet-models.md": ("RESULTS", "scan"),
    "monai-bundles.md": ("BUNDLE", "scan"),
    "time-budget.md": ("heads",),
    "networks.md": ("heads",),
    "losses.md": ("heads",),
    "live.md": ("endoscopy", "frames"),
    "memory.md": ("one_channel", "scan"),
    "model-folder.md": ("work",),
    "leakage.md": ("heads",),
    "deidentify.md": ("series",),
    "deliver-to-the-hospital.md": ("series", "labels"),
    "connect-a-pacs.md": ("series",),
    "dicom-training-data.md": ("download",),
    "audit-log.md": ("series",),
    "compare-two-models.md": ("references", "predicted_old", "predicted_newer", "other"),
    "how-many-cases.md": ("measured",),
    "clinical-gate.md": ("livers", "found", "second_reader"),
    "compare-networks.md": ("heads",),
    "add-a-network.md": ("heads",),
    "domain-shift.md": ("heads",),
    "stress.md": ("work", "validation"),
    "transfer-and-pretraining.md": ("one_channel", "Task04_Hippocampus"),
    "subgroups.md": ("livers", "found", "people"),
    "calibration.md": ("work", "validation", "probabilities"),
    "several-raters.md": ("readers",),
    "follow-up.md": ("before", "after", "reader_1", "reader_2"),
}


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> Things:
    return Things(tmp_path_factory.mktemp("things"))


# --- reading pages


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str
    line: int  # of the fence, counted from 1


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    text = page.read_text()
    fences = re.finditer(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    found = [Block(m[1], m[2] or "", m[3], text[: m.start()].count("\n") + 1) for m in fences]
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(found), f"{page}: a fence that is not read"
    return found


def prose(page: Path) -> str:
    """The page without its blocks and without code in lines."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "`", text)


def smaller(text: str) -> str:
    for said, done in SMALLER:
        text = re.sub(said, done, text)
    return text


# --- running blocks


@dataclass
class Reader:
    """Somebody who follows a page, in a folder of their own."""

    page: Path
    folder: Path
    names: dict[str, object]

    def follow(self, block: Block) -> None:
        match block.language:
            case "python":
                code = compile("\n" * block.line + smaller(block.text), str(self.page), "exec")
                exec(code, self.names)
            case "sh":
                for line in block.text.splitlines():
                    self.type(line, f"{self.page.name}:{block.line}")
            case "json" | "csv" | "toml":
                self.save(block)
            case "text" | "":
                if block.title:
                    self.plant(block)
            case other:
                raise AssertionError(f"{self.page}:{block.line}: nobody knows how to follow {other!r}")

    def type(self, line: str, where: str) -> None:
        """Runs a line of a shell."""
        expected = int(found[1]) if (found := re.search(r"# exit (\d)$", line)) else 0
        words = shlex.split(smaller(line), comments=True)
        match words:
            case []:
                return
            case ["delineate", *arguments]:
                done = CliRunner().invoke(app, arguments, prog_name="delineate")
                said = f"{where}: {line}\n{done.output}\n{done.exception!r}"
                assert done.exit_code == expected, said
            case ["make", target]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), where
            case ["rm", "-r", path]:
                gone = (self.folder / path).resolve()
                assert gone.is_relative_to(self.folder.resolve())
                shutil.rmtree(gone)
            case _:
                raise AssertionError(f"{where}: nobody knows how to follow {line!r}")

    def save(self, block: Block) -> None:
        """Writes the file, and reads it as the program would."""
        file = self.folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        where = f"{self.page.name}:{block.line}"
        match file.name:
            case "labels.json":
                assert isinstance(read_label_table(file), LabelTable)
            case "splits.json":
                assert isinstance(Splits.read(file, Dataset.open(self.folder / "heads")), Splits)
            case "visits.csv":
                assert read_days(file)
            case "listen.toml":
                assert read_service(file).rules
            case "gate.csv":
                assert read_gate(file).criteria
            case "curve.csv":
                assert learning_curve(*read_curve(file)).fits
            case "dataset.csv" | "cases.csv":
                assert read_table(file).rows
            case "dataset.json" | "cohort.json" | "pointer.json" | "channels.json":
                assert json.loads(block.text)  # opened by the command that follows
            case other:
                raise AssertionError(f"{where}: nobody knows what {other} is")

    def plant(self, block: Block) -> None:
        """Makes the files of a tree: the first line is its root, two spaces go a folder down."""
        parents: list[str] = []
        later = {
            (self.folder / other.title)
            for other in blocks(self.page)
            if other.language in ("json", "csv", "toml")
        }
        for line in block.text.splitlines():
            depth, name = (len(line) - len(line.lstrip())) // 2, line.strip()
            parents[depth:] = [name]
            file = self.folder / "".join(parents)
            if name.endswith("/"):
                file.mkdir(parents=True, exist_ok=True)
            elif file not in later and not file.exists():
                draw(file)


def draw(file: Path) -> None:
    """A tiny scan or its labels, whichever the name of a file says; no two scans are alike."""
    rng = np.random.default_rng(list(file.name.encode() + file.parent.name.encode()))
    here = {*file.parent.parts[-2:], *re.split(r"[\W_]", file.name)}
    is_labels = bool(here & {"labels", "labelsTr", "seg", "lesions", "references", "predictions"})
    if file.suffix == ".png":
        grid, values = Geometry.of_image((24, 20)), [0, 128, 255]
    else:
        grid, values = Geometry((10, 9, 8), np.eye(4)), [0, 1]
    if is_labels:
        pattern = np.array(values)[np.indices(grid.shape).sum(0) % len(values)]
        names = [f"label_{value}" for value in range(1, 256)]
        write_labels(LabelMap(pattern, grid, LabelSchema.of(*names)), file)
    else:
        write_volume(Volume(rng.integers(1, 250, (1, *grid.shape), dtype=np.uint8), grid), file)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_it_says(page, things, tmp_path, monkeypatch):
    for name in WORLDS.get(page.name, ()):
        things.copied(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    reader = Reader(page, tmp_path, {"__name__": "page"})
    for block in blocks(page):
        reader.follow(block)


def test_labels_come_back_on_the_grid_of_the_scan(things, tmp_path, monkeypatch):
    """What the page of segmenting promises, looked at from outside."""
    for name in ("work", "new"):
        things.copied(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    files = [f"new/eva_{ending}.nii.gz" for ending in ENDINGS.values()]
    done = CliRunner().invoke(app, ["segment", "work/model", *files, "-o", "out.nii.gz"])
    assert done.exit_code == 0, done.output
    assert read_geometry("out.nii.gz").same_place(read_geometry(files[0]))


# --- links


@cache
def anchors(page: Path) -> set[str]:
    """What `#...` may name in a page: its headings, as mkdocs and GitHub spell them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: no such file {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: no such heading {target}"


def test_every_page_is_in_the_menu():
    menu = re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(menu) == sorted(str(PurePosixPath(page.relative_to(DOCS))) for page in DOCS.rglob("*.md"))


def test_lines_of_pages_fit_an_editor():
    wide = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, line in enumerate(re.sub(r"\]\([^)]*\)", "]", page.read_text()).splitlines(), 1)
        if len(line) > 140 and not line.startswith("|")
    ]
    assert not wide


# --- reference


def test_the_page_of_the_command_line_is_what_help_prints():
    script = DOCS / "reference" / "command_line.py"
    spec = importlib.util.spec_from_file_location("command_line", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "write it anew:  python docs/reference/command_line.py"


def test_the_plan_of_a_million_studies_is_what_its_script_computes():
    script = DOCS / "explanations" / "a_million_studies.py"
    spec = importlib.util.spec_from_file_location("a_million_studies", script)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), f"write it anew:  python {script.relative_to(ROOT)}"


def test_every_folder_has_its_reference_page():
    folders = {path.parent.name for path in (ROOT / "src" / "delineate").glob("*/__init__.py")}
    pages = {page.stem for page in (DOCS / "reference").glob("*.md")}
    assert folders - {"cli"} <= pages  # cli: command-line.md


def test_the_readme_names_every_verb():
    verbs = {command.name for command in app.registered_commands}
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    table = {verb for row in rows for verb in re.findall(r"`([\w-]+)", row)}
    assert table | {"run"} == verbs


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_fetches_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "-q",
            "-f",
            str(ROOT / "mkdocs.yml"),
            "-d",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        fetched = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?:[^"]+)"', text)
        assert not fetched, page
    space = (tmp_path / "reference" / "space.html").read_text()
    assert 'id="delineate.space.Geometry.cropped"' in space

"""Pictures: colour, many sizes, label values of all kinds; what comes out are pictures again."""

import json

import numpy as np
import pytest
from PIL import Image

from delineate.evaluation import Report
from delineate.pipeline import Run

pytestmark = pytest.mark.slow

MOST = 700  # pixels along an edge: larger pictures would only take longer


def size(path):
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def values(path):
    """Which values its pixels have."""
    with Image.open(path) as picture:
        return set(np.unique(np.array(picture)).tolist())


def pictures(source, images, labels, count):
    """Rows of a manifest: every so many of the pictures that are not too large."""
    fitting = [path for path in sorted((source / images).iterdir()) if max(size(path)) <= MOST]
    chosen = fitting[:: len(fitting) // count][:count]
    return [f"{path.stem},{path},{source / labels / path.stem}.png" for path in chosen]


@pytest.fixture(scope="module")
def measured(terminal, tmp_path_factory):
    """Makes a manifest, plans for a minute, trains for some steps, and measures: the run folder."""

    def made(rows, table, steps):
        folder = tmp_path_factory.mktemp("pictures")
        (folder / "dataset.csv").write_text("\n".join(["case,image,label", *rows]))
        (folder / "labels.json").write_text(json.dumps(table))
        run = folder / "run"
        done = terminal.run("plan", folder / "dataset.csv", run, "--minutes", 1, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        done = terminal.run("run", folder / "dataset.csv", run, "--steps", steps, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        return run

    return made


def report_of(run):
    return Report.load(run / "evaluation" / "report.json")


@pytest.fixture(scope="module")
def cells(shared_data, measured):
    """White blood cells: three classes as 0, 128 and 255."""
    rows = pictures(shared_data / "wbc_cells", "images", "labels", 40)
    return measured(rows, {"background": 0, "cytoplasm": 128, "nucleus": 255}, steps=120)


def test_blood_cells_are_learnt_from_grey_values(cells):
    report = report_of(cells)
    assert report.structures == ("cytoplasm", "nucleus")
    assert len(report.cases) == 8
    assert report.mean() > 0.8


def test_predictions_are_pictures_of_the_size_of_theirs(cells):
    dataset = Run.open(cells).dataset()
    files = sorted((cells / "folds" / "2d" / "fold_0" / "predictions").glob("*.png"))
    assert len(files) == 8
    for file in files:
        assert size(file) == size(dataset.case(file.stem).images[0])
        assert values(file) <= {0, 1, 2}


def test_the_model_segments_a_picture_into_a_picture(cells, shared_data, terminal, tmp_path):
    picture = shared_data / "wbc_cells" / "images" / "002.bmp"
    done = terminal.run("segment", cells / "model", picture, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "002.png"
    assert size(file) == size(picture)
    grey = tmp_path / "grey.png"
    with Image.open(picture) as coloured:
        coloured.convert("L").save(grey)
    done = terminal.run("segment", cells / "model", grey, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "red, green, blue" in done.stderr


def test_nuclei_are_learnt_as_foreground(shared_data, measured):
    rows = pictures(shared_data / "dsb2018", "images", "instances", 40)
    assert len({size(row.split(",")[1]) for row in rows}) >= 3
    run = measured(rows, {"background": 0, "nucleus": "nonzero"}, steps=80)
    report = report_of(run)
    assert report.structures == ("nucleus",)
    assert report.mean() > 0.7
    files = list((run / "folds" / "2d" / "fold_0" / "predictions").glob("*.png"))
    assert len(files) == len(report.cases) == 8
    assert all(values(file) <= {0, 1} for file in files)

"""`delineate calibrate`, called as a person would call it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import softmax
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

cli = CliRunner()
SCHEMA = LabelSchema.of("organ", "cyst")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three scans of a model that is twice too sure."""
    place = tmp_path_factory.mktemp("calibration")
    for number in range(3):
        rng = np.random.default_rng(number)
        logits = 12 * np.stack([ndimage.gaussian_filter(n, 2) for n in rng.normal(size=(3, 20, 20, 20))])
        truth = (softmax(logits, axis=0).cumsum(axis=0) < rng.random((20, 20, 20))).sum(axis=0)
        geometry = Geometry((20, 20, 20), np.eye(4))
        write_labels(
            LabelMap(truth.astype(np.uint8), geometry, SCHEMA), place / "labels" / f"c{number}.nii.gz"
        )
        sure = softmax(2 * logits, axis=0).astype(np.float32)
        write_volume(Volume(sure, geometry, SCHEMA.outputs), place / "p" / f"c{number}_probabilities.nii.gz")
    write_json(place / "labels" / "labels.json", {"background": 0, "organ": 1, "cyst": 2})
    return [str(place / "labels"), str(place / "p")]


def test_errors_and_the_temperature_are_printed(folders):
    done = cli.invoke(app, ["-q", "calibrate", *folders])
    assert done.exit_code == 0, done.output
    assert "| top label | everywhere | 24000 |" in done.output
    assert "| cyst | boundary |" in done.output
    assert "Temperature 2.0" in done.output or "Temperature 1.9" in done.output


def test_a_folder_gets_numbers_words_and_a_page(folders, tmp_path):
    done = cli.invoke(
        app, ["calibrate", *folders, "-o", str(tmp_path), "--bins", "20", "--band", "2", "--fit", "boundary"]
    )
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "calibration.json").read_text())
    assert report["rules"] == {"bins": 20, "band_mm": 2.0, "fit": "boundary"}
    assert "within 2 mm" in (tmp_path / "calibration.md").read_text()
    page = (tmp_path / "calibration.html").read_text()
    assert page.count("<svg") == 3
    assert "temperature" in page


def test_machines_get_every_number(folders):
    done = cli.invoke(app, ["-q", "calibrate", *folders, "--json"])
    report = json.loads(done.output)
    assert report["temperature"]["value"] == pytest.approx(2, rel=0.1)
    assert {score["case"] for score in report["scores"]} == {None, "c0", "c1", "c2"}


def test_what_is_measured_is_not_written_over(folders):
    done = cli.invoke(app, ["-q", "calibrate", *folders, "-o", folders[1]])
    assert done.exit_code == 1
    assert "holds what is measured. Write the report into another folder." in str(done.exception)


def test_no_torch_is_needed(folders):
    code = f"import sys; sys.argv = ['delineate', 'calibrate', *{folders!r}]; import delineate.cli as c\n"
    code += "try: c.main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

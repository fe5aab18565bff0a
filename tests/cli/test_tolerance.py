"""`delineate evaluate --tolerance`: one length for all, one for each structure, several in one run."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_labels
from delineate.space import Geometry, LabelMap, LabelSchema

cli = CliRunner()
SCHEMA = LabelSchema.of("liver", "aorta")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two cases of two cubes, predicted two millimetres off."""
    place = tmp_path_factory.mktemp("files")
    grid = Geometry((16, 16, 16), np.eye(4))
    for case in ("a", "b"):
        for folder, shift in (("references", 0), ("predictions", 2)):
            array = np.zeros(grid.shape, np.uint8)
            array[2 + shift : 7 + shift, 2:7, 2:7], array[2 + shift : 7 + shift, 9:13, 9:13] = 1, 2
            (place / folder).mkdir(exist_ok=True)
            write_labels(LabelMap(array, grid, SCHEMA), place / folder / f"{case}.nii.gz")
    (place / "labels.json").write_text(json.dumps({"labels": {"liver": 1, "aorta": 2}}))
    return place


def evaluated(place, *options):
    files = [str(place / name) for name in ("references", "predictions")]
    asked = ["-q", "evaluate", *files, "-o", str(place / "out"), "--json", *options]
    return cli.invoke(app, asked)


def rows(done):
    assert done.exit_code == 0, done.output
    return {
        (row["structure"], row["metric"]): (row["value"], row["definition"])
        for row in json.loads(done.stdout)["rows"]
        if row["case"] == "a"
    }


def test_each_structure_may_have_its_own_and_one_run_several(folders):
    structures = {name for name, _ in rows(evaluated(folders, "--metrics", "nsd"))}
    one, other = sorted(structures)
    found = rows(evaluated(folders, "--metrics", "nsd,nsd@0.5,nsd@2", "--tolerance", f"{one}=2,{other}=1.5"))
    assert found[one, "nsd"] == (1, "share of border voxels within tolerance, 2 mm")
    assert found[other, "nsd"][0] < 1
    assert found[other, "nsd@2"][0] == found[one, "nsd@2"][0] == 1
    assert found[other, "nsd@0.5"][0] <= found[other, "nsd"][0]


@pytest.mark.parametrize("text", ["far", "liver=far", "liver=2,"])
def test_what_is_no_length_is_refused(folders, text):
    done = evaluated(folders, "--tolerance", text)
    assert done.exit_code == 2
    assert "expected millimetres, as 2 or liver=3,spleen=2, got" in " ".join(done.output.split())


def test_a_structure_without_a_length_is_named(folders):
    done = evaluated(folders, "--metrics", "nsd", "--tolerance", "spleen=2")
    assert done.exit_code == 1
    assert "tolerance_mm names spleen" in str(done.exception)

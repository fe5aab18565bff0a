import json

import numpy as np
from scipy import ndimage
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_volume
from delineate.space import Geometry, Volume

run = CliRunner()


def put(folder):
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.standard_normal((24, 24, 24)), 3)
    scan = Volume(
        (100 + 900 * field)[None].astype(np.float32), Geometry(field.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    )
    moved = np.eye(4)
    moved[:3, 3] = 5.0, -3.0, 2.0
    write_volume(scan, folder / "still.nii.gz")
    write_volume(
        Volume(scan.array, Geometry(field.shape, moved @ scan.geometry.affine)), folder / "moved.nii.gz"
    )


def test_scans_are_registered_and_told(tmp_path):
    put(tmp_path)
    words = [
        "register",
        str(tmp_path / "still.nii.gz"),
        str(tmp_path / "moved.nii.gz"),
        "-o",
        str(tmp_path / "out"),
    ]
    done = run.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "rigid: moved by up to 6." in done.output
    done = run.invoke(app, ["-q", *words, "--kind", "affine", "--start", "centres", "--seed", "3", "--json"])
    found = json.loads(done.stdout)["moved"]
    assert found["rules"]["kind"] == "affine"
    assert np.allclose(np.array(found["matrix"])[:3, 3], [-5, 3, -2], atol=1.5)


def test_a_dataset_of_single_scans_has_nothing_to_align(tmp_path):
    put(tmp_path)
    (tmp_path / "dataset.csv").write_text("case,image\na,still.nii.gz\n")
    (tmp_path / "labels.json").write_text('{"background": 0, "x": 1}')
    done = run.invoke(app, ["align", str(tmp_path / "dataset.csv"), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "its channels are not files of their own" in str(done.exception)

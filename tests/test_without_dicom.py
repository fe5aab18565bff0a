"""Without any DICOM package installed everything works that needs none, and the rest says what to install."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space.phantoms import balls

HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pydicom", "highdicom", "pynetdicom"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Six tiny scans with labels, and the first bytes of a DICOM file."""
    folder = tmp_path_factory.mktemp("hidden")
    for number in range(6):
        scan, labels = balls(np.random.default_rng(number), size=16)
        write_volume(scan, folder / "data" / "imagesTr" / f"b_{number}_0000.nii.gz")
        write_labels(labels, folder / "data" / "labelsTr" / f"b_{number}.nii.gz")
    table = {"background": 0, "large ball": 1, "small ball": 2}
    about = {"channel_names": {"0": "MR"}, "labels": table, "numTraining": 6, "file_ending": ".nii.gz"}
    write_json(folder / "data" / "dataset.json", about)
    (folder / "series").mkdir()
    (folder / "series" / "1.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 64)
    return folder


def told(folder: Path, code: str) -> str:
    """What a fresh interpreter without DICOM packages prints."""
    script = HIDDEN + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_is_imported_and_reads_nifti(cohort):
    said = told(
        cohort,
        """
        import delineate, delineate.cli, delineate.clinic, delineate.pipeline
        from pathlib import Path
        from delineate.io import is_scan, read_volume
        scan = Path(sys.argv[1]) / "data" / "imagesTr" / "b_0_0000.nii.gz"
        print(read_volume(scan).geometry.shape, is_scan(scan), is_scan(Path(sys.argv[1]) / "series"))
        assert "pydicom" not in sys.modules
        """,
    )
    assert said.strip() == "(16, 16, 16) True True"


@pytest.mark.slow
def test_a_model_is_planned_trained_and_used(cohort):
    told(
        cohort,
        """
        from pathlib import Path
        from delineate.pipeline import PlanWishes, SegmentWishes, Unwatched, run, segment
        folder = Path(sys.argv[1])
        wishes = PlanWishes(steps=2, folds=(0,), by_hand={"training.precision": "fp32"})
        run(folder / "data", folder / "run", wishes, Unwatched())
        scan = folder / "data" / "imagesTr" / "b_0_0000.nii.gz"
        segment(folder / "run" / "model", [scan], folder / "out.nii.gz", SegmentWishes(), Unwatched())
        """,
    )
    assert (cohort / "out.nii.gz").is_file()


def test_what_needs_dicom_names_the_line_that_installs_it(cohort):
    said = told(
        cohort,
        """
        from pathlib import Path
        from delineate.errors import MissingPackage
        from delineate.io import read_geometry, read_volume
        folder = Path(sys.argv[1])

        def look():
            from delineate.clinic import look

        def verb():
            from typer.testing import CliRunner
            from delineate.cli import app
            done = CliRunner().invoke(app, ["studies", str(folder)])
            raise done.exception

        for call in (
            lambda: read_volume(folder / "series"),
            lambda: read_geometry(folder / "series" / "1.dcm"),
            look,
            verb,
        ):
            try:
                call()
            except MissingPackage as error:
                print(error)
        """,
    )
    lines = said.strip().splitlines()
    assert len(lines) == 4, said
    assert all("pydicom, which is not installed:  pip install 'delineate[dicom]'" in line for line in lines)

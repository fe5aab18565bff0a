"""A model under stress: from a model folder to a page, taken up where it was left."""

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError, ModelError, RunError
from delineate.pipeline import StressWishes, Unwatched, stress
from delineate.pipeline.run_folder import Run
from delineate.pipeline.stressing import modality_of
from delineate.planning.plan import ChannelPlan, Normalization

FEW = StressWishes(only=("noise", "thick_slices"), cases=("ball_00", "ball_01"))


@pytest.fixture(scope="module")
def stressed(finished, balls_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("stress") / "out"
    return out, stress(finished / "model", balls_folder, out, FEW, Unwatched())


def test_every_severity_of_every_case_is_measured_and_written(stressed):
    out, found = stressed
    assert {kind.kind for kind in found.kinds} == {"noise", "thick_slices"}
    assert (found.cases, found.modality) == (2, "mr")
    assert len(list((out / "measured").rglob("*.json"))) == 2 * (1 + 2 * 5)
    assert {path.name for path in out.glob("stress.*")} == {
        "stress.json",
        "stress.csv",
        "stress.md",
        "stress.html",
    }


def test_what_was_measured_is_not_measured_again(stressed, finished, balls_folder):
    out, found = stressed
    gone = out / "measured" / "ball_01" / "noise_3.json"
    others = {path: path.stat().st_mtime_ns for path in (out / "measured").rglob("*.json") if path != gone}
    gone.unlink()
    assert stress(finished / "model", balls_folder, out, FEW, Unwatched()) == found
    assert gone.is_file()
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_another_wish_takes_another_folder(stressed, finished, balls_folder):
    other = StressWishes(only=("blur",), cases=("ball_00",))
    with pytest.raises(RunError, match="holds measurements with another cases and kinds"):
        stress(finished / "model", balls_folder, stressed[0], other, Unwatched())


def test_a_shift_that_does_not_exist_is_refused(finished, balls_folder, tmp_path):
    wishes = StressWishes(only=("metal",))
    with pytest.raises(DataError, match="there is no shift metal of mr scans; there are noise, blur"):
        stress(finished / "model", balls_folder, tmp_path / "out", wishes, Unwatched())


def test_a_scan_that_the_model_refuses_counts_as_nothing_found(finished, balls_folder, tmp_path, monkeypatch):
    from delineate.inference import Segmenter

    plain = Segmenter.segment

    def segment(self, scan, **how):
        if min(scan.geometry.shape) < 6:
            raise ModelError("too few slices")
        return plain(self, scan, **how)

    monkeypatch.setattr(Segmenter, "segment", segment)
    wishes = StressWishes(only=("thick_slices",), cases=("ball_00",))
    found = stress(finished / "model", balls_folder, tmp_path / "out", wishes, Unwatched())
    assert found.cell("thick_slices", 5, None).mean == 0
    assert "thicker slices, 6 times as thick: 1 scans were refused" in "\n".join(found.notes)


def test_the_modality_is_told_by_the_channels(finished):
    plan = Run(finished).plan()

    def of(*channels):
        return modality_of(
            plan.but(
                channels=tuple(
                    ChannelPlan(name=name, normalization=Normalization.model_validate(rule))
                    for name, rule in channels
                )
            )
        )

    ct = {"rule": "ct", "low": 0, "high": 1, "mean": 0, "sd": 1}
    zscore = {"rule": "zscore"}
    assert of(("CT", ct)) == "ct"
    assert of(("T1", zscore)) == "mr"
    assert of(("red", zscore), ("green", zscore), ("blue", zscore)) == "picture"
    assert of(("grey", {"rule": "rgb"})) == "picture"


def test_the_verb_says_what_breaks_the_model(finished, balls_folder, tmp_path):
    words = ["stress", str(finished / "model"), str(balls_folder), "-o", str(tmp_path / "out"), "--device"]
    chosen = ["cpu", "--only", "gamma", "--cases", "ball_02", "--modality", "mr"]
    done = CliRunner().invoke(app, [*words, *chosen])
    assert done.exit_code == 0, done.output
    assert "| gamma |" in done.output
    done = CliRunner().invoke(app, ["-q", *words, *chosen, "--json"])
    assert '"verdict"' in done.output
    assert np.isfinite(len(done.output))

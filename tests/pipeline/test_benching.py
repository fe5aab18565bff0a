"""A bench: methods trained on one split with equal compute, taken up where it was left."""

import json
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import PlanError, RunError
from delineate.evaluation.benchmark import Bench
from delineate.pipeline import BenchWishes, Unwatched, bench
from delineate.pipeline.benching import fairness
from delineate.pipeline.run_folder import Run
from delineate.planning.plan import Augmentation

QUICK = {
    "training.precision": "fp32",
    "training.validate_every": 2,
    "training.validation_batches": 1,
    "configurations.3d_fullres.batch": 2,
}
PLAIN = "planned-planned-planned-s0"
WISHES = BenchWishes(networks=("planned", "resnet_unet"), seeds=(0,), steps=2, by_hand=QUICK)


class Listener(Unwatched):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def benched(balls_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "out"
    return out, bench(balls_folder, out, WISHES, Unwatched())


def test_every_method_is_trained_measured_and_compared(benched):
    out, found = benched
    assert {method.name for method in found.methods} == {"U-Net", "resnet_unet"}
    assert {each.steps for each in found.trained} == {2}
    assert all(each.teraflops > 0 and each.parameters > 0 for each in found.trained)
    assert found.comparison is not None
    assert {path.name for path in out.glob("bench.*")} == {
        "bench.csv",
        "bench.html",
        "bench.json",
        "bench.md",
    }
    assert (out / "runs" / PLAIN / "prepared").resolve() == (out / "prepared").resolve()


def test_all_learn_and_are_measured_on_the_same_cases(benched):
    runs = [Run(folder) for folder in sorted((benched[0] / "runs").iterdir())]
    assert runs[0].splits() == runs[1].splits()
    cases = {json.loads((run.evaluation / "report.json").read_text())["cases"].__str__() for run in runs}
    assert len(cases) == 1


def test_what_is_trained_stays_and_more_may_be_asked_for(benched, balls_folder):
    out, before = benched
    kept = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("weights.safetensors")}
    more = BenchWishes(networks=("planned",), seeds=(0, 1), steps=2, by_hand=QUICK)
    found = bench(balls_folder, out, more, Unwatched())
    assert [method.seeds for method in found.methods] == [(0, 1)]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert found.methods[0].means[0] == next(t.mean for t in before.trained if t.method == "U-Net")
    assert bench(balls_folder, out, WISHES, Unwatched()) == before


def _is_there(folder, name):
    """Whether a file of this name lies anywhere below; folders may go while they are looked through."""
    try:
        return any(folder.rglob(name))
    except FileNotFoundError:
        return False


def _command(balls_folder, out):
    words = ["bench", str(balls_folder), str(out), "--networks", "planned,resnet_unet", "--seeds", "0"]
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "delineate", "-q", *words, "--steps", "2", "--device", "cpu", *settings]


@pytest.fixture(scope="module")
def undisturbed(balls_folder, tmp_path_factory):
    """What comes out of a process of its own: as many threads as those that are killed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    subprocess.run(_command(balls_folder, out), check=True)
    return Bench.load(out / "bench.json")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["fingerprint.json", "checkpoint.safetensors", "weights.safetensors"])
def test_killed_at_any_moment_the_same_comes_out(undisturbed, balls_folder, tmp_path, moment):
    out = tmp_path / "out"
    with subprocess.Popen(_command(balls_folder, out)) as running:
        while running.poll() is None and not _is_there(out, moment):
            time.sleep(0.05)
        running.kill()
    subprocess.run(_command(balls_folder, out), check=True)
    found = Bench.load(out / "bench.json")
    assert [m.but(seeds=()) for m in found.methods] == [m.but(seeds=()) for m in undisturbed.methods]
    assert found.comparison == undisturbed.comparison


def test_other_conditions_take_another_folder(benched, balls_folder):
    with pytest.raises(RunError, match="holds trainings with another budget; compared with these"):
        bench(balls_folder, benched[0], BenchWishes(steps=3, by_hand=QUICK), Unwatched())


@pytest.mark.slow
def test_losses_and_rules_are_methods_too_and_operations_a_budget(balls_folder, tmp_path):
    wishes = BenchWishes(losses=("dice_ce", "focal"), optimizers=("muon",), teraflops=0.05, by_hand=QUICK)
    found = bench(balls_folder, tmp_path / "out", wishes, Unwatched())
    assert {method.name for method in found.methods} == {"dice_ce", "focal"}
    assert {(each.loss, each.optimizer) for each in found.trained} == {("dice_ce", "muon"), ("focal", "muon")}
    assert len({each.steps for each in found.trained}) == 1
    assert 0.025 < found.trained[0].teraflops <= 0.05
    steps = found.trained[0].steps
    assert bench(balls_folder, tmp_path / "out", wishes, Unwatched()).trained[0].steps == steps


def test_a_training_that_fails_is_told_and_the_others_go_on(balls_folder, tmp_path):
    said = Listener()
    wishes = BenchWishes(networks=("planned", "seed_unet2d"), steps=2, by_hand=QUICK)
    found = bench(balls_folder, tmp_path / "out", wishes, said)
    assert "seed_unet2d is a 2D network" in found.failed["seed_unet2d, seed 0"]
    assert [method.name for method in found.methods] == ["U-Net"]
    assert any("seed_unet2d, seed 0" in text for text in said.said)


def test_where_nothing_came_to_its_end_nothing_is_compared(balls_folder, tmp_path):
    wishes = BenchWishes(networks=("seed_unet2d",), steps=2)
    with pytest.raises(RunError, match="no training came to its end"):
        bench(balls_folder, tmp_path / "out", wishes, Unwatched())


def test_too_few_operations_are_refused(balls_folder, tmp_path):
    with pytest.raises(RunError, match="TFLOP do not pay for one step of U-Net"):
        bench(balls_folder, tmp_path / "out", BenchWishes(teraflops=1e-9), Unwatched())


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (BenchWishes(networks=("vgg",), steps=1), "network: expected different names of planned, M, L, XL"),
        (BenchWishes(losses=("hinge",), steps=1), "loss: expected different names of planned, dice_ce"),
        (
            BenchWishes(optimizers=("sgd", "sgd"), steps=1),
            "optimizer: expected different names of planned, sgd",
        ),
        (BenchWishes(seeds=(1, 1), steps=1), r"seeds are different whole numbers, got \[1, 1\]"),
        (BenchWishes(), "in one way: --minutes 10, --steps 1000 or --teraflops 100; got none"),
        (BenchWishes(steps=1, minutes=2), "got 2 minutes and 1 steps"),
    ],
)
def test_what_nobody_knows_is_refused_before_anything_is_trained(wishes, said, balls_folder, tmp_path):
    with pytest.raises(PlanError, match=said):
        bench(balls_folder, tmp_path / "out", wishes, Unwatched())


def test_plans_that_differ_in_more_than_the_method_are_not_compared(benched):
    plan = Run(benched[0] / "runs" / PLAIN).plan()
    turned = plan.but(augmentation=dict.fromkeys(plan.augmentation, Augmentation(rotation_deg=(-5.0, 5.0))))
    assert len(fairness([plan, turned], WISHES)) == 6  # angles follow from the shape of the patch
    other = plan.but(augmentation=dict.fromkeys(plan.augmentation, Augmentation(noise_probability=0.9)))
    with pytest.raises(RunError, match="the plans differ in augmentation: what came out"):
        fairness([plan, other], WISHES)


def test_a_cascade_is_two_networks(balls_folder, tmp_path, monkeypatch):
    from delineate.pipeline import benching

    plain = benching.plan_run

    def cascaded(*args, **how):
        made = plain(*args, **how)
        full = made.configuration("3d_fullres")
        configurations = {
            **made.configurations,
            "3d_lowres": full,
            "3d_cascade_fullres": full.but(previous="3d_lowres"),
        }
        return made.but(
            configurations=configurations,
            augmentation=dict.fromkeys(configurations, Augmentation()),
            use=("3d_cascade_fullres",),
        )

    monkeypatch.setattr(benching, "plan_run", cascaded)
    with pytest.raises(RunError, match="3d_cascade_fullres is two networks, one after the other"):
        bench(balls_folder, tmp_path / "out", BenchWishes(steps=2), Unwatched())


def test_the_verb_trains_and_says_who_comes_first(balls_folder, tmp_path):
    words = [
        "bench",
        str(balls_folder),
        str(tmp_path / "out"),
        "--seeds",
        "0",
        "--steps",
        "1",
        "--device",
        "cpu",
    ]
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    done = CliRunner().invoke(app, [*words, *settings])
    assert done.exit_code == 0, done.output
    assert "One method was trained, U-Net" in done.output
    done = CliRunner().invoke(app, ["-q", *words, *settings, "--json"])
    assert json.loads(done.output)["metric"] == "dice"
    done = CliRunner().invoke(app, [*words[:4], "a,b", "--steps", "1"])
    assert done.exit_code == 2


def test_all_are_the_networks_that_segment():
    from delineate.cli.bench import _every
    from delineate.planning.architectures import ARCHITECTURES

    assert set(_every()) == {"planned", *ARCHITECTURES} - {"mask_rcnn"}

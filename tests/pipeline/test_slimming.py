"""A narrower model: pruned or distilled on the cases of its run, and weighed against the one before."""

import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.networks import Model, parameters
from delineate.pipeline import Slimming, Unwatched
from delineate.pipeline.compression import Compression
from delineate.pipeline.slimming import slim

cli = CliRunner()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["prune", "distil"])
def test_a_narrower_model_is_trained_on_and_weighed(method, finished, balls_folder, tmp_path):
    out = tmp_path / "out"
    words = ["compress", str(finished / "model"), str(out), "--on", str(balls_folder), "--method", method]
    more = ["--run", str(finished), "--keep", "0.5", "--steps", "2", "--accept-loss", "--device", "cpu"]
    done = cli.invoke(app, [*words, *more])
    assert done.exit_code == 0, done.output
    before, after = Model.open(finished / "model"), Model.open(out)
    name = before.plan.first
    fewer = after.plan.configuration(name).network.features
    assert sum(fewer) < sum(before.plan.configuration(name).network.features)
    assert after.plan.training.steps == 2
    sizes = [parameters(model.network(name, model.folds[name][0])) for model in (before, after)]
    assert sizes[1] < sizes[0]
    table = Compression.load(out / "compression.json")
    assert [variant.name for variant in table.variants] == ["before", method]
    assert table.variants[1].megabytes < table.variants[0].megabytes
    assert table.how in after.manifest.facts.limits
    assert "## Compression" in after.card
    assert not after.manifest.facts.scores
    assert Segmenter.open(out).networks


def trained(run):
    """When each file of weights of the narrower networks was written."""
    return {path: path.stat().st_mtime_ns for path in (run / "compressed").rglob("weights.safetensors")}


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(finished, tmp_path):
    how = Slimming(finished, keep=0.5, steps=1)
    model = Model.open(finished / "model")
    first = slim(model, tmp_path / "first", how, Unwatched())
    before = trained(finished)
    again = slim(model, tmp_path / "again", how, Unwatched())
    assert first.manifest.files == again.manifest.files
    assert trained(finished) == before


def test_another_run_than_the_models_is_refused(finished, tmp_path):
    model = Model.open(finished / "model")
    name = model.plan.first
    other = model.plan.configuration(name).but(batch=7)
    changed = model.plan.but(configurations={**model.plan.configurations, name: other})
    moved = Model(model.folder, changed, model.cleanup, model.manifest, model.card)
    with pytest.raises(ModelError, match=f"its {name} is not that of .*Name the run that the model was"):
        slim(moved, tmp_path / "out", Slimming(finished, steps=1), Unwatched())


def test_the_command_asks_for_what_training_needs(finished, balls_folder, tmp_path):
    words = ["compress", str(finished / "model"), str(tmp_path / "out"), "--on", str(balls_folder)]
    for more in ([], ["--run", str(finished)], ["--run", str(finished), "--steps", "1", "--minutes", "1"]):
        done = cli.invoke(app, [*words, "--method", "prune", *more])
        assert done.exit_code == 2
        assert "prune needs --run RUN, and either --minutes or --steps" in done.output

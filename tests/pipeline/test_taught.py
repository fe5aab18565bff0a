import pytest

from delineate.errors import PlanError
from delineate.networks import build_network, parameters
from delineate.pipeline import PlanWishes, Unwatched
from delineate.pipeline import stages as pipeline
from delineate.pipeline.taught import with_network


def test_a_teaching_network_is_all_that_has_to_be_named(tmp_path, balls_folder):
    wishes = PlanWishes(steps=2, network="seed_unet3d")
    made = pipeline.plan(balls_folder, tmp_path / "run", wishes, Unwatched())
    configuration = made.configuration()
    assert parameters(build_network(configuration.network, 1, 3)) == 5_602_595
    assert all(edge % 8 == 0 for edge in configuration.patch)
    assert pipeline.plan(balls_folder, tmp_path / "run", wishes, Unwatched()) == made, (
        "asked for again: the same"
    )


def test_a_network_of_another_dimension_is_refused(tmp_path, balls_folder):
    made = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(steps=2), Unwatched())
    with pytest.raises(PlanError, match="seed_unet2d is a 2D network, and the plan uses 3d_fullres"):
        with_network(made, "seed_unet2d")


def test_an_unknown_network_is_refused(tmp_path, balls_folder):
    made = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(steps=2), Unwatched())
    with pytest.raises(PlanError, match="no network 'unet9000'; there are seed_unet2d, seed_unet3d"):
        with_network(made, "unet9000")  # type: ignore[arg-type]

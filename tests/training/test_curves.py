"""Curves: a picture of every history, however short."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from delineate.training.curves import curves
from delineate.training.history import Row, Validation


def _history(rows, structures):
    rng = np.random.default_rng(0)
    return [
        Row(
            step=10 * n, progress=n / rows, elapsed_s=4.0 * n, rate=0.01 * (1 - n / rows) ** 0.9,
            loss=1 - n / rows + rng.normal(0, 0.1), region=0.5, voxel=0.5, waited=0.0,
            validation=Validation(
                loss=1.1 - n / rows,
                dice={f"structure {s}": None if s == 3 else n / (n + s + 1) for s in range(structures)},
            )
            if n % 25 == 0
            else None,
        )
        for n in range(1, rows + 1)
    ]  # fmt: skip


@pytest.mark.parametrize(("rows", "structures"), [(0, 0), (1, 2), (100, 4), (100, 40)])
def test_every_history_has_a_picture(rows, structures):
    picture = Image.open(io.BytesIO(curves(_history(rows, structures), title="3d_fullres, fold 0")))
    assert picture.format == "PNG"
    assert picture.size[0] > 1000
    pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (pixels == 255).all(1).mean() > 0.5
    assert (pixels != 255).any(1).sum() > 1000


def test_a_history_has_the_same_picture_every_time():
    assert curves(_history(50, 2)) == curves(_history(50, 2))


def test_no_window_is_asked_for():
    curves(_history(5, 1))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()

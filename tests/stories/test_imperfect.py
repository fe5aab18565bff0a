"""Labels that are not one certain map: the strokes that three people drew on real cells."""

import json

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.evaluation import Rules, evaluate_case
from delineate.io import read_label_values, write_labels, write_volume
from delineate.pipeline import LabelWishes, PlanWishes, SegmentWishes, Unwatched, run, segment
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

pytestmark = pytest.mark.slow

STEP = 4  # pixels that become one, so that learning takes seconds
GRID = Geometry.of_image((256 // STEP, 256 // STEP))
CELL = LabelSchema.of("cell")


def put(array, schema, file):
    """Writes labels (row, column)."""
    write_labels(LabelMap(array.T[:, :, None].astype(np.uint8), GRID, schema), file)


def touched(strokes):
    """Which of the coarser pixels a stroke (row, column) touches."""
    rows, columns = (n // STEP for n in strokes.shape)
    return strokes.reshape(rows, STEP, columns, STEP).max(axis=(1, 3)) > 0.5


def write_scribbles(source, folder):
    """Blood cells, each with the strokes of another person; the whole masks lie apart."""
    for number, file in enumerate(sorted(source.glob("*.npz"))):
        with np.load(file) as kept:
            strokes, image, mask = kept[f"scribble_{number % 3}"], kept["img"], kept["seg"] > 0
        name = f"cell_{number}"
        picture = np.round(255 * image[::STEP, ::STEP]).astype(np.uint8).T[None, :, :, None]
        write_volume(Volume(picture, GRID), folder / "images" / f"{name}.png")
        inside, outside = map(touched, strokes)
        drawn = np.where(inside, 1, np.where(outside, 2, 0))
        put(drawn, LabelSchema.of("cell", "marked"), folder / "labels" / f"{name}.png")
        put(mask[::STEP, ::STEP], CELL, folder.parent / "whole" / f"{name}.png")
    (folder / "labels.json").write_text(json.dumps({"background": 2, "cell": 1, "ignore": 0}))
    return folder


def test_cells_are_learnt_from_the_strokes_of_three_people(shared_data, tmp_path):
    data = write_scribbles(shared_data / "medscribble" / "WBC_CV", tmp_path / "strokes")
    dataset = Dataset.open(data)
    marked = [float((dataset.labels(case).array != dataset.schema.ignore).mean()) for case in dataset.cases]
    assert 0 < min(marked) <= max(marked) < 0.3
    wishes = PlanWishes(steps=100, by_hand={"training.precision": "fp32"}, labels=LabelWishes(scribbles=True))
    run(data, tmp_path / "run", wishes, Unwatched())
    pictures, model = sorted((data / "images").iterdir()), tmp_path / "run" / "model"
    segment(model, pictures, tmp_path / "found", SegmentWishes(), Unwatched())
    scores = []
    for picture in pictures:  # one was left out, of the others only strokes were seen
        whole = LabelMap(read_label_values(tmp_path / "whole" / picture.name).array, GRID, CELL)
        found = LabelMap(read_label_values(tmp_path / "found" / picture.name).array, GRID, CELL)
        rows = evaluate_case(whole, found, picture.stem, rules=Rules(metrics=("dice",)))
        scores += [row.value for row in rows if row.metric == "dice"]
    assert np.mean(scores) > 0.6, scores

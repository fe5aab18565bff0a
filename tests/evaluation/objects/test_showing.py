"""Sections of a page about objects, lesions and candidates: all numbers, and nothing that breaks the page."""

import numpy as np
import pytest

from delineate.evaluation import (
    InstanceMap,
    LesionRules,
    Rules,
    evaluate_detection,
    evaluate_instances,
    evaluate_lesions,
)
from delineate.evaluation.objects.showing import detection_section, instance_section, lesion_section
from delineate.page import Items, Table, render_page
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((30, 4, 4), np.eye(4))
SCHEMA = LabelSchema.of("<lesion> & more")


def array(*starts):
    found = np.zeros(GRID.shape, np.uint8)
    for start in starts:
        found[start : start + 3] = 1
    return found


@pytest.fixture(scope="module")
def ids():
    reference, prediction = (array(1, 10).astype(int), array(1, 20).astype(int))
    reference[10:13] *= 2
    prediction[20:23] *= 7
    return InstanceMap(reference, GRID), InstanceMap(prediction, GRID, scores={1: 0.9, 7: 0.4})


def rendered(section):
    return render_page("title", "lead", (section,))


def test_instances_are_counted_and_every_measure_is_explained(ids):
    section = instance_section(evaluate_instances(["a"], lambda _: ids))
    counts, values, told = section.parts
    assert isinstance(counts, Table)
    assert isinstance(told, Items)
    assert counts.rows[0] == ("all objects", "1", "2", "2", "1", "1", "1", "0", "0")
    assert len(values.rows) == len(told.texts)
    assert "PQ: sum of IoU" in rendered(section)


def test_lesions_stand_beside_voxels_and_by_size():
    pair = [LabelMap(found, GRID, SCHEMA) for found in (array(1, 10), array(1, 20))]
    rules = Rules(lesions=LesionRules(edges_ml=(0.01,)))
    section = lesion_section(evaluate_lesions(["a"], lambda _: pair, rules=rules))
    pooled, means, sizes = section.parts
    assert pooled.rows[0][1:] == ("2", "1", "2", "1", "0.500", "0.500", "0.500")
    assert means.rows[0][1:3] == ("0.500", "0.333")
    assert [row[1] for row in sizes.rows] == ["0 to 0.01", "above 0.01"]
    assert "One lesion: 26 neighbours. Found: reached." in pooled.caption
    assert "&lt;lesion&gt; &amp; more" in rendered(section)


def test_candidates_of_models_are_drawn_and_tabulated(ids):
    report = evaluate_detection(["a"], lambda _: ids)
    section = detection_section({"ours": report, "<theirs>": report})
    drawing, table = section.parts
    assert drawing.count("<polyline") == 4
    assert len(table.heads) == len(table.rows[0]) == 10
    assert table.rows[0][-2:] == ("0.500", "0.500")
    assert "&lt;theirs&gt;" in rendered(section)

"""People and algorithms who really disagreed."""

import numpy as np
import pytest

from delineate.evaluation.raters import (
    FusionRules,
    GoldRules,
    Panel,
    agreement_of,
    fuse,
    judge_workers,
    read_together,
)
from delineate.io.disk import write_json
from delineate.space import Geometry, LabelMap, LabelSchema

OPEN = 9
SCRIBBLED = LabelSchema.of("object").but(ignore=OPEN)


@pytest.fixture(scope="module")
def scribbles(shared_data):
    """case -> (answer, annotator -> what they scribbled; the rest is left open), 28 pictures and more."""
    found = {}
    for file in sorted((shared_data / "medscribble").glob("*/*.npz")):
        with np.load(file) as stored:
            answer = (stored["seg"] > 0.5).astype(np.uint8)[..., None]
            maps = {}
            for number in range(3):
                drawn, rubbed = stored[f"scribble_{number}"] > 0.5
                array = np.full(answer.shape, OPEN, np.uint8)
                array[rubbed & ~drawn], array[drawn & ~rubbed] = 0, 1
                maps[f"annotator {number}"] = LabelMap(array, Geometry.of_image(drawn.shape), SCRIBBLED)
        found[f"{file.parent.name}/{file.stem}"] = (
            LabelMap(answer, Geometry.of_image(answer.shape[:2]), SCRIBBLED), maps,
        )  # fmt: skip
    return found


def test_scribbles_are_votes_where_somebody_scribbled_and_nothing_elsewhere(scribbles):
    for answer, maps in scribbles.values():
        touched = np.any([labels.array != OPEN for labels in maps.values()], axis=0)
        for method in ("majority", "staple"):
            found = fuse(maps, FusionRules(method=method)).labels(answer).array
            assert (found[~touched] == OPEN).all()
            assert (found[touched] != OPEN).all()


def test_annotators_are_right_where_they_scribble(scribbles):
    crowd = judge_workers(
        list(scribbles), scribbles.__getitem__, [f"annotator {n}" for n in range(3)], GoldRules(least=0.8)
    )
    assert len(crowd.tasks) == len(scribbles)
    for worker in crowd.workers:
        assert worker.passes
        assert worker.score > 0.85
    right = [
        (labels[known] == answer.array[known]).mean()
        for answer, maps in scribbles.values()
        for labels in [fuse(maps, FusionRules(method="majority"), weights=crowd.weights).labels(answer).array]
        for known in [labels != OPEN]
    ]
    assert np.median(right) > 0.97  # thin vessels are hard to hit with a brush
    assert np.mean(right) > 0.9


def test_annotators_agree_where_both_scribbled(scribbles):
    maps = {case: annotators for case, (_, annotators) in scribbles.items()}
    agreement = agreement_of(
        read_together(list(maps), maps.__getitem__, [f"annotator {n}" for n in range(3)])
    )
    assert agreement.people[0].dice.mean > 0.95
    assert agreement.people[0].dice.n > 20


@pytest.fixture(scope="module")
def algorithms(shared_data, tmp_path_factory):
    """Five algorithms' tumours of one patient, with a majority vote of another tool as a model."""
    folder = shared_data / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    table = {
        "background": 0, "whole": [1, 2, 4], "core": [1, 4], "enhancing": 4, "regions_class_order": [2, 1, 4],
        "label_names": {"1": "necrosis", "2": "oedema", "4": "enhancing"},
    }  # fmt: skip
    labels = tmp_path_factory.mktemp("table") / "labels.json"
    write_json(labels, table)
    files = sorted((folder / "segmentation").glob("*.nii.gz"))
    return Panel.open(files, model=folder / "fusion" / "mav.nii.gz", labels=labels)


def test_five_algorithms_agree_on_the_whole_tumour_as_their_authors_say(algorithms):
    """Pairwise Dice of .96 to .99; a vote of them is nearer to each than they are to each other."""
    readings = read_together(algorithms.cases, algorithms.load, algorithms.raters, model=algorithms.model)
    agreement = agreement_of(readings)
    assert agreement.structures == ("whole", "core", "enhancing")
    pairs = [
        cell.average.mean for cell in agreement.cells if (cell.structure, cell.value) == ("whole", "dice")
    ]
    assert 0.95 < min(pairs) < max(pairs) < 1
    whole = agreement.standings[0]
    assert whole.model.mean > whole.people.mean > 0.96
    assert whole.verdict == "NOT PROVEN"  # of one patient nothing is


@pytest.mark.parametrize(("method", "least"), [("majority", 0.98), ("staple", 0.92)])
def test_regions_of_five_algorithms_are_fused_nearly_as_brats_toolkit_voted(algorithms, method, least):
    """STAPLE believes more than a vote does: all that most drew, and some that fewer did."""
    maps = algorithms.load("scan")
    voted = maps.pop(algorithms.model)
    found = fuse(maps, FusionRules(method=method)).labels(voted)
    for structure, lowest in (("whole", 0.99), ("core", least)):
        here, there = found.mask(structure), voted.mask(structure)
        assert 2 * (here & there).sum() / (here.sum() + there.sum()) > lowest
        assert (here & there).sum() > 0.99 * there.sum()

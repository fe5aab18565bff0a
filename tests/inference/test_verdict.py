import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.inference.verdict import _parts, decided, mean_probabilities, values_of, winner
from delineate.space import Label, LabelSchema, Region

REGIONS = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 99))
def test_the_winner_is_the_argmax_however_the_classes_are_divided(classes, step, seed):
    scores = noise(classes, 3, 4, seed=seed)
    assert torch.equal(winner(scores.split(step)).long(), scores.argmax(dim=0))


def test_of_equal_scores_the_first_wins():
    for step in (1, 2, 5):
        assert winner(torch.zeros(5, 2).split(step)).tolist() == [0, 0]


def test_planes_with_many_classes_are_compared_a_few_classes_at_a_time():
    assert _parts(3, 100) == (slice(0, 41943),)
    assert [part.start for part in _parts(60, 512 * 512)] == [0, 16, 32, 48]
    assert len(_parts(3, 10**8)) == 3


@pytest.mark.parametrize("schema", [LabelSchema.of("a", "b"), REGIONS])
def test_values_are_those_that_the_schema_decodes(schema):
    scores = torch.rand(len(schema.outputs), 5, 6, generator=torch.Generator().manual_seed(0))
    values = values_of(scores, schema)
    assert np.array_equal(values, schema.decode(scores.numpy()))
    assert values.dtype == np.uint8


def test_large_label_values_take_two_bytes():
    schema = LabelSchema(labels=(Label(value=300, name="a"), Label(value=7, name="b")))
    values = values_of(torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), schema)
    assert (values.tolist(), values.dtype) == ([300, 7, 0], np.uint16)


def test_probabilities_are_averaged_and_not_logits():
    sure, unsure = torch.tensor([[9.0], [0.0]]), torch.tensor([[0.0], [1.0]])
    expected = (torch.softmax(sure, 0) + torch.softmax(unsure, 0)) / 2
    assert torch.allclose(mean_probabilities([sure, unsure], LabelSchema.of("a")), expected)


def test_regions_are_judged_one_by_one():
    logits = torch.tensor([[3.0, 3.0, -3.0], [1.0, -1.0, -3.0]])
    assert values_of(mean_probabilities([logits], REGIONS), REGIONS).tolist() == [4, 1, 0]


class Planes:
    def __init__(self, array, axis):
        self.array, self.axis = array, axis

    def plane(self, number, classes):
        return self.array.select(self.axis + 1, number)[classes]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("schema", [LabelSchema.of("a", "b"), REGIONS])
def test_the_verdict_is_the_same_along_every_axis_and_with_probabilities(axis, schema):
    logits = noise(len(schema.outputs), 3, 4, 5)
    planes = [Planes(logits, axis)]
    plain = decided(planes, (3, 4, 5), axis, schema, keep=False)
    kept = decided(planes, (3, 4, 5), axis, schema, keep=True)
    assert plain.probabilities is None
    assert np.array_equal(plain.values, kept.values)
    assert np.array_equal(plain.values, values_of(mean_probabilities([logits], schema), schema))
    assert np.allclose(kept.probabilities, mean_probabilities([logits], schema).numpy())

"""Codings: hard labels, soft labels, and what nobody annotated."""

import torch

from delineate.space import Label, LabelSchema, Region
from delineate.training.coding import Coding, is_soft

THREE = LabelSchema.of("a", "b")
TUMOUR = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=2, name="core")),
    regions=(
        Region(name="whole", values=(1, 2), paints=1),
        Region(name="core", values=(2,), paints=2),
    ),
)


def test_the_table_says_which_outputs_an_index_belongs_to():
    assert Coding.of(THREE).table.tolist() == torch.eye(3, dtype=torch.bool).tolist()
    assert Coding.of(TUMOUR).table.tolist() == [[False, False], [True, False], [True, True]]


def test_hard_labels_are_targets_of_zero_and_one():
    labels = torch.tensor([[0, 2, -1]])
    coding = Coding.of(THREE.but(ignore=9))
    assert not is_soft(labels)
    assert coding.values(labels)[0].int().tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert coding.known(labels).tolist() == [[True, True, False]]
    assert coding.indices(labels).tolist() == [[0, 2, -1]]
    assert Coding.of(THREE).known(labels) is None


def test_soft_labels_are_their_own_targets_and_most_raters_decide():
    labels = torch.tensor([[[0.2, 0.6, -1], [0.5, 0.4, -1], [0.3, 0.0, -1]]])
    coding = Coding.of(THREE.but(ignore=9))
    assert is_soft(labels)
    assert torch.equal(coding.values(labels), labels.clamp(min=0))
    assert coding.known(labels).tolist() == [[True, True, False]]
    assert coding.indices(labels).tolist() == [[1, 0, -1]]

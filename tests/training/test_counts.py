"""Counts, and the Dice of many patches together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.space import Label, LabelSchema, Region
from delineate.training.coding import Coding
from delineate.training.counts import count, dice_of

LABELS = LabelSchema.of("a", "b").but(ignore=9)
REGIONS = LabelSchema(
    labels=LABELS.labels,
    ignore=9,
    regions=(Region(name="all", values=(1, 2), paints=1), Region(name="b", values=(2,), paints=2)),
)


def _batch(seed, unknown):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1 if unknown else 0, 3, (2, 4, 5))
    return torch.from_numpy(labels), rng


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_labels_are_counted_as_by_hand(seed, unknown):
    labels, rng = _batch(seed, unknown)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 4, 5)))
    found = count(logits, labels, Coding.of(LABELS))
    winner, true = logits.argmax(1).numpy(), labels.numpy()
    known = true >= 0
    for n in (1, 2):
        hits = ((winner == n) & (true == n)).sum()
        extra = ((winner == n) & (true != n) & known).sum()
        missed = ((winner != n) & (true == n)).sum()
        assert found[:, n - 1].tolist() == [hits, extra, missed]


def test_regions_are_counted_each_by_itself():
    labels, rng = _batch(1, unknown=True)
    logits = torch.from_numpy(rng.normal(size=(2, 2, 4, 5)))
    found = count(logits, labels, Coding.of(REGIONS))
    chosen, known = logits[:, 0] > 0, labels >= 0
    assert found[:, 0].tolist() == [
        int((chosen & (labels > 0)).sum()),
        int((chosen & (labels == 0)).sum()),
        int((~chosen & (labels > 0) & known).sum()),
    ]


def test_counts_of_patches_add_up_before_they_become_dice():
    counts = torch.tensor([[3, 0], [1, 0], [0, 0]]) + torch.tensor([[2, 0], [0, 0], [4, 0]])
    dice = dice_of(counts, LabelSchema(labels=(Label(value=4, name="x"), Label(value=9, name="y"))))
    assert dice == {"x": pytest.approx(10 / 15), "y": None}


@pytest.mark.parametrize("schema", [LABELS, LABELS.but(regions=(Region(name="b", values=(2,), paints=2),))])
def test_of_soft_labels_what_most_raters_said_is_counted(schema):
    coding = Coding.of(schema)
    labels = torch.randint(-1, 3, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    shares = torch.where(labels[:, None] < 0, -1.0, 0.2 + 0.5 * coding.values(labels))
    logits = torch.randn(shares.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(count(logits, shares, coding), count(logits, labels, coding))

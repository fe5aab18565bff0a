"""Mining: what is remembered of a case, and that nothing of it is lost."""

import pytest
import torch

from delineate.preparation.patches import Batch
from delineate.space import LabelSchema
from delineate.training.losses import Coding, Loss, alone
from delineate.training.mining import Found, Tally, hardness_of

CPU = torch.device("cpu")


def _batch(*ids):
    return Batch(torch.zeros((len(ids), 1, 2, 2)), torch.zeros((len(ids), 2, 2)), ids)


def test_a_case_is_as_hard_as_when_last_seen_and_those_not_seen_stay_as_they_were():
    first = Found(sums={"a": (6.0, 3.0), "b": (1.0, 1.0)}).renewed()
    assert first == Found(hardness={"a": 2.0, "b": 1.0})
    assert first.but(sums={"b": (9.0, 2.0), "c": (1.0, 4.0)}).renewed().hardness == {
        "a": 2.0,
        "b": 4.5,
        "c": 0.25,
    }


def test_a_tally_adds_up_by_case_and_goes_on_where_it_was():
    tally = Tally(("a", "b", "c"), CPU, {"c": (1.0, 2.0)})
    tally.add(_batch("a", "c", "a"), torch.tensor([1.0, 2.0, 4.0]), alone)
    assert tally.read() == {"a": (5.0, 2.0), "c": (3.0, 3.0)}
    tally.clear()
    assert tally.read() == {}


def test_hardness_is_nothing_for_the_right_answer_and_more_the_wronger():
    loss = Loss(Coding.of(LabelSchema.of("a", "b")), distance="boundary")
    labels = torch.randint(0, 3, (3, 6, 6), generator=torch.Generator().manual_seed(0))
    right = 30 * loss.coding.values(labels).float()
    logits = torch.stack([right[0], 0 * right[1], -right[2]])
    found = hardness_of(loss, logits, labels)
    assert found[0].item() == pytest.approx(0, abs=1e-4)
    assert found[0] < found[1] < found[2]

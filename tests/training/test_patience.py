"""Patience: scripted losses stop where Keras' EarlyStopping stops, and keep what it restores."""

import pytest

from delineate.training.patience import Patience


def _run(losses, limit):
    patience = Patience(limit=limit)
    for epoch, loss in enumerate(losses):
        patience = patience.after(loss, epoch)
        if patience.is_over:
            return epoch, patience.best_step
    return None, patience.best_step


@pytest.mark.parametrize(
    ("losses", "limit", "stopped", "restored"),
    [
        ([1.0, 0.5, 0.6, 0.7, 0.8, 0.1], 3, 4, 1),
        ([1.0, 0.9, 0.8, 0.7], 3, None, 3),  # ran to its end: the best is the last
        ([1.0, 0.5, 0.6, 0.4, 0.5, 0.6], 3, None, 3),  # ran to its end: restored all the same
        ([0.5, 0.5, 0.5], 2, 2, 0),  # as good is not better
        ([0.5, 0.6], 1, 1, 0),
        ([1.0, float("nan"), float("nan"), 0.5], 2, 2, 0),  # not a number is not better
        ([-0.2, -0.3, -0.25, -0.4, -0.1, -0.2, -0.3], 3, 6, 3),
    ],
)
def test_training_stops_and_restores_as_in_keras(losses, limit, stopped, restored):
    assert _run(losses, limit) == (stopped, restored)

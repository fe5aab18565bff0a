"""Patience: when training has stopped getting anywhere.

The rule is that of Keras' EarlyStopping(monitor="val_loss", restore_best_weights=True): a validation
counts as better only if its loss is below every one before; after `limit` validations without, training
stops, and the weights of the best validation are the result, also where it ran to its end.
"""

from __future__ import annotations

import math

from delineate.record import Record


class Patience(Record):
    """How long nothing got better."""

    limit: int
    best: float = math.inf  # validation loss
    best_step: int | None = None
    waited: int = 0  # validations since

    def after(self, loss: float, step: int) -> Patience:
        """What is known once the validation at `step` gave `loss`."""
        if loss < self.best:
            return self.but(best=loss, best_step=step, waited=0)
        return self.but(waited=self.waited + 1)

    @property
    def is_over(self) -> bool:
        """Whether training should stop."""
        return self.waited >= self.limit

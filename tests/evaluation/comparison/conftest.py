"""Reports of made-up models on the same cases."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def made_model(made_report):
    """A function that makes the report of a model.

    shift     how much better its Dice is than that of the plain one
    seed      of its own errors; the cases are equally hard for all
    missed    cases that it finds nothing in: Dice 0, no HD95
    """

    def make(shift=0.0, seed=1, *, cases=40, noise=0.02, missed=(), patients=None, title=None, lesions=False):
        hard, own = np.random.default_rng(7), np.random.default_rng((seed, 11))
        values = {}
        for structure, base in (("liver", 0.88), ("spleen", 0.85)):
            dice = np.clip(hard.normal(base, 0.04, cases) + shift + noise * own.normal(size=cases), 0, 1)
            dice[list(missed)] = 0
            hd95 = [None if n in missed else 12 - 10 * d for n, d in enumerate(dice)]
            found = [0 if n in missed else 10.0 for n in range(cases)]
            error = own.normal(0, 0.1, cases)
            values[structure] = {
                "dice": dice,
                "hd95": hd95,
                "volume_error_relative": error,
                "volume_reference": [10.0] * cases,
                "volume_prediction": found,
            }
        return made_report(values, patients=patients, title=title or f"model {seed}")

    return make

"""Readers who draw the same shapes, each in a way of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("lesion")
SIZE = 26


@dataclass(frozen=True)
class Hand:
    """How somebody draws: so much further out in mm, shaking by so much, in waves of so many voxels."""

    offset: float = 0.0
    shake: float = 0.7
    wave: float = 3.0

    def drawn(self, distance, rng):
        """A mask of a shape that is given by the distance from its surface, negative inside."""
        noise = ndimage.gaussian_filter(rng.normal(size=distance.shape), self.wave)
        return (distance + self.shake * noise / noise.std() < self.offset).astype(np.uint8)


def shape(rng, size=SIZE):
    """Distance from the surface of an ellipsoid somewhere, about, in voxels."""
    middle = rng.uniform(0.42, 0.58, 3) * size
    radii = rng.uniform(0.2, 0.3, 3) * size
    place = (np.moveaxis(np.indices((size, size, size)), 0, -1) - middle) / radii
    reach = np.linalg.norm(place, axis=-1)
    return (reach - 1) * radii.mean()


def cohort_of(hands, cases=12, seed=0, schema=SCHEMA):
    """case -> reader -> map, of hands by name."""
    found = {}
    for number in range(cases):
        rng = np.random.default_rng([seed, number])
        distance = shape(rng)
        grid = Geometry(distance.shape, np.eye(4))
        maps = {name: LabelMap(hand.drawn(distance, rng), grid, schema) for name, hand in hands.items()}
        found[f"case_{number:02d}"] = maps
    return found


@pytest.fixture(scope="session")
def hand():
    return Hand


@pytest.fixture(scope="session")
def cohort():
    return cohort_of

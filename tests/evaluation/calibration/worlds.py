"""Scans in which probabilities are what they say, or as much too sure as one wants."""

import numpy as np
from scipy import ndimage
from scipy.special import softmax

from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region, Volume

SCHEMA = LabelSchema.of("organ", "cyst")
REGIONS = LabelSchema(
    labels=(Label(value=1, name="core"), Label(value=2, name="rim")),
    regions=(Region(name="whole", values=(1, 2), paints=2), Region(name="inner", values=(1,), paints=1)),
)


def grid(shape, spacing=(1.0, 1.0, 1.0)):
    return Geometry(shape, np.diag([*spacing, 1.0]))


def scan(seed, *, shape=(32, 32, 32), heat=1.0, schema=SCHEMA):
    """Smooth logits of three classes, labels drawn from them, probabilities of logits `heat` times larger."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(3, *shape))
    logits = np.stack([ndimage.gaussian_filter(each, 3, mode="wrap") for each in noise])
    logits *= 3 / logits.std()
    logits[0] += 2
    truth = (softmax(logits, axis=0).cumsum(axis=0) < rng.random(shape)).sum(axis=0)
    probabilities = softmax(logits * heat, axis=0).astype(np.float32)
    geometry = grid(shape)
    reference = LabelMap(truth.clip(0, 2).astype(np.uint8), geometry, schema)
    return reference, Volume(probabilities, geometry, schema.outputs)


def nested(seed, *, shape=(32, 32, 32), heat=1.0):
    """Two regions, one in the other; each by itself is as probable as it says."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, *shape))
    logits = np.stack([ndimage.gaussian_filter(each, 3, mode="wrap") for each in noise])
    logits *= 2 / logits.std()
    whole, inner = 1 / (1 + np.exp(-logits))
    inside = rng.random(shape) < whole
    core = inside & (rng.random(shape) < inner)
    values = np.where(core, 1, np.where(inside, 2, 0)).astype(np.uint8)
    p = np.stack([whole, whole * inner])
    hot = 1 / (1 + ((1 - p) / p) ** heat)
    geometry = grid(shape)
    return LabelMap(values, geometry, REGIONS), Volume(hot.astype(np.float32), geometry, REGIONS.outputs)


def nested_load(case):
    """A case of nested regions by its number."""
    return nested(int(case))

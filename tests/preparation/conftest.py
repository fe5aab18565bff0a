"""Plans and scans of a few voxels."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    Denoise,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import Geometry, LabelMap, LabelSchema, Volume


def network(dims):
    return NetworkSpec(
        features=(2, 3),
        strides=((1,) * dims, (2,) * dims),
        kernels=((3,) * dims,) * 2,
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
    )


@pytest.fixture(scope="session")
def configuration_of():
    """Makes a configuration: at a spacing, in 3D or across slices."""

    def make(spacing=(1.0, 1.0, 1.0), *, patch=(8, 8, 8), slice_axis=None, previous=None):
        if slice_axis is not None:
            patch = tuple(1 if axis == slice_axis else n for axis, n in enumerate(patch))
        return Configuration(
            spacing=spacing,
            median_shape=(16, 16, 16),
            patch=patch,
            batch=2,
            slice_axis=slice_axis,
            network=network(3 if slice_axis is None else 2),
            batch_dice=False,
            previous=previous,
        )

    return make


@pytest.fixture(scope="session")
def plan_of(configuration_of):
    """Makes a plan; by default one channel, z-scored, and 3D at 1 mm."""

    def make(*, channels=("image",), rules=(), denoise=(), configurations=None, schema=None, **changes):
        configurations = configurations or {"3d_fullres": configuration_of()}
        rules = rules or [Normalization(rule="zscore")] * len(channels)
        denoise = denoise or [Denoise()] * len(channels)
        fields = {
            "dataset": "balls",
            "fingerprint": "0" * 64,
            "labels": schema or LabelSchema.of("large ball", "small ball"),
            "channels": tuple(
                ChannelPlan(name=name, normalization=rule, denoise=noise)
                for name, rule, noise in zip(channels, rules, denoise, strict=True)
            ),
            "orientation": "RAS",
            "configurations": configurations,
            "use": tuple(configurations),
            "augmentation": {name: Augmentation() for name in configurations},
            "training": Training(
                optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2, schedule="cosine", steps=1
            ),
            "reasons": {},
        }
        return Plan(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def scan_of():
    """Makes a scan (channel, i, j, k) and puts it on a grid of its own."""

    def make(array, spacing=(1.0, 1.0, 1.0), *, orientation="RAS", channels=None):
        array = np.asarray(array)
        geometry = Geometry(array.shape[1:], np.diag([*spacing, 1.0]))
        names = channels or ("image", "T2", "FLAIR")[: len(array)]
        return Volume(array, geometry, names).reoriented(orientation)

    return make


@pytest.fixture(scope="session")
def two_blocks():
    """A scan in an odd orientation, off centre and with an empty border, and its labels."""
    rng = np.random.default_rng(5)
    affine = np.array([[0, 0, -1.5, 20.0], [-1.1, 0, 0, 3.0], [0, 0.9, 0, -7.0], [0, 0, 0, 1]])
    geometry = Geometry((24, 26, 20), affine)
    image = np.zeros(geometry.shape, np.float32)
    image[3:22, 2:24, 4:17] = rng.uniform(20, 40, (19, 22, 13))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[6:14, 6:18, 6:14], labels[14:19, 8:16, 7:13] = 1, 2
    image[labels > 0] += 100 * labels[labels > 0]
    schema = LabelSchema.of("large ball", "small ball")
    return Volume(image[None], geometry), LabelMap(labels, geometry, schema)


# -- samples: prepared cases held in memory, and plans for them


@dataclass(frozen=True, eq=False)
class MemoryCase:
    """A prepared case; `calls` collects the boxes that were read of the image."""

    voxels: np.ndarray  # (channel, i, j, k)
    indices: np.ndarray  # (i, j, k)
    coarse: np.ndarray | None = None
    missing: tuple = ()
    maps: np.ndarray | None = None  # (rater, i, j, k)
    is_pseudo: bool = False
    calls: list = field(default_factory=list)

    @property
    def shape(self):
        return self.indices.shape

    @property
    def classes_present(self):
        return tuple(int(n) for n in np.unique(self.indices) if n > 0)

    @property
    def classes_annotated(self):
        return tuple(int(n) or -1 for n in np.unique(self.indices) if n >= 0)

    @property
    def raters(self):
        return 1 if self.maps is None else len(self.maps)

    def drawn(self, box, /):
        maps = self.indices[None] if self.maps is None else self.maps
        return maps[(slice(None), *box.slices)].astype(np.int16)

    def image(self, box, /):
        assert box.clipped(self.shape) == box
        self.calls.append(box)
        return self.voxels[(slice(None), *box.slices)].copy()

    def labels(self, box, /):
        return self.indices[box.slices].astype(np.int16)

    def previous(self, box, /):
        return self.coarse[box.slices].astype(np.int16)

    def locations(self, class_index, /):
        known = {0: self.indices >= 0, -1: self.indices == 0}
        wanted = known.get(class_index, self.indices == class_index)
        return np.argwhere(wanted).astype(np.int32)


@dataclass(frozen=True, eq=False)
class MemoryStore:
    """Cases by id."""

    cases: dict

    @property
    def ids(self):
        return tuple(self.cases)

    def case(self, case_id, /):
        return self.cases[case_id]


@pytest.fixture(scope="session")
def memory_case():
    return MemoryCase


@pytest.fixture(scope="session")
def memory_store():
    return MemoryStore


@pytest.fixture(scope="session")
def sample_plan():
    """Makes a plan of one configuration, 3d_fullres or (with a slice axis) 2d."""

    def make(
        patch=(8, 8, 8),
        *,
        batch=2,
        slice_axis=None,
        spacing=(1.0, 1.0, 1.0),
        channels=(False,),  # is it masked?
        labels=None,
        mirror_axes=(0, 1, 2),
        **augmentation,
    ):
        dims, name = (3, "3d_fullres") if slice_axis is None else (2, "2d")
        configuration = Configuration(
            spacing=spacing,
            median_shape=(16, 16, 16),
            patch=patch,
            batch=batch,
            slice_axis=slice_axis,
            network=network(dims),
            batch_dice=False,
        )
        configurations = {name: configuration}
        if dims == 3:
            configurations["3d_cascade_fullres"] = configuration.but(previous=name)
        return Plan(
            dataset="phantom",
            fingerprint="0" * 64,
            labels=labels or LabelSchema.of("one", "two"),
            channels=tuple(
                ChannelPlan(name=f"c{n}", normalization=Normalization(rule="zscore", masked=masked))
                for n, masked in enumerate(channels)
            ),
            orientation="RAS",
            configurations=configurations,
            use=(name,),
            augmentation={known: Augmentation(**augmentation) for known in configurations},
            training=Training(
                optimizer="adamw",
                learning_rate=1e-3,
                weight_decay=0.01,
                schedule="cosine",
                steps=10,
                mirror_axes=mirror_axes,
                seed=7,
            ),
            reasons={},
        )

    return make

"""Fingerprints made of numbers, without files."""

import pytest

from delineate.planning.fingerprint import CaseFingerprint, ChannelRange, Fingerprint
from delineate.planning.histogram import Histogram
from delineate.space import Label, LabelSchema, Region


def schema_of(labels):
    """A schema from nnU-Net's table of labels: name -> value, or values of a region; "ignore"."""
    if any(isinstance(value, list) for value in labels.values()):
        values = sorted(
            {v for value in labels.values() for v in ([value] if isinstance(value, int) else value)}
        )
        return LabelSchema(
            labels=tuple(Label(value=v, name=f"label_{v}") for v in values),
            regions=tuple(
                Region(name=name, values=tuple(v), paints=v[0])
                for name, v in labels.items()
                if name != "ignore"
            ),
        )
    return LabelSchema(
        labels=tuple(Label(value=v, name=name) for name, v in labels.items() if name != "ignore"),
        ignore=labels.get("ignore"),
    )


def fingerprint_of(
    shapes,
    spacings,
    *,
    channels=("MRI",),
    labels=("one", "two"),
    kept=1.0,
    orientation="RAS",
    intensities=None,
):
    """A fingerprint of cases with these cropped shapes and spacings along (i, j, k)."""
    schema = labels if isinstance(labels, LabelSchema) else LabelSchema.of(*labels)
    spacings = [spacings] * len(shapes) if isinstance(spacings[0], (int, float)) else spacings
    values = intensities or [(-50.0, 200.0, 40.0, 60.0)] * len(channels)  # low, high, mean, sd
    ranges = tuple(
        ChannelRange(minimum=low, maximum=high, mean=mean, sd=sd, low=low, high=high)
        for low, high, mean, sd in values
    )
    cases = tuple(
        CaseFingerprint(
            id=f"case_{n:03d}",
            shape=tuple(shape),
            cropped=tuple(shape),
            spacing=tuple(float(s) for s in spacing),
            orientation=orientation,
            dtype="int16",
            ranges=ranges,
            label_voxels=(100,) * len(schema.labels),
        )
        for n, (shape, spacing) in enumerate(zip(shapes, spacings, strict=True))
    )
    histograms = tuple(Histogram(values=(low, high), shares=(1, 1)) for low, high, _, _ in values)
    found = Fingerprint(
        dataset="synthetic", labels=schema, channels=tuple(channels), cases=cases, foreground=histograms
    )
    return found if kept == 1.0 else with_kept(found, kept)


def with_kept(found, kept):
    """The same, as if cropping had left this share of each case: its longest axis was longer before."""

    def before(case):
        longest = max(case.cropped)
        at = case.cropped.index(longest)
        return (*case.cropped[:at], int(longest / kept), *case.cropped[at + 1 :])

    return found.but(cases=tuple(case.but(shape=before(case)) for case in found.cases))


@pytest.fixture(scope="session", name="fingerprint_of")
def _fingerprint_of():
    """`fingerprint_of(shapes, spacings, channels=..., labels=..., kept=...)`."""
    return fingerprint_of


@pytest.fixture(scope="session", name="schema_of")
def _schema_of():
    """`schema_of({"organ": 1, "whole": [1, 2], "ignore": 3})`."""
    return schema_of

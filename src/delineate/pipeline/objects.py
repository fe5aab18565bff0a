"""Objects: what can be made of a result, and what makes it, by the name of its file in the delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.clinic import (
    FhirVersion,
    Measurements,
    Result,
    Surfaces,
    Written,
    draw_summary,
    measure,
    surfaces,
    write_encapsulated,
    write_fhir,
    write_glb,
    write_page,
    write_rtstruct,
    write_seg,
    write_sr,
    write_stl,
)
from delineate.clinic.delivery import Writer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from delineate.pipeline.delivery import DeliveryWishes

Before = Mapping[str, Written]


def writers(result: Result, how: DeliveryWishes) -> dict[str, Writer]:
    """What is written, in order: by file name."""
    return dict(_writers(how, _Shared(result, how)))


@dataclass(frozen=True)
class _Shared:
    """What several objects are made of: worked out once, and only if one is wished for."""

    result: Result
    how: DeliveryWishes

    @cached_property
    def measurements(self) -> Measurements:
        return measure(self.result)

    @cached_property
    def surfaces(self) -> Surfaces:
        return surfaces(self.result, smoothing=self.how.mesh_smoothing)

    @cached_property
    def page(self) -> Figure:
        return draw_summary(self.result, self.measurements, names_patient=self.how.names_patient)


def _writers(how: DeliveryWishes, shared: _Shared) -> Iterator[tuple[str, Writer]]:
    if (kind := how.seg) is not None:
        yield (
            "seg.dcm",
            lambda result, path, _: write_seg(
                result, path, kind, empty_frames=how.empty_frames, compress=how.compress
            ),
        )
    if (holes := how.rtstruct) is not None:
        yield "rtstruct.dcm", lambda result, path, _: write_rtstruct(result, path, holes=holes)
    if how.sr:
        yield (
            "sr.dcm",
            lambda result, path, before: write_sr(result, path, before["SEG"], shared.measurements),
        )
    if how.summary:
        yield "summary.pdf", lambda result, path, _: write_page(result, path, shared.page, "pdf")
        yield "summary.png", lambda result, path, _: write_page(result, path, shared.page, "png")
    if how.summary_dicom:
        yield "summary.dcm", lambda result, path, before: write_encapsulated(result, path, before["PDF"])
    if how.stl:
        yield "stl", lambda result, path, _: write_stl(result, path, shared.surfaces)
    if how.glb:
        yield "surfaces.glb", lambda result, path, _: write_glb(result, path, shared.surfaces)
    for version in how.fhir:
        yield f"fhir_{version.lower()}.json", _fhir(version, shared)


def _fhir(version: FhirVersion, shared: _Shared) -> Writer:
    def write(result: Result, path: Path, before: Before) -> Written:
        return write_fhir(result, path, before, shared.measurements, version)

    return write

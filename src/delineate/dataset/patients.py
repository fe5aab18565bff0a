"""Patients: who a case is of, where naming standards say it and nobody said otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from delineate.dataset.case import Case

STANDARDS = (
    re.compile(r"(?P<patient>sub-[A-Za-z0-9]+)(?:[_-].*)?"),  # BIDS: sub-01_ses-02
    re.compile(r"(?P<patient>BraTS-[A-Za-z]+-\d{5})-\d{3}"),  # BraTS since 2023: the last number is the visit
    re.compile(r"(?P<patient>TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?:[_.-].*)?"),  # TCGA: project, site, participant
)


def patient_in(name: str) -> str | None:
    """The patient that a case id names by one of the standards."""
    matches = (standard.fullmatch(name) for standard in STANDARDS)
    return next((match["patient"] for match in matches if match), None)


def with_patients(cases: Iterable[Case]) -> tuple[Case, ...]:
    """The cases with the patients that their ids name, where nobody has said a patient."""
    return tuple(
        replace(case, group=patient_in(case.id) or case.group) if case.group == case.id else case
        for case in cases
    )

"""What may be different about the next scan: shifts of scanner, protocol and patient, in five severities."""

from delineate.shift.kind import Example, Kind, Modality
from delineate.shift.suite import SEVERITIES, kinds, shifted

__all__ = ["SEVERITIES", "Example", "Kind", "Modality", "kinds", "shifted"]

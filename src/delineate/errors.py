"""Every error raised on purpose.

`Error`, the base of all
├── DataError      the user's files: missing, unreadable, or in disagreement
├── GeometryError  a grid that cannot be, or two grids that do not meet
├── RecordError    a JSON record that does not fit: the path of the wrong field is in the message
├── PlanError      a plan that cannot be made, or that asks for the impossible
├── RunError       a run folder that is not in the state that the next stage needs
├── ModelError     a model folder: incomplete, tampered with, or asked to read another kind of scan
├── ArchiveError   another system: out of reach, or it refuses what it is asked
└── MissingPackage an optional package that is not installed; says the line that installs it

Messages say: what was expected, what came, where, and what to do next.
"""


class Error(Exception):
    """Base class: `except delineate.errors.Error` catches everything raised on purpose."""


class DataError(Error):
    """Something is wrong with the user's images, labels or folders."""


class GeometryError(Error):
    """A voxel grid that cannot exist, or two grids that were expected to agree."""


class RecordError(Error):
    """A JSON record that does not fit its definition."""


class PlanError(Error):
    """A plan that cannot be made from these data, or that asks for the impossible."""


class RunError(Error):
    """A run folder that is not in the state that the next stage needs."""


class ModelError(Error):
    """A model folder that is incomplete, altered, or given another kind of scan."""


class ArchiveError(Error):
    """Another system (an archive, a scanner) that does not answer, or refuses what it is asked."""


class MissingPackage(Error):  # noqa: N818 - reads as a sentence: raise MissingPackage(...)
    """An optional package is not installed."""

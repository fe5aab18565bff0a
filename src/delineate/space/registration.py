"""Registration: where a scan lies on another one of the same patient, rigid or affine.

The measure is Mattes' mutual information, which asks only that the same tissue looks alike within each scan
(Mattes 2003, doi:10.1109/TMI.2003.809072); the search is SimpleITK's, on three levels of detail. Ours are the
starts that it tries, the levels in millimetres, that the same scans always give the same answer (one thread,
a seed), what is refused, and the report.

The answer is one matrix: world of the moving scan -> world of the fixed one, both RAS+ in mm. Applying it
changes where the moving scan's voxels are said to be, and then resamples once: nothing is interpolated twice.
ITK is given our world as it is: how it calls the axes plays no part here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from delineate.errors import DataError, GeometryError
from delineate.record import Record
from delineate.space.box import Box
from delineate.space.crop import nonzero_box
from delineate.space.geometry import Geometry
from delineate.space.labels import LabelMap
from delineate.space.resampling import Orders, inside
from delineate.space.triple import triple
from delineate.space.volume import Volume

Kind = Literal["rigid", "affine"]
Start = Literal["header", "centres"]
Matrix = npt.NDArray[np.float64]  # (4, 4)
Rows = tuple[tuple[float, float, float, float], ...]

FEWEST = 8  # voxels along an axis: with fewer, nothing tells how far to move along it
BINS = 50  # of the joint histogram; Mattes 2003
SMALLEST_STEP = 0.005  # of the level's voxel edge: far below what the image can tell
RELAXATION = 0.9  # of the step where the slope turns; with ITK's 0.5 the search ends voxels too early
STEPS = 200  # at most, on each level
ENOUGH = 50_000  # sampled points from which the joint histogram of 50 x 50 is well known
BLUR = 0.7  # voxel edges of each level: or sampling noise alone would draw it off the grid
SHOWS = 0.02  # of the largest value: what is darker counts as air when centres are compared
OVERLAP = 0.25  # of the fixed patient, below which a result is a guess


class RegistrationRules(Record):
    """How two scans are registered.

    start    header: as the files say; centres: the middle of what they show on each other
    levels   voxel edges of the levels of detail, in those of the finest
    voxels   the finest level has at most about so many: a head at 2 mm, which tells tenths of a millimetre
    seed     of the sampling: the same seed, the same answer
    """

    kind: Kind = "rigid"
    start: Start = "header"
    levels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (4, 2, 1)
    voxels: Annotated[int, Field(ge=4096)] = 1 << 20
    seed: Annotated[int, Field(ge=1)] = 12345  # ITK takes 0 for "any"


class Alignment(Record):
    """Where the moving scan lies on the fixed one, and how sure that is.

    matrix           (4, 4) moving world -> fixed world, RAS+ in mm
    before, after    mutual information in nats, as the headers have it and as found
    displacement_mm  the farthest that a corner of what the moving scan shows is moved
    voxels           the same in voxels of the fixed scan, along the axis where it is most
    rotation_deg     of the whole, about whatever axis
    overlap          share of what the fixed scan shows that the moving one covers when aligned
    """

    version: Literal[1] = 1
    rules: RegistrationRules
    matrix: Annotated[Rows, Field(min_length=4, max_length=4)]
    before: float
    after: float
    displacement_mm: float
    voxels: float
    rotation_deg: float
    overlap: float

    @property
    def affine(self) -> Matrix:
        """(4, 4) moving world -> fixed world."""
        return np.array(self.matrix, dtype=float)

    def moved(self, grid: Geometry) -> Geometry:
        """The moving scan's grid, where it lies on the fixed scan."""
        return Geometry(grid.shape, self.affine @ grid.affine)

    def applied(self, moving: Volume, onto: Geometry, *, order: Orders = 3, outside: float = 0) -> Volume:
        """The moving scan on a grid of the fixed one: interpolated once, by cubic splines."""
        there = Volume(moving.array, self.moved(moving.geometry), moving.channels, moving.source)
        return there.resampled(onto, order=order, outside=outside)

    def applied_to_labels(self, labels: LabelMap, onto: Geometry, *, order: Orders = 0) -> LabelMap:
        """Labels of the moving scan on a grid of the fixed one; no value is made up."""
        there = LabelMap(labels.array, self.moved(labels.geometry), labels.schema, labels.notes)
        return there.resampled(onto, order=order)

    def to_line(self) -> str:
        """The finding in words."""
        return (
            f"{self.rules.kind}: moved by up to {self.displacement_mm:.2f} mm ({self.voxels:.2f} voxels), "
            f"turned by {self.rotation_deg:.2f} degrees; mutual information {self.before:.3f} before, "
            f"{self.after:.3f} after; covers {self.overlap:.0%}"
        )


def register(fixed: Volume, moving: Volume, rules: RegistrationRules | None = None) -> Alignment:
    """Where the first channel of `moving` lies on the first channel of `fixed`.

    What the headers say is kept where nothing better is found. One at a time: ITK keeps its threads for all.

    Raises:
        DataError: a scan is flat or not finite, they do not overlap, or the result would be a guess.
        GeometryError: a scan has too few voxels along an axis.
    """
    rules = rules or RegistrationRules()
    for scan in (fixed, moving):
        _refuse_unfit(scan)
    first, second = _Shown.of(fixed), _Shown.of(moving)
    start = _start(first, second, rules)
    with _one_thread():
        found = _search(first, second, start, rules)
        told = _Judged.of(first, second, np.eye(4), rules), _Judged.of(first, second, found, rules)
    if rules.start == "header" and told[1].information <= told[0].information:
        found, told = np.eye(4), (told[0], told[0])
    before, after = told
    if after.overlap < OVERLAP:
        raise DataError(
            f"{_names(fixed, moving)}: where they look most alike, only {after.overlap:.0%} of the first "
            f"is covered by the second (expected {OVERLAP:.0%} or more): that is a guess. Register scans of "
            "the same part of the body."
        )
    onto: Matrix = np.asarray(np.linalg.inv(found), dtype=np.float64)  # moving world -> fixed world
    corners = moving.geometry.cropped(second.box).corners()
    shift = _applied(onto, corners) - corners
    steps = shift @ np.linalg.inv(fixed.geometry.affine[:3, :3]).T  # in voxels of the fixed scan
    return Alignment(
        rules=rules,
        matrix=_rows(onto),
        before=before.information,
        after=after.information,
        displacement_mm=float(np.linalg.norm(shift, axis=1).max()),
        voxels=float(np.abs(steps).max()),
        rotation_deg=_angle(onto),
        overlap=after.overlap,
    )


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a scan shows, as registration sees it."""

    scan: Volume
    box: Box
    centre: npt.NDArray[np.float64]  # mm, of what is brighter than air

    @classmethod
    def of(cls, scan: Volume) -> _Shown:
        values = scan.array[0].astype(np.float64)
        bright = np.argwhere(values - values.min() > SHOWS * (values.max() - values.min()))
        centre = scan.geometry.to_world(bright.mean(axis=0))
        return cls(scan, nonzero_box(Volume(scan.array[:1], scan.geometry)), centre)

    @property
    def image(self) -> Any:
        """The first channel as an ITK image in our world."""
        import SimpleITK as itk  # noqa: N813 - heavy: only who registers pays for it

        grid = self.scan.geometry
        image = itk.GetImageFromArray(np.ascontiguousarray(self.scan.array[0].T.astype(np.float32)))
        image.SetSpacing(grid.spacing)
        image.SetOrigin(grid.affine[:3, 3].tolist())
        image.SetDirection((grid.affine[:3, :3] / grid.spacing).ravel().tolist())
        return image

    def level(self, edge_mm: float) -> Any:
        """The image with voxel edges of about `edge_mm`, blurred first."""
        import SimpleITK as itk  # noqa: N813

        grid = self.scan.geometry
        factors = [
            max(1, min(round(edge_mm / size), n // FEWEST))
            for size, n in zip(grid.spacing, grid.shape, strict=True)
        ]
        image = self.image
        for axis, (size, factor) in enumerate(zip(grid.spacing, factors, strict=True)):
            image = itk.RecursiveGaussian(image, BLUR * size * factor, direction=axis)
        return itk.Shrink(image, factors) if max(factors) > 1 else image


@contextmanager
def _one_thread() -> Iterator[None]:
    """ITK sums in one order: the same bits every time. The number of its threads is put back afterwards."""
    import SimpleITK as itk  # noqa: N813

    before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _refuse_unfit(scan: Volume) -> None:
    if min(scan.geometry.shape) < FEWEST:
        raise GeometryError(
            f"registration takes volumes of at least {FEWEST} voxels along every axis, got "
            f"{' x '.join(map(str, scan.geometry.shape))}{scan.source.note}. Pictures and stacks of few "
            "slices say too little about where they lie in depth."
        )
    values = scan.array[0]
    if not np.isfinite(values).all():
        raise DataError(
            f"the scan holds NaN or infinite values{scan.source.note}. Replace them by what means air."
        )
    if values.min() == values.max():
        raise DataError(
            f"the scan shows nothing: all voxels are {float(values.flat[0]):g}{scan.source.note}. There is "
            "nothing to register; look whether the file was exported right."
        )


def _start(fixed: _Shown, moving: _Shown, rules: RegistrationRules) -> Matrix:
    """Fixed world -> moving world, before the search."""
    start = np.eye(4)
    if rules.start == "centres":
        start[:3, 3] = moving.centre - fixed.centre
        return start
    covered = _covered(fixed, moving, start)
    if not covered:
        apart = float(np.linalg.norm(fixed.centre - moving.centre))
        raise DataError(
            f"{_names(fixed.scan, moving.scan)}: do not overlap: by their headers the middles of what they "
            f"show are {apart:.0f} mm apart. If they show the same part of the body in other coordinates, "
            "begin with their middles on each other (start: centres)."
        )
    return start


def _search(fixed: _Shown, moving: _Shown, start: Matrix, rules: RegistrationRules) -> Matrix:
    """Fixed world -> moving world, level by level."""
    import SimpleITK as itk  # noqa: N813

    finest = _finest(fixed, moving, rules)
    rigid = itk.Euler3DTransform()
    rigid.SetCenter(fixed.centre.tolist())
    rigid.SetTranslation((_applied(start, fixed.centre) - fixed.centre).tolist())
    for level in rules.levels:
        rigid = itk.Euler3DTransform(_level(fixed, moving, rigid, level, finest, rules))
    if rules.kind == "rigid":
        return _matrix(rigid)
    free = itk.AffineTransform(3)
    free.SetCenter(rigid.GetCenter())
    free.SetMatrix(rigid.GetMatrix())
    free.SetTranslation(rigid.GetTranslation())
    for level in rules.levels[1:] or rules.levels:
        free = itk.AffineTransform(_level(fixed, moving, free, level, finest, rules))
    return _matrix(free)


def _finest(fixed: _Shown, moving: _Shown, rules: RegistrationRules) -> float:
    """The voxel edge of the finest level, in mm."""
    grid = fixed.scan.geometry
    whole = math.prod(grid.shape) * grid.voxel_ml * 1000
    sharp = max(min(grid.spacing), min(moving.scan.geometry.spacing))
    return float(max(sharp, (whole / rules.voxels) ** (1 / 3)))


def _level(
    fixed: _Shown, moving: _Shown, transform: Any, level: int, finest: float, rules: RegistrationRules
) -> Any:
    """The transform that the search on one level ends with."""
    method = _method(rules)
    edge = level * finest
    still = fixed.level(edge)
    share = min(1.0, ENOUGH / math.prod(still.GetSize()))
    method.SetMetricSamplingStrategy(method.REGULAR if share < 1 else method.NONE)
    method.SetMetricSamplingPercentage(share, rules.seed)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=edge,
        minStep=SMALLEST_STEP * edge,
        numberOfIterations=STEPS,
        relaxationFactor=RELAXATION,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=False)
    try:
        found = method.Execute(still, moving.level(edge))
    except RuntimeError as error:  # what ITK raises, whatever the cause
        raise DataError(
            f"{_names(fixed.scan, moving.scan)}: could not be registered: "
            f"{str(error).strip().splitlines()[-1].strip()} Look whether they show the same part of the body."
        ) from None
    return found.GetNthTransform(0) if found.GetName() == "CompositeTransform" else found


def _method(rules: RegistrationRules) -> Any:
    import SimpleITK as itk  # noqa: N813

    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(itk.sitkLinear)
    return method


@dataclass(frozen=True)
class _Judged:
    """How well a matrix brings two scans together."""

    information: float
    overlap: float

    @classmethod
    def of(cls, fixed: _Shown, moving: _Shown, matrix: Matrix, rules: RegistrationRules) -> _Judged:
        import SimpleITK as itk  # noqa: N813

        covered = _covered(fixed, moving, matrix)
        if not covered:
            return cls(0.0, 0.0)
        transform = itk.AffineTransform(3)
        transform.SetMatrix(matrix[:3, :3].ravel().tolist())
        transform.SetTranslation(matrix[:3, 3].tolist())
        method = _method(rules)
        method.SetInitialTransform(transform)
        edge = rules.levels[-1] * 2 * _finest(fixed, moving, rules)
        try:
            value = method.MetricEvaluate(fixed.level(edge), moving.level(edge))
        except RuntimeError:  # fewer common points than the measure needs
            return cls(0.0, covered)
        return cls(-float(value), covered)


def _covered(fixed: _Shown, moving: _Shown, matrix: Matrix) -> float:
    """Share of what the fixed scan shows that lies within the moving one."""
    grid = fixed.scan.geometry.cropped(fixed.box).respaced(
        triple(2 * size for size in fixed.scan.geometry.spacing)
    )
    there = Geometry(moving.scan.geometry.shape, np.linalg.inv(matrix) @ moving.scan.geometry.affine)
    return float(inside(there, grid).mean())


def _matrix(transform: Any) -> Matrix:
    """(4, 4) of an ITK transform with a centre."""
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift + centre - linear @ centre
    return matrix


def _applied(matrix: Matrix, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _angle(matrix: Matrix) -> float:
    """Degrees by which the nearest rotation turns."""
    u, _, v = np.linalg.svd(matrix[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(u @ v) - 1) / 2, -1, 1))))


def _rows(matrix: Matrix) -> Rows:
    return tuple(tuple(float(x) for x in row) for row in matrix)  # type: ignore[misc]


def _names(fixed: Volume, moving: Volume) -> str:
    return f"{_name(fixed, 'the fixed scan')} and {_name(moving, 'the moving scan')}"


def _name(scan: Volume, what: str) -> str:
    return scan.source.files[0] if scan.source.files else what

"""Summary: a result on one page, to look at: key slices with contours, volumes, model, and what it is not.

The page names nobody unless it is asked to. Contours run along the edges of pixels, as in the RTSTRUCT. It is
drawn by matplotlib, without its global state; letters that its font lacks become question marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from delineate import __version__
from delineate.clinic.contours import polygons
from delineate.clinic.images import read_images
from delineate.clinic.measurements import CT, Measurements
from delineate.clinic.result import Finding, Result
from delineate.clinic.series import Series, Vectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
Format = Literal["pdf", "png"]

A4 = (8.27, 11.69)  # inches
DPI = 150
FONT = "DejaVu Sans"  # comes with matplotlib
PANELS = 6
ROWS = 22  # of the table; what is more stands in delivery.json
WINDOW = (-160.0, 240.0)  # HU: soft tissue
SHARES = (1, 99)  # percent of the pixels of other scans that are not clipped
LEFT, RIGHT, BOTTOM = 0.085, 0.94, 0.085  # of the page
COLUMNS = ((LEFT, "structure"), (0.34, "code"), (0.69, "ml"), (0.84, "long x short mm"), (RIGHT, "HU"))
NUMBERS = frozenset(("ml", "long x short mm", "HU"))
NOTICE = "For research use only. Not for diagnosis or treatment."


def draw_summary(result: Result, measurements: Measurements, *, names_patient: bool = False) -> Figure:
    """The page of a result."""
    from matplotlib.figure import Figure

    page = Figure(figsize=A4, facecolor="white")
    _head(page, result, names_patient)
    _table(page, result, measurements)
    _pictures(page, result)
    _foot(page, result)
    return page


def as_bytes(page: Figure, form: Format, when: datetime) -> bytes:
    """A page as a PDF of one page, or as a PNG."""
    buffer = BytesIO()
    about = {
        "pdf": {"Title": "Segmentation summary", "Creator": f"delineate {__version__}", "CreationDate": when},
        "png": {"Title": "Segmentation summary", "Software": f"delineate {__version__}"},
    }
    page.savefig(buffer, format=form, dpi=DPI, metadata=about[form])
    return buffer.getvalue()


# Words


def _head(page: Figure, result: Result, names_patient: bool) -> None:
    series, maker = result.series, result.maker
    columns, rows, slices = series.grid_shape
    across, down = series.spacing
    size = f"{columns} x {rows} x {slices} voxels of {across:.3g} x {down:.3g} x {series.gap:.3g} mm"
    lines = [
        f"{series.modality or 'Images'}, {size}",
        f"Made by {maker.name} {maker.version} ({maker.kind.lower()})"
        + (f", model sha256 {maker.digest[:16]}" if maker.digest else ""),
        f"{result.when:%Y-%m-%d %H:%M}; {_signed(result)}",
        *([_patient(series)] if names_patient else []),
    ]
    _say(page, LEFT, 0.955, "Segmentation summary", size=16, weight="bold")
    for n, line in enumerate(lines):
        _say(page, LEFT, 0.928 - 0.017 * n, line, size=9)


def _signed(result: Result) -> str:
    return "not reviewed" if result.approval is None else f"approved by {result.approval.reviewer}"


def _patient(series: Series) -> str:
    known = {
        name: str(series.header.get(name, "") or "-") for name in ("PatientName", "PatientID", "StudyDate")
    }
    name = known["PatientName"].split("=")[0].replace("^", " ").strip()
    return f"Patient {name}, {known['PatientID']}; study of {known['StudyDate']}"


def _table(page: Figure, result: Result, measurements: Measurements) -> None:
    top, step = 0.85, 0.0155
    for x, head in COLUMNS:
        _say(page, x, top, head, size=8, weight="bold", side="right" if head in NUMBERS else "left")
    shown = result.findings[:ROWS]
    for n, finding in enumerate(shown, 1):
        y = top - step * n
        _say(page, 0.07, y, "■", size=8, color=_color(finding))
        for (x, head), cell in zip(COLUMNS, _cells(finding, measurements), strict=True):
            _say(page, x, y, cell, size=8, side="right" if head in NUMBERS else "left")
    if more := len(result.findings) - len(shown):
        _say(page, LEFT, top - step * (len(shown) + 1), f"and {more} more in delivery.json", size=8)


def _cells(finding: Finding, measurements: Measurements) -> tuple[str, ...]:
    measured, concept = measurements.of(finding), finding.concept
    side = "" if concept.side is None else f", {concept.side.meaning.lower()}"
    lines = (measured.long_mm, measured.short_mm)
    return (
        _cut(finding.name, 34),
        _cut(f"{concept.kind.scheme}:{concept.kind.value} {concept.kind.meaning}{side}", 38),
        f"{measured.volume_ml:.4g}" if measured.voxels else "not found",
        " x ".join(f"{value:.1f}" for value in lines if value is not None) or "-",
        "-" if measured.mean_hu is None else f"{measured.mean_hu:.0f} ± {measured.sd_hu or 0:.0f}",
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _foot(page: Figure, result: Result) -> None:
    _say(page, LEFT, 0.035, NOTICE, size=9, weight="bold", color=(0.7, 0.0, 0.0))
    _say(page, RIGHT, 0.035, f"delineate {__version__}", size=8, side="right", color=(0.4, 0.4, 0.4))
    for n, note in enumerate(result.notes[:2]):
        _say(page, LEFT, 0.055 + 0.014 * n, _cut(note, 120), size=7, color=(0.3, 0.3, 0.3))


def _say(
    page: Figure,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    weight: str = "normal",
    side: str = "left",
    color: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Words on the page, taken as they are: `$` is a dollar."""
    words = page.text(x, y, _printable(text), size=size, weight=weight, ha=side, color=tuple(color))
    words.set_parse_math(False)
    words.set_fontfamily(FONT)


def _printable(text: str) -> str:
    """Text in letters that matplotlib's own font has."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont(FONT)).get_charmap()
    return "".join(letter if ord(letter) in known else "?" for letter in text)


# Pictures


def _pictures(page: Figure, result: Result) -> None:
    """The key slices, as large as they fit below the table."""
    used = min(len(result.findings), ROWS) + (len(result.findings) > ROWS)
    top = 0.825 - 0.0155 * used
    images = read_images(result.series)
    window = WINDOW if result.series.modality == CT else _window(images)
    slices = _key_slices(result)
    columns, rows = _arranged(len(slices), result.series, (RIGHT - LEFT) * A4[0], (top - BOTTOM) * A4[1])
    wide, high = (RIGHT - LEFT) / columns, (top - BOTTOM) / rows
    for n, (k, said) in enumerate(slices):
        row, column = divmod(n, columns)
        place = (LEFT + column * wide, top - (row + 1) * high, wide - 0.015, high - 0.025)
        axes = page.add_axes(place, anchor="N")
        _picture(axes, result, k, images[:, :, k], window)
        axes.set_title(_printable(said), size=7, parse_math=False, family=FONT)


def _arranged(count: int, series: Series, wide: float, high: float) -> tuple[int, int]:
    """Columns and rows in which so many slices are largest on a place so many inches wide and high."""
    width, height = (pixels * mm for pixels, mm in zip(series.shape, series.spacing, strict=True))
    scales = {
        (columns, rows): min(wide / columns / width, high / rows / height)
        for columns in range(1, count + 1)
        for rows in [-(-count // columns)]
    }
    return max(scales, key=lambda way: scales[way])


def _key_slices(result: Result) -> list[tuple[int, str]]:
    """For the largest structures the slice that shows most of each; slices are shown once."""
    shown: dict[int, list[str]] = {}
    parts = [(finding, part) for finding in result.findings if (part := result.part(finding)) is not None]
    for finding, (box, mask) in sorted(parts, key=lambda each: -int(each[1][1].sum())):
        k = box.start[2] + int(np.argmax(mask.sum(axis=(0, 1))))
        if k in shown or len(shown) < PANELS:
            shown.setdefault(k, []).append(finding.name)
    count = result.array.shape[2]
    if not shown:
        return [(count // 2, f"slice {count // 2 + 1} of {count}: nothing was found")]
    return [(k, _cut(f"slice {k + 1} of {count}: {', '.join(names)}", 46)) for k, names in shown.items()]


def _picture(axes: Axes, result: Result, k: int, values: Array, window: tuple[float, float]) -> None:
    series = result.series
    (columns, rows), (across, down) = series.shape, series.spacing
    extent = (-0.5 * across, (columns - 0.5) * across, (rows - 0.5) * down, -0.5 * down)
    axes.imshow(values.T, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, interpolation="nearest")
    for finding in result.findings:
        inside = np.isin(result.array[:, :, k], finding.values)
        for polygon in polygons(inside, keyhole=False) if inside.any() else ():
            x, y = np.concatenate([polygon, polygon[:1]]).T
            axes.plot(x * across, y * down, color=_color(finding), linewidth=1)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_axis_off()
    for x, y, way in ((0.02, 0.5, -series.axes[0]), (0.5, 0.98, -series.axes[1])):
        upright = "top" if y > 0.9 else "center"
        axes.text(x, y, _letter(way), transform=axes.transAxes, color="yellow", size=7, va=upright)


def _letter(way: Vectors) -> str:
    """Where a direction (LPS+) leads: Left, Right, Posterior, Anterior, Superior, Inferior."""
    axis = int(np.argmax(np.abs(way)))
    return ("LR", "PA", "SI")[axis][int(way[axis] < 0)]


def _window(images: Array) -> tuple[float, float]:
    low, high = np.percentile(images, SHARES)
    return float(low), float(max(high, low + 1e-6))


def _color(finding: Finding) -> tuple[float, float, float]:
    red, green, blue = finding.concept.color
    return red / 255, green / 255, blue / 255

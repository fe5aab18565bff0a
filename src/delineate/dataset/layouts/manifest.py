"""Manifest: a CSV or JSON list of cases, for data that lie in any other way.

CSV: columns `case`, `image` or one column per channel, `label`, and where known `patient`, `site` and any
others, which are kept. A column is a channel where its cells name scans. An empty image cell declares a
missing channel, an empty label cell a case to be segmented. `labels.json` beside it says what values mean.

A column `label:ANNA` is what the rater Anna drew. Where the cell `label` is empty, the reference is what most
raters said.

JSON: {"channels": ["T1", "FLAIR"], "labels": {"background": 0, "lesion": 1}, "cases": [{"case": "a",
"T1": "a/t1.nii.gz", "FLAIR": "a/flair.nii.gz", "label": "a/lesion.nii.gz", "patient": "p1"}]}; with
"optional": ["FLAIR"] a case may lack that channel (beside a CSV, `channels.json` says so).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from delineate.dataset.case import Case
from delineate.dataset.layouts.nnunet import missing_file
from delineate.dataset.layouts.pairs import channels_of, discovered
from delineate.dataset.listing import Listing, duplicate, may_lack, read_json, refuse_empty, within
from delineate.dataset.problem import Problem
from delineate.dataset.table_file import RATER, RESERVED, Row, TableFile, facts, read_table
from delineate.dataset.values import LabelTable, label_table, read_label_table
from delineate.errors import DataError
from delineate.io import is_scan

NAME = "manifest"
NEEDS = "dataset.csv, or another CSV or JSON file, with columns case, image (or one per channel), label"

FILE = "dataset.csv"
TABLES = (".csv", ".tsv")
IMAGE = "image"


def fits(path: Path) -> bool:
    """Whether this is a manifest, or a folder with one."""
    if path.is_dir():
        return (path / FILE).is_file()
    return path.suffix.lower() in TABLES or (path.suffix.lower() == ".json" and "cases" in read_json(path))


def listed(path: Path, table: LabelTable | None = None) -> Listing:
    """The cases of a manifest; `table` replaces its label table."""
    file = path / FILE if path.is_dir() else path
    if file.suffix.lower() in TABLES:
        sheet, columns = _sheet(file)
        own = file.parent / "labels.json"
        table = table or (read_label_table(own) if own.is_file() else None)
        name = file.parent.name if file.name == FILE else file.stem
    else:
        content = read_json(file)
        sheet, columns = _json_sheet(file, content)
        table = table or _json_table(file, content)
        name = str(content.get("name", file.stem))
        found = _listing(sheet, columns, table, name, path)
        return replace(found, optional=may_lack(content.get("optional", []), found.channels, file))
    return _listing(sheet, columns, table, name, path)


def _json_table(file: Path, content: Mapping[str, Any]) -> LabelTable | None:
    labels = content.get("labels")
    if isinstance(labels, str):
        return read_label_table(within(file.parent, labels, file))
    return None if labels is None else label_table(labels, where=str(file))


def _listing(
    sheet: TableFile, columns: tuple[str, ...], table: LabelTable | None, name: str, root: Path
) -> Listing:
    refuse_empty(sheet.rows, sheet.path, "a line per case")
    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    for row in sheet.rows:
        case, wrong = _case(row, sheet, columns)
        problems += wrong
        if case.id in cases:
            problems.append(duplicate(case.id, f"line {row.line} of {sheet.path.name} repeats it"))
        elif any(case.images):
            cases[case.id] = case
    refuse_empty(cases, sheet.path, "images that exist; none of those named does")
    labelled = tuple(case for case in cases.values() if case.labels)
    return Listing(
        name=name,
        root=root,
        layout=NAME,
        channels=columns if columns != (IMAGE,) else channels_of(cases.values()),
        table=table or discovered([case.labels for case in labelled if case.labels], sheet.path.parent),
        cases=tuple(sorted(labelled, key=lambda case: case.id)),
        unlabelled=tuple(sorted((c for c in cases.values() if not c.labels), key=lambda case: case.id)),
        problems=tuple(problems),
    )


def _case(row: Row, sheet: TableFile, columns: tuple[str, ...]) -> tuple[Case, list[Problem]]:
    """The case of a line; files that do not exist are a problem, and left out."""
    root, where = sheet.path.parent, sheet.path
    free = [name for name in sheet.columns if name not in columns]
    known = facts(row, free)
    named = [within(root, row[name], where) if row[name] else None for name in columns]
    label = within(root, row["label"], where) if row["label"] else None
    raters = {
        name.removeprefix(RATER): within(root, row[name], where)
        for name in sheet.columns
        if name.startswith(RATER) and row[name]
    }
    absent = [path for path in (*named, label, *raters.values()) if path is not None and not path.exists()]
    raters = {name: path for name, path in raters.items() if path not in absent}
    label = next(iter(raters.values()), None) if label is None else label
    images = tuple(None if path in absent else path for path in named)
    if len(columns) == 1 and images == (None,):
        label = None
    case = replace(known, images=images, labels=None if label in absent else label, raters=raters)
    return case, [missing_file(case.id, path, where) for path in absent]


def _sheet(file: Path) -> tuple[TableFile, tuple[str, ...]]:
    sheet = read_table(file)
    if IMAGE in sheet.columns:
        return sheet, (IMAGE,)
    channels = tuple(
        name
        for name in sheet.columns
        if name not in RESERVED and not name.startswith(RATER) and _names_scans(sheet, name)
    )
    if not channels:
        raise DataError(
            f"{file}: no column names images. Expected a column 'image', or one column per channel; "
            f"got {', '.join(sheet.columns)}."
        )
    return sheet, channels


def _names_scans(sheet: TableFile, column: str) -> bool:
    """Whether every filled cell of a column is the name of a scan."""
    cells = [row[column] for row in sheet.rows if row[column]]
    return bool(cells) and all(is_scan(within(sheet.path.parent, cell, sheet.path)) for cell in cells)


def _json_sheet(file: Path, content: Mapping[str, Any]) -> tuple[TableFile, tuple[str, ...]]:
    entries = content["cases"]
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "case" in e for e in entries):
        raise DataError(f'{file}: cases is a list of {{"case": "a", "image": "a.nii.gz", "label": ...}}.')
    nested = [cell for entry in entries for cell in entry.values() if isinstance(cell, (dict, list))]
    if nested:
        raise DataError(f"{file}: what a case says is text or a number, got {nested[0]!r}.")
    rows = tuple(
        Row(n, {key: str(cell).strip() for key, cell in entry.items() if cell is not None})
        for n, entry in enumerate(entries, 1)
    )
    columns = tuple(dict.fromkeys(key for row in rows for key in row.cells))
    named = content.get("channels", [IMAGE])
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise DataError(f'{file}: channels is a list of names, ["T1", "FLAIR"]; got {named!r}.')
    channels = tuple(named)
    unknown = [name for name in channels if name not in columns]
    if unknown:
        raise DataError(
            f"{file}: no case names an image under {', '.join(map(repr, unknown))}. 'channels' lists the "
            f"keys that do; the cases have {', '.join(columns)}."
        )
    return TableFile(file, columns, rows), channels

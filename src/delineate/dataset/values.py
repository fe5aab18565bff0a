"""Table: what the values or colours in label files mean.

`labels.json`, the `labels` of a `dataset.json` and those of a manifest are the same table, name -> value:

    {"background": 0, "cytoplasm": 128, "nucleus": 255}           grey values of a picture
    {"background": "#000000", "gland": "#ff0000"}                 colours
    {"background": 0, "nucleus": "nonzero"}                       every value but 0
    {"background": 0, "nucleus": "instances"}                     every value but 0 is one nucleus of its own
    {"background": 0, "lymphocyte": 1, "epithelial": 2, "ids_per_kind": 1000}    1007 is one lymphocyte
    {"background": 0, "whole": [1, 2], "core": 2, "regions_class_order": [1, 2]}     nested regions
    {"background": 0, "lesion": 1, "ignore": 2}                   voxels that nobody annotated

Values 1..n are kept as they are; others become 1..n in the order of the table. Nothing is interpolated
and nothing guessed: a value that the table does not list is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from delineate.errors import DataError
from delineate.space import Label, LabelSchema, Region

Array = npt.NDArray[Any]

NONZERO = "nonzero"
INSTANCES = "instances"
PER_KIND = "ids_per_kind"
ORDER = "regions_class_order"
NAMES = "label_names"
WIDEST = 1 << 32  # label values lie within 32 bits
WIDEST_TABLE = 1 << 17  # values; up to here a lookup table is faster than sorting


@dataclass(frozen=True)
class ValueTable(Mapping[int, int]):
    """What each value in a label file becomes.

    pairs    file value -> schema value
    nonzero  what every value besides those and 0 becomes, or None where that is an error
    packed   whether the file values are colours 0xRRGGBB
    objects  whether every value of a file is one object
    per_kind how many values each kind of object has, where `pairs` name kinds: the value 1007 is of the kind
             1 where there are 1000; None where they name values
    """

    pairs: Mapping[int, int]
    nonzero: int | None = None
    packed: bool = False
    objects: bool = False
    per_kind: int | None = None

    @classmethod
    def identity(cls, schema: LabelSchema) -> ValueTable:
        """The table of files that already hold the values of the schema."""
        return cls({value: value for value in schema.values})

    def __getitem__(self, value: int) -> int:
        if value not in self.pairs and self.nonzero is not None and value != 0:
            return self.nonzero
        if self.per_kind is not None and value >= self.per_kind:
            return self.pairs[value // self.per_kind]
        return self.pairs[value]

    def __iter__(self) -> Iterator[int]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def applied(self, array: Array) -> Translated:
        """The array (...) in schema values, and what the table did not know.

        Unknown voxels become 0 in the result, which nobody should use then.
        """
        kind = np.uint8 if max([*self.pairs.values(), self.nonzero or 0]) < 256 else np.uint16
        low, high = int(array.min()), int(array.max())
        if high - low < WIDEST_TABLE:
            values = np.arange(low, high + 1)
            table, known = self._looked_up(values, kind)
            index = array.astype(np.int64) - low if low else array
            result, strange = table[index], None if known.all() else ~known[index]
        else:
            values, index = np.unique(array, return_inverse=True)
            table, known = self._looked_up(values, kind)
            result = table[index].reshape(array.shape)
            strange = None if known.all() else ~known[index].reshape(array.shape)
        unknown = {} if strange is None else counted(array[strange])
        return Translated(result, unknown)

    def _looked_up(self, values: Array, kind: type) -> tuple[Array, npt.NDArray[np.bool_]]:
        table: Array = np.zeros(len(values), kind)
        known = np.zeros(len(values), bool)
        if self.nonzero is not None:
            table[values != 0] = self.nonzero
            known |= values != 0
        if self.per_kind is not None:  # ids below the first kind's stand for nothing
            values = np.where((values > 0) & (values < self.per_kind), -1, values // self.per_kind)
        for value, meaning in self.pairs.items():
            here = values == value
            table[here] = meaning
            known |= here
        return table, known


@dataclass(frozen=True)
class Translated:
    """Label values of the schema (i, j, k), and how often each unknown file value occurred."""

    array: Array
    unknown: Mapping[int, int]


@dataclass(frozen=True)
class LabelTable:
    """A schema, and how the values in files become its values (None: they are the same)."""

    schema: LabelSchema
    values: ValueTable | None = None


def counted(array: Array) -> dict[int, int]:
    """How often each value occurs."""
    values, counts = np.unique(array, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def read_label_table(path: Path) -> LabelTable:
    """The table in a `labels.json`: name -> value, or the JSON of a `LabelSchema`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}). {EXAMPLE}") from None
    return label_table(content, where=str(path))


EXAMPLE = 'Expected for example {"background": 0, "cytoplasm": 128, "nucleus": 255}.'


def label_table(content: Any, *, where: str) -> LabelTable:
    """The table that a JSON value holds; `where` opens every error message."""
    if not isinstance(content, dict) or not content:
        raise DataError(f"{where}: a label table is a JSON object of names and values. {EXAMPLE}")
    if isinstance(content.get("labels"), list):
        return LabelTable(LabelSchema.from_json(json.dumps(content), where=where))
    entries = Entries.of(content, where)
    try:
        return entries.table()
    except ValidationError as error:
        reasons = "; ".join(str(problem["msg"]) for problem in error.errors(include_url=False))
        raise DataError(f"{where}: this label table does not hold together: {reasons}.") from None


@dataclass(frozen=True)
class Entries:
    """A table as it is written: names with the file values that they stand for."""

    where: str
    sets: Mapping[str, tuple[int, ...]]  # name -> file values; NONZERO stands apart
    background: int = 0
    ignore: int | None = None
    nonzero: str | None = None  # the name that every other value gets
    order: tuple[int, ...] | None = None  # regions_class_order
    names: Mapping[int, str] = field(default_factory=dict)  # of single values, where regions are learnt
    packed: bool = False
    objects: bool = False
    per_kind: int | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str) -> Entries:
        """The entries of a JSON object."""
        rest = dict(content)
        order, names, per_kind = rest.pop(ORDER, None), rest.pop(NAMES, {}), rest.pop(PER_KIND, None)
        if not isinstance(names, dict) or not all(str(value).isdecimal() for value in names):
            raise DataError(f'{where}: {NAMES!r} is {{"1": "necrosis", ...}}, got {names!r}.')
        objects = INSTANCES in rest.values() or per_kind is not None
        rest = {name: NONZERO if value == INSTANCES else value for name, value in rest.items()}
        nonzero = [name for name, value in rest.items() if value == NONZERO]
        if len(nonzero) > 1:
            raise DataError(f"{where}: only one name can stand for {NONZERO!r}, got {nonzero}.")
        sets = {
            name: _values(value, f"{where}: {name!r}") for name, value in rest.items() if value != NONZERO
        }
        packed = any(isinstance(value, str) and value != NONZERO for value in _flat(rest.values()))
        if packed and any(isinstance(value, int) and value for value in _flat(rest.values())):
            raise DataError(f"{where}: give either colours (#rrggbb) or numbers, not both: {dict(rest)}.")
        background, ignore = sets.pop(_background(sets), (0,)), sets.pop("ignore", None)
        if not sets and not nonzero:
            raise DataError(f"{where}: names no label besides background. {EXAMPLE}")
        if len(background) != 1 or (ignore is not None and len(ignore) != 1):
            raise DataError(f"{where}: background and ignore have one value each.")
        return cls(
            where=where,
            sets=sets,
            background=background[0],
            ignore=ignore[0] if ignore else None,
            nonzero=nonzero[0] if nonzero else None,
            order=None if order is None else _values(order, f"{where}: {ORDER!r}"),
            names={int(value): str(name) for value, name in names.items()},
            packed=packed,
            objects=objects,
            per_kind=None if per_kind is None else _values(per_kind, f"{where}: {PER_KIND!r}")[0],
        )

    @property
    def has_regions(self) -> bool:
        """Whether some name stands for several values."""
        return any(len(values) > 1 for values in self.sets.values())

    def table(self) -> LabelTable:
        """The schema and the translation that these entries say."""
        if self.has_regions and self.nonzero:
            raise DataError(f"{self.where}: nested regions cannot be combined with {NONZERO!r}.")
        self._refuse_vague_objects()
        found = sorted({v for values in self.sets.values() for v in values})
        self._refuse_twice(found)
        if not self.has_regions:
            found = [values[0] for values in self.sets.values()]
        becomes = self._numbered(found)
        labels = [Label(value=becomes[v], name=self._name(v), color=self._color(v)) for v in found]
        if self.nonzero:
            labels.append(Label(value=len(found) + 1, name=self.nonzero))
        ignore = None if self.ignore is None else len(labels) + 1
        schema = LabelSchema(
            labels=tuple(sorted(labels, key=lambda label: label.value)),
            regions=self._regions(becomes) if self.has_regions else (),
            ignore=ignore,
        )
        pairs = {self.background: 0, **becomes}
        if self.ignore is not None and ignore is not None:
            pairs[self.ignore] = ignore
        nonzero = len(labels) if self.nonzero else None
        same = all(value == meaning for value, meaning in pairs.items()) and not self.nonzero
        same = same and not self.objects
        table = ValueTable(pairs, nonzero, self.packed, self.objects, self.per_kind)
        return LabelTable(schema, None if same else table)

    def _refuse_vague_objects(self) -> None:
        """Where every value is an object, nothing else is said of single values."""
        if not self.objects:
            return
        others = self.ignore is not None or self.has_regions or self.packed or self.background != 0
        mixed = bool(self.sets) == (self.nonzero is not None) or (self.per_kind is None) == bool(self.sets)
        if others or mixed or (self.per_kind is not None and self.per_kind < 2):
            raise DataError(
                f"{self.where}: where every value is one object, a table names one kind of them, "
                f'{{"background": 0, "nucleus": "{INSTANCES}"}}, or says how many ids each kind has, '
                f'{{"background": 0, "lymphocyte": 1, "epithelial": 2, "{PER_KIND}": 1000}}; nothing else.'
            )

    def _refuse_twice(self, found: list[int]) -> None:
        single = [values[0] for values in self.sets.values() if len(values) == 1]
        taken = [*(found if self.has_regions else single), self.background]
        taken += [] if self.ignore is None else [self.ignore]
        twice = sorted({value for value in taken if taken.count(value) > 1})
        if twice:
            shown = [f"#{v:06x}" if self.packed else str(v) for v in twice]
            raise DataError(f"{self.where}: {', '.join(shown)} has more than one name; give it one.")

    def _numbered(self, found: Sequence[int]) -> dict[int, int]:
        if not self.packed and sorted(found) == list(range(1, len(found) + 1)):
            return {value: value for value in found}
        return {value: n for n, value in enumerate(found, 1)}

    def _name(self, value: int) -> str:
        if value in self.names:
            return self.names[value]
        single = [name for name, values in self.sets.items() if values == (value,)]
        return single[0] if single else f"label_{value}"

    def _color(self, value: int) -> tuple[int, int, int] | None:
        return (value >> 16, value >> 8 & 255, value & 255) if self.packed else None

    def _regions(self, becomes: Mapping[int, int]) -> tuple[Region, ...]:
        order = self.order
        if order is None or len(order) != len(self.sets) or not set(order) <= set(becomes):
            names = ", ".join(self.sets)
            raise DataError(
                f"{self.where}: nested regions need {ORDER!r}: for each of {names}, in this order, the value "
                f"that its voxels get when regions are painted one over the other; got {order}."
            )
        return tuple(
            Region(name=name, values=tuple(becomes[v] for v in values), paints=becomes[paints])
            for (name, values), paints in zip(self.sets.items(), order, strict=True)
        )


def suggested(values: Sequence[int], *, packed: bool) -> str:
    """The `labels.json` to write for files that hold these values, names to be filled in."""
    rest = [value for value in values if value != 0]
    table: dict[str, int | str] = {"background": "#000000" if packed else 0}
    for value in rest:
        shown = f"#{value:06x}" if packed else value
        table["foreground" if len(rest) == 1 else f"label_{str(shown).strip('#')}"] = shown
    return json.dumps(table)


def _values(value: Any, where: str) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple(_value(item, where) for item in value)
    return (_value(value, where),)


def _value(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < WIDEST:
        return value
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:], 16)
    raise DataError(
        f"{where} is {value!r}; expected a whole number, a list of them, a colour #rrggbb or {NONZERO!r}."
    )


def _flat(values: Any) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _background(sets: Mapping[str, tuple[int, ...]]) -> str:
    """The name of the background: "background", or whatever stands for 0."""
    if "background" in sets:
        return "background"
    return next((name for name, values in sets.items() if values == (0,)), "background")

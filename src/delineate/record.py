"""Record: a frozen value that lives on disk as readable JSON.

Plans, fingerprints, schemas, reports and model cards are records. An unknown field, a wrong type or a
broken rule is refused with the path of the field (`configurations.3d_fullres.patch[1]`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from delineate.errors import RecordError


class Record(BaseModel):
    """Base of all records: frozen, no unknown fields, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again as if it were new."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**(fields | changes))

    def differing(self, other: Self) -> list[str]:
        """The names of the fields in which the two are not equal."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]

    def to_json(self) -> str:
        """Readable JSON: short lists stay on one line."""
        return compact(self.model_dump(mode="json")) + "\n"

    def digest(self) -> str:
        """SHA-256 (hex) of the content, independent of the layout of the file."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Self:
        """The record that `text` holds; `where` (a file name) opens every error message."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise RecordError(_explained(error, where)) from None

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The record in a JSON file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise RecordError(f"{path}: cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise RecordError(f"{path}: is not a text file; expected JSON.") from None
        return cls.from_json(text, where=str(path))


def compact(value: Any, indent: int = 0, width: int = 110) -> str:
    """JSON text in which everything that fits on a line stays on it, and long lists of values fill lines."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    pad, close = " " * (indent + 2), " " * indent
    if isinstance(value, dict):
        lines = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {compact(item, indent + 2, width)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{close}}}"
    if not any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + "\n".join(_filled(value, pad, width)) + f"\n{close}]"
    return "[\n" + ",\n".join(pad + compact(item, indent + 2, width) for item in value) + f"\n{close}]"


def _filled(values: list[Any], pad: str, width: int) -> list[str]:
    """Plain values in lines as full as fit."""
    words = [json.dumps(value, ensure_ascii=False) + "," for value in values[:-1]]
    words.append(json.dumps(values[-1], ensure_ascii=False))
    lines = [pad + words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(pad + word)
    return lines


def _explained(error: ValidationError, where: str) -> str:
    lines = [f"{where}: {error.error_count()} field(s) do not fit:"]
    for problem in error.errors(include_url=False):
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]
        ).lstrip(".")
        got = problem.get("input")
        shown = f" (got {got!r})" if isinstance(got, (str, int, float, bool, type(None))) else ""
        lines.append(f"  {path or 'the whole record'}: {problem['msg']}{shown}")
    return "\n".join(lines)

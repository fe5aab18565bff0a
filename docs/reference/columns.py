"""Columns: lines like `name   what it is` in our docstrings, shown as a list on the reference pages."""

from __future__ import annotations

import re
from typing import Any

import griffe

ENTRY = re.compile(r"(?P<name>\S.*?) {2,}(?P<text>\S.*)")
SHOWN_AS_IT_IS = "    "  # further in: a tree, a formula, an example


class Columns(griffe.Extension):
    """Turns columns into lists before a docstring is rendered."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = listed(obj.docstring.value)


def listed(text: str) -> str:
    """The text with every run of columns as a Markdown list."""
    result: list[str] = []
    in_list = False
    for line in text.splitlines():
        entry = None if line.startswith(SHOWN_AS_IT_IS) else ENTRY.fullmatch(line.strip())
        if entry is not None:
            result += [] if in_list else [""]
            result.append(f"- **{entry['name']}**: {entry['text']}")
            in_list = True
        elif in_list and line.startswith(" ") and line.strip():
            result[-1] += " " + line.strip()
        else:
            in_list = False
            result.append(line)
    return "\n".join(result)

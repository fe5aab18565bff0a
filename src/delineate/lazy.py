"""Lazy: names of a folder that are imported when they are first used.

Torch takes a second to load and SimpleITK, pydicom and matplotlib most of one: who checks a dataset or asks
for `--help` should not wait for what they do not use. Source: PEP 562.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `homes` says which of its modules holds which public names."""
    home = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return find

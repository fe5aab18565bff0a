"""Alone: a package imported as if another were not installed, because it would import that for nothing."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def imported_without(name: str, absent: str) -> Any:
    """The package `name`, which does not find `absent` while it is imported; afterwards all else does.

    Where either is imported already, that costs nothing and is left as it is.
    """
    if name in sys.modules or absent in sys.modules:
        return import_module(name)
    sys.modules[absent] = None  # type: ignore[assignment]  # how Python says: do not look for it
    try:
        return import_module(name)
    finally:
        del sys.modules[absent]

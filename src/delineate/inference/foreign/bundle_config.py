"""The configuration of a MONAI bundle, read as data.

Values may refer to others ("@pixdim", "@displayable_configs#sw_overlap"), which is followed, or be Python
("$..."), which is never run: where such a value is needed, the bundle is refused.
Format: https://docs.monai.io/en/stable/bundle_intro.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.dataset.listing import read_json
from delineate.errors import ModelError

FILE = "inference.json"
REFERENCE = re.compile(r"@([\w#:.]+)")
DEEPEST = 20  # references that follow one another; more go in a circle
ASIDE = ("_target_", "_disabled_", "_desc_", "_mode_", "_requires_")


@dataclass(frozen=True)
class Step:
    """A part that the bundle makes: the last part of its class's name, and what it is given."""

    name: str
    given: Mapping[str, Any]
    where: str

    def only(self, *names: str) -> None:
        """Refuses a part that is given anything else."""
        strange = sorted(set(self.given) - set(names))
        if strange:
            raise ModelError(
                f"{self.where}: {self.name} is given {', '.join(strange)}, which is not known here."
            )

    def __getitem__(self, name: str) -> Any:
        if name not in self.given:
            raise ModelError(f"{self.where}: {self.name} has no {name}.")
        return self.given[name]


@dataclass(frozen=True)
class BundleConfig:
    """The tree of the configuration, and the file that it is from."""

    tree: Mapping[str, Any]
    path: Path

    @classmethod
    def open(cls, bundle: Path) -> BundleConfig:
        """The inference configuration of a bundle's folder.

        Raises:
            ModelError: there is none.
            DataError: it cannot be read.
        """
        path = bundle / "configs" / FILE
        if not path.is_file():
            raise ModelError(
                f"{bundle}: is no MONAI bundle; expected configs/{FILE}, configs/metadata.json and "
                "models/model.pt. Configurations in YAML: write them as JSON first."
            )
        return cls(read_json(path), path)

    def value(self, tree: Any, where: str) -> Any:
        """A value with all references in it followed.

        Raises:
            ModelError: it is Python, or refers to nothing or in a circle.
        """
        return self._followed(tree, where, 0)

    def step(self, name: str) -> Step:
        """The part under `name` at the top of the configuration."""
        if name not in self.tree:
            raise ModelError(f"{self.path}: has no {name}.")
        return self._step(self.tree[name], name)

    def steps(self, name: str) -> Iterator[Step]:
        """The parts of a Compose under `name`, without those that are disabled."""
        compose = self.tree.get(name)
        if not isinstance(compose, Mapping) or not isinstance(compose.get("transforms"), list):
            raise ModelError(f"{self.path}: {name} is no Compose with a list of transforms.")
        for number, part in enumerate(compose["transforms"]):
            step = self._step(part, f"{name}.transforms.{number}")
            if not (isinstance(part, Mapping) and part.get("_disabled_")):
                yield step

    def _step(self, part: Any, where: str) -> Step:
        if not isinstance(part, Mapping) or not isinstance(part.get("_target_"), str):
            raise ModelError(f"{self.path}, {where}: is no part with a _target_, got {part!r:.80}.")
        given = {key: value for key, value in part.items() if key not in ASIDE}
        name = part["_target_"].rpartition(".")[2]
        return Step(name, _Resolving(self, given, f"{where}.{name}"), f"{self.path}, {where}")

    def _followed(self, value: Any, where: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise ModelError(f"{self.path}, {where}: its references go in a circle.")
        match value:
            case str() if value.startswith("$"):
                raise ModelError(
                    f"{self.path}, {where}: is Python ({value:.60}), which is not run here. Write the value "
                    "itself into the file."
                )
            case str() if found := REFERENCE.fullmatch(value):
                return self._followed(self._named(found[1], where), where, depth + 1)
            case list():
                return [self._followed(each, where, depth) for each in value]
            case dict():
                return {key: self._followed(each, where, depth) for key, each in value.items()}
            case _:
                return value

    def _named(self, name: str, where: str) -> Any:
        node: Any = self.tree
        for part in re.split(r"#|::", name):
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ModelError(f"{self.path}, {where}: refers to @{name}, which is not there.") from None
        return node


class _Resolving(Mapping[str, Any]):
    """What a part is given; references are followed when a value is asked for, and not before."""

    def __init__(self, config: BundleConfig, raw: Mapping[str, Any], where: str) -> None:
        self._config, self._raw, self._where = config, raw, where

    def __getitem__(self, name: str) -> Any:
        return self._config.value(self._raw[name], f"{self._where}.{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

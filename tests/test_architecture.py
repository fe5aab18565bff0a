"""The layers in ARCHITECTURE.md are a fact, not a wish."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "delineate"

# Lower may never import higher. Names on one line never import each other.
LAYERS = [
    ["errors"],
    ["record", "progress"],
    ["space"],
    ["io"],
    ["dataset"],
    ["planning"],
    ["preparation", "networks", "evaluation"],
    ["training", "inference"],
    ["pipeline"],
    ["cli"],
]
LEVEL = {name: level for level, line in enumerate(LAYERS) for name in line}


def imports(path: Path) -> set[str]:
    """Names below `delineate` that a file imports anywhere, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("delineate.")}


def home(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_reach_down(path):
    here = home(path)
    if here in ("__init__", "__main__"):
        return
    for there in imports(path) - {here}:
        assert LEVEL[there] < LEVEL[here], (
            f"{path.relative_to(ROOT)} imports {there}, which is not below {here}"
        )

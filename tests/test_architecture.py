"""The layers in ARCHITECTURE.md are a fact, not a wish, and the page names every folder."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT / "src" / "delineate"

# Lower may never import higher. Names on one line never import each other.
LAYERS = [
    ["errors"],
    ["record", "progress", "lazy", "page"],
    ["space"],
    ["io", "shift"],
    ["dataset"],
    ["planning"],
    ["preparation", "networks", "evaluation"],
    ["training", "inference"],
    ["clinic"],  # trust, prompting and pathology stand on this line too
    ["pipeline"],
    ["cli"],
    ["__init__", "__main__"],  # the public names, and `python -m delineate`
]
LEVEL = {name: level for level, line in enumerate(LAYERS) for name in line}
FACTS = {"__version__"}  # names of the package itself that any file may read


def imports(path: Path) -> set[str]:
    """Names below `delineate` that a file imports anywhere, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("delineate.")} - FACTS


def home(path: Path) -> str:
    """The folder of a file, or the name of one that lies in none."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def homes() -> list[str]:
    """Folders and files directly below `delineate`, without the dunder files."""
    return sorted({home(path) for path in ROOT.rglob("*.py")} - {"__init__", "__main__"})


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_reach_down(path):
    here = home(path)
    for there in imports(path) - {here}:
        assert there in LEVEL, (
            f"{path.relative_to(ROOT)} imports delineate.{there}, which is no folder: "
            "take public names from the folder that holds them"
        )
        assert LEVEL[there] < LEVEL[here], (
            f"{path.relative_to(ROOT)} imports {there}, which is not below {here}"
        )


def test_every_folder_has_its_layer():
    assert sorted(LEVEL) == sorted([*homes(), "__init__", "__main__"])


def test_the_page_names_every_folder_in_its_table_and_its_layers():
    page = (PROJECT / "ARCHITECTURE.md").read_text()
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    in_table = [name.removesuffix("/") for name in re.findall(r"`([^`]+)`", rows)]
    assert sorted(in_table) == homes()
    assert all(f"`{name}/`" in rows for name in homes() if (ROOT / name).is_dir())


def test_the_layers_on_the_page_are_those_that_are_checked():
    page = (PROJECT / "ARCHITECTURE.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    drawn = [[name.strip() for name in line.split("|")] for line in blocks[-1].splitlines()]
    assert [sorted(line) for line in drawn] == [sorted(line) for line in reversed(LAYERS[:-1])]

"""The public names are all there, and cost nothing until they are used."""

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import delineate

PACKAGE = Path(delineate.__file__).parent
HEAVY = ("torch", "SimpleITK", "matplotlib", "pydicom", "monai", "scipy", "skimage", "nibabel")
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def modules_after(code: str) -> list[str]:
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    program = f"import json, sys\n{code}\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return json.loads(done.stderr)


@pytest.mark.parametrize("name", delineate.__all__)
def test_every_public_name_can_be_had_and_says_what_it_is(name):
    thing = getattr(delineate, name)
    assert isinstance(thing, str) or thing.__doc__


def test_the_public_names_are_those_of_the_folders():
    named = [name for names in delineate.HOMES.values() for name in names]
    assert sorted([*named, "__version__"]) == sorted(delineate.__all__) == sorted(set(delineate.__all__))
    assert dir(delineate) == sorted(delineate.__all__)


def test_a_checker_of_types_sees_the_same_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        node.module.removeprefix("delineate."): {alias.name for alias in node.names} for node in block.body
    }
    assert seen == {folder: set(names) for folder, names in delineate.HOMES.items()}


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'delineate' has no attribute 'nonsense'"):
        delineate.nonsense  # noqa: B018


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_offers_what_it_lists_in_order(folder):
    module = import_module(f"delineate.{folder}")
    names = getattr(module, "__all__", [])
    assert all(hasattr(module, name) for name in names)
    assert len(set(names)) == len(names)


def test_importing_the_package_loads_no_library():
    loaded = modules_after("import delineate")
    assert not set(loaded) & {*HEAVY, "numpy", "pydantic"}
    assert [name for name in loaded if name.startswith("delineate")] == ["delineate", "delineate.lazy"]


def test_help_loads_no_heavy_library():
    loaded = modules_after(
        "from delineate.cli import main\n"
        "sys.argv = ['delineate', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert not set(loaded) & {*HEAVY, "numpy"}


def test_reading_scans_and_datasets_loads_no_torch():
    loaded = modules_after("import delineate\ndelineate.Dataset, delineate.read_volume, delineate.evaluate")
    assert not set(loaded) & {"torch", "matplotlib"}


def test_the_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", delineate.__version__)

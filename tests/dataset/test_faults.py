"""The same faults, asked of this package and of nnU-Net 2.8.1, whose answers are `peer_verdicts.json`."""

import json
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from delineate.dataset import Dataset, check
from delineate.errors import Error

HERE = Path(__file__).parent
VERDICTS = json.loads((HERE / "peer_verdicts.json").read_text())


def loaded():
    spec = util.spec_from_file_location("dataset_faults", HERE / "faults.py")
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


faults = loaded()


def planted(small, root, name):
    """A good dataset, and the same with one fault."""
    small.nnunet(root)
    if name != "good":
        faults.EVERY[name](root, small)
    return root


def passes(root):
    try:
        return check(Dataset.open(root)).ok
    except Error:
        return False


@pytest.mark.parametrize("name", ["good", *(fault.__name__ for fault in (*faults.FAULTS, *faults.CLEAN))])
def test_what_nnunet_refuses_is_refused_and_what_it_lets_pass_passes(small, tmp_path, name):
    assert passes(planted(small, tmp_path, name)) == VERDICTS[name]


def test_fifteen_faults_are_compared_and_nnunet_refuses_them_all():
    assert len(faults.FAULTS) == 15
    assert not any(VERDICTS[fault.__name__] for fault in faults.FAULTS)


@pytest.mark.parametrize("name", [fault.__name__ for fault in faults.STRICTER])
def test_what_would_train_on_nonsense_is_refused_though_nnunet_lets_it_pass(small, tmp_path, name):
    assert not passes(planted(small, tmp_path, name))
    assert VERDICTS[name]


@pytest.mark.parametrize("name", [fault.__name__ for fault in faults.CONVERTED])
def test_what_only_needs_renumbering_passes_though_nnunet_refuses_it(small, tmp_path, name):
    assert passes(planted(small, tmp_path, name))
    assert not VERDICTS[name]


@pytest.mark.peer
def test_the_verdicts_are_still_those_of_nnunet(small, tmp_path, peer_python):
    folders = [planted(small, tmp_path / name, name) for name in ("good", *faults.EVERY)]
    answers = tmp_path / "verdicts.json"
    asked = [peer_python, HERE / "peer_verdicts.py", answers, *folders]
    subprocess.run(asked, capture_output=True, text=True, check=True)
    assert json.loads(answers.read_text()) == VERDICTS

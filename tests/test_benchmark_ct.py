"""The benchmark of a large CT, on a tiny one."""

import json

import numpy as np
import pytest
from benchmarks.ct import SMALL, Bench, agreement, export, main, make_model, make_scan, table

from delineate.inference import Segmenter
from delineate.inference.foreign import import_nnunet
from delineate.io import read_volume, write_volume
from delineate.space import Geometry, Volume


@pytest.fixture
def example(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(-900, 900, size=(1, 9, 9, 9)).astype(np.int16)
    write_volume(Volume(array, Geometry((9, 9, 9), np.diag([3.0, 3, 3, 1])), ("CT",)), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


def test_the_scan_is_the_example_in_the_middle_of_air(example, tmp_path):
    make_scan(example, tmp_path / "made_0000.nii.gz", SMALL.shape)
    made = read_volume(tmp_path / "made_0000.nii.gz")
    assert made.geometry.shape == SMALL.shape
    assert made.geometry.spacing == pytest.approx((0.8, 0.8, 2.0))
    assert made.array[0, 0, 0, 0] == -1024
    assert made.array[0, 30, 25, 12] > -1000


def test_the_network_of_the_peers_kind_is_imported(tmp_path):
    bench = Bench(tmp_path, SMALL, None, 1)
    make_model(bench.theirs(9), 9, SMALL)
    import_nnunet(bench.theirs(9), bench.model(9))
    segmenter = Segmenter.open(bench.model(9))
    assert len(segmenter.plan.labels.outputs) == 9
    assert segmenter.plan.configuration("3d_fullres").patch == (16, 16, 16)


def test_logits_become_labels_and_labels_are_compared(example, tmp_path):
    bench = Bench(tmp_path, SMALL, None, 1)
    make_scan(example, bench.scan, SMALL.shape)
    for part in ("logits_ours", "logits_peer"):
        target = bench.labels(part).with_suffix("").with_suffix(".npy")
        target.parent.mkdir(exist_ok=True)
        export(bench.scan, bench.logits(), target)
    assert agreement(bench, "logits_ours", "logits_peer") == 1
    assert set(np.unique(np.load(target))) == {0, 1, 2}
    kept = {part: {"seconds": s, "megabytes": 5000} for part, s in (("logits_ours", 2), ("logits_peer", 50))}
    assert "| logits_peer / logits_ours | 25.00x | 1.00x | 1.00000 |" in table(bench, kept)


@pytest.mark.slow
def test_parts_are_kept_and_not_run_again(example, tmp_path, capsys):
    given = [str(tmp_path), "--scan", str(example), "--small", "--parts", "25_bf16"]
    main(given)
    first = json.loads((tmp_path / "ct.json").read_text())
    main(given)
    assert json.loads((tmp_path / "ct.json").read_text()) == first
    assert "| 25_bf16 |" in capsys.readouterr().out

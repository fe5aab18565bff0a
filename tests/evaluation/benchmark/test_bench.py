"""Methods under equal compute: an order, the luck in it, and who is proven better."""

import json

import numpy as np
import pytest

from delineate.evaluation import Rules, evaluate
from delineate.evaluation.benchmark import Trained, bench_of, bench_page, write_bench
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((24, 6, 6), np.eye(4))
SCHEMA = LabelSchema.of("liver")
CASES = tuple(f"case_{n:02d}" for n in range(12))


def _report(lost):
    def load(case):
        number = int(case[-2:])
        reference = np.zeros(GRID.shape, np.uint8)
        reference[:20] = 1
        found = reference.copy()
        found[: lost + number % 3] = 0
        return LabelMap(reference, GRID, SCHEMA), LabelMap(found, GRID, SCHEMA)

    return evaluate(CASES, load, rules=Rules(metrics=("dice",)))


def _result(method, seed, lost):
    report = _report(lost)
    trained = Trained(
        method=method,
        seed=seed,
        network=method,
        loss="dice_ce",
        optimizer="adamw",
        learning_rate=1e-3,
        configuration="2d",
        patch=(32, 32),
        batch=4,
        parameters=1_500_000,
        steps=100 + seed,
        minutes=2.0,
        teraflops=3.5,
        mean=report.mean(),
    )
    return trained, report


def _bench(results, **how):
    facts = {
        "title": "t",
        "metrics": ("dice",),
        "budget": "2 minutes",
        "fairness": ("the same",),
        "failed": {},
    }
    return bench_of(results, **(facts | how))


@pytest.fixture(scope="module")
def found():
    return _bench(
        {
            "narrow": [_result("narrow", 0, 6), _result("narrow", 1, 5)],
            "wide": [_result("wide", 0, 1), _result("wide", 1, 2)],
            "deep": [_result("deep", 0, 5), _result("deep", 1, 7)],
        },
        margin=0.01,
    )


def test_methods_stand_in_their_order_with_intervals_and_the_luck_of_seeds(found):
    assert [method.name for method in found.methods] == ["wide", "narrow", "deep"]
    wide = found.methods[0]
    assert wide.low < wide.mean < wide.high
    assert wide.mean == pytest.approx(np.mean(wide.means))
    assert wide.seed_sd == pytest.approx(np.std(wide.means, ddof=1))


def test_who_is_proven_better_is_told_of_every_pair(found):
    heads, rows = found.pair_table()
    table = {(row[0], column): cell for row in rows for column, cell in zip(heads[1:], row[1:], strict=True)}
    assert table["wide", "narrow"].startswith("+")
    assert "*" in table["wide", "narrow"]
    assert table["narrow", "wide"][1:7] == table["wide", "narrow"][1:7]
    assert table["narrow", "wide"].startswith("-")
    assert table["wide", "wide"] == "-"
    assert found.verdict.startswith("wide comes first")
    assert found.verdict.endswith(".")


def test_orders_of_seeds_are_held_against_each_other(found):
    # wide, deep, narrow with one seed and wide, narrow, deep with the other: two pairs of three agree
    assert found.seed_tau == pytest.approx(1 / 3)
    assert "Orders of two seeds are alike by a tau of 0.33" in " ".join(found.how)


def test_what_it_cost_is_told(found):
    heads, rows = found.cost_table()
    assert dict(zip(heads, rows[0], strict=True))["steps"] == "100 to 101"
    assert dict(zip(heads, rows[0], strict=True))["parameters"] == "1.5 M"


def test_it_is_written_for_people_and_machines(found, tmp_path):
    write_bench(found, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["metric"] == "dice"
    assert len((tmp_path / "bench.csv").read_text().splitlines()) == 1 + 6
    assert "32 x 32" in (tmp_path / "bench.csv").read_text()
    text = (tmp_path / "bench.md").read_text()
    assert "### Row less column, Dice" in text
    assert "- the same" in text
    page = bench_page(found)
    assert page.count("<svg") == 2
    assert "wide comes first" in page
    assert type(found).load(tmp_path / "bench.json") == found


def test_two_methods_are_compared_without_a_ranking():
    found = _bench({"a": [_result("a", 0, 1)], "b": [_result("b", 0, 3)]})
    assert found.verdict.startswith("a is better, proven")
    assert "One seed: how much of a difference is luck is not known. Give two or more." in found.warnings
    assert found.seed_tau is None
    assert bench_page(found).count("<svg") == 1


def test_one_method_is_only_told():
    found = _bench({"a": [_result("a", 0, 1)]}, failed={"b, seed 0": "too large"})
    assert found.verdict == "One method was trained, a: there is nothing to compare."
    assert "b, seed 0 has no result: too large" in found.warnings
    assert "| a | 0.9" in found.to_markdown()
    assert bench_page(found)


def test_uneven_seeds_are_a_warning():
    found = _bench({"a": [_result("a", 0, 1), _result("a", 1, 2)], "b": [_result("b", 0, 3)]})
    assert any("different numbers of seeds" in warning for warning in found.warnings)


def test_a_method_that_found_nothing_is_last_and_has_a_line():
    nothing, report = _result("a", 0, 1)
    report = report.but(
        rows=tuple(row.but(value=None) if row.metric == "dice" else row for row in report.rows)
    )
    found = _bench({"a": [(nothing.but(mean=None), report)], "b": [_result("b", 0, 3)]})
    assert found.methods[-1].mean is None
    assert "missing" in found.to_markdown()
    assert "not compared" in found.to_markdown()
    assert bench_page(found)

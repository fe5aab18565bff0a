import re

from delineate.evaluation.comparison import Terms, compare
from delineate.evaluation.comparison.showing import comparison_page


def test_the_page_says_the_verdict_first_and_then_what_it_rests_on(made_model):
    one, other = made_model(0.02, 1, title="new"), made_model(0, 2, missed=[4], title="old")
    found = compare(one, other, terms=Terms(margins={"dice": 0.02}))
    page = comparison_page(found)
    assert "<title>new and old compared</title>" in page
    assert f'<p class="lead">{found.verdict}</p>' in page
    assert re.findall(r"<h2>(.*)</h2>", page) == ["new less old", "How this was found"]
    assert page.count("<svg") == 3
    assert "values without a partner are left out" in page
    assert "1 value without a partner</small>" in page
    assert "<b>40 cases</b><span>of 40 patients</span>" in page
    assert page.count("new better, proven</td>") >= 3
    assert not re.search(r'(?:src|href)="http', page)


def test_of_three_models_the_order_comes_first(made_model):
    page = comparison_page(compare(*(made_model(0.02 * n, n, title=f"m{n}") for n in range(3))))
    assert re.findall(r"<h2>(.*)</h2>", page) == [
        "Order, if other patients had come",
        "m0 less m1",
        "m0 less m2",
        "m1 less m2",
        "How this was found",
    ]
    assert "first in 100 % of the draws" in page


def test_names_are_text_and_nothing_else(made_model):
    page = comparison_page(compare(made_model(0, 1, title="<script>x"), made_model(0, 2, title="b")))
    assert "<script>" not in page


def test_what_cannot_be_compared_has_a_page(made_report):
    one = made_report({"lesion": {"hd95": [1.0]}}, title="one")
    other = made_report({"lesion": {"hd95": [None]}}, title="other")
    page = comparison_page(compare(one, other))
    assert "cannot be compared: no case has a value of both" in page
    assert "<b>1 case</b><span>of 1 patient</span>" in page

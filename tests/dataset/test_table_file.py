import pytest

from delineate.dataset.table_file import read_facts, read_table
from delineate.errors import DataError


@pytest.mark.parametrize(
    "text",
    [
        "case,patient,site,age\na,p1,Bern,61\nb,p1,,\n",
        "case;patient;site;age\r\na;p1;Bern;61\r\n\r\nb;p1;;\r\n",
        "\ufeffcase\tpatient\tsite\tage\n a \tp1\tBern\t61\nb\tp1\n",
    ],
    ids=["comma", "semicolon and CRLF", "tab and byte order mark"],
)
def test_the_usual_spellings_of_a_table_are_read(tmp_path, text):
    path = tmp_path / "cases.csv"
    path.write_bytes(text.encode())
    facts = read_facts(path)
    assert list(facts) == ["a", "b"]
    assert (facts["a"].group, facts["a"].site, facts["a"].extra) == ("p1", "Bern", {"age": "61"})
    assert (facts["b"].site, facts["b"].extra) == (None, {})


def test_quoted_cells_may_hold_the_delimiter(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text('case,remark\na,"one, two"\n')
    assert read_facts(path)["a"].extra == {"remark": "one, two"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "one of them 'case'; got nothing"),
        (b"id,patient\n1,2\n", "one of them 'case'; got id, patient"),
        (b"case,case\na,b\n", "each once"),
        (b"case,patient\na,b,c\n", "line 2 has 3 cells, but there are 2 columns"),
        (b"case,patient\n,b\n", "line 2 has no case. Give every case a name of its own"),
        (b"case\n\xff\xfe\n", "is not UTF-8"),
        (b"case\n" + b"a" * 140_000, "is no table: field larger"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(tmp_path, text, says):
    path = tmp_path / "cases.csv"
    path.write_bytes(text)
    with pytest.raises(DataError, match=says):
        read_table(path)


def test_a_table_may_be_about_other_things_than_cases(tmp_path):
    path = tmp_path / "gate.csv"
    path.write_text("structure,metric\nliver,dice\n")
    assert read_table(path, key="structure").rows[0]["metric"] == "dice"
    with pytest.raises(DataError, match="one of them 'case'; got structure, metric"):
        read_table(path)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_table(tmp_path / "cases.csv")

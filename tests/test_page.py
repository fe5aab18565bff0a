from html.parser import HTMLParser

from markupsafe import Markup

from delineate.page import (
    Figure,
    Gallery,
    Items,
    Picture,
    Section,
    Table,
    Wide,
    picture_uri,
    render_page,
    stacked,
)

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "circle", "line", "rect"}


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not the last one opened."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def everything(text):
    return render_page(
        text,
        text,
        [
            Section(
                text,
                (
                    text,
                    Markup("<svg><circle r='2'/></svg>"),
                    Table((text, text), [(text, (text, text)), (text, "1")], text, frozenset({1})),
                    Table((), [(text, text)]),
                    Gallery((Picture("data:,", text, text, text),), ((text, (1, 2, 3)),), (text,)),
                    Wide("data:,", text),
                    Items((text, text)),
                ),
            )
        ],
        figures=(Figure(text, text, text),),
        warnings=(text,),
        footer=text,
    )


def test_no_text_breaks_out_of_the_page():
    html = everything(EVIL)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == everything("harmless").count("harmless") > 20
    assert "<svg><circle" in html


def test_every_tag_is_closed():
    parser = Balanced()
    parser.feed(everything("words"))
    assert parser.open == []
    assert {"table", "svg", "figure", "ul", "section"} <= set(parser.seen)


def test_a_page_asks_nothing_of_a_network():
    html = everything("words")
    assert "http://" not in html
    assert "https://" not in html
    assert "<link" not in html


def test_what_is_not_given_leaves_no_empty_box():
    html = render_page("title", "lead", [])
    body = html[html.index("<body>") :]
    assert "figures" not in body
    assert "warnings" not in body
    assert "<section>" not in body


def test_pictures_stand_in_the_page_itself():
    assert picture_uri(b"abc") == "data:image/png;base64,YWJj"


def test_an_interval_stands_below_its_value():
    assert stacked("0.9 [0.8, 1.0]") == ("0.9", "0.8 to 1.0")
    assert stacked("liver") == "liver"
    assert stacked("1 [0, 2] to 3 [2, 4]") == "1 [0, 2] to 3 [2, 4]"

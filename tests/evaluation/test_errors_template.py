from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.evaluation.results import ComponentResult, Excerpt, PredictionError
from spacy_bertft.pictures.page import Mark, get_environment

evil = st.lists(st.sampled_from(["<script>", "</mark>", "&amp;", '"', "'", "{text}", "<b>", "x", "\n", "é", "{0}"]))
texts = evil.map("".join)


class Reader(HTMLParser):
    """Reads what a browser would show, and which elements there are."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


@given(texts, texts, texts, texts, texts)
def test_texts_and_labels_are_shown_and_not_run(before, entity, after, label, what):
    mark = Mark(len(before), len(before + entity), label)
    excerpts = (Excerpt("gold", before + entity + after), Excerpt("predicted", before + entity + after, (mark,)))
    reader = Reader()
    errors = (PredictionError(0.987, what, excerpts),)
    result = ComponentResult("ner", "bert_ner", "entities", (), errors=errors)
    reader.feed(str(get_environment().get_template("evaluation/errors.jinja").module.errors_section(result)))
    allowed = {"h3", "ol", "li", "p", "b", "figure", "figcaption", "div", "mark", "span", "br"}
    assert set(reader.tags) <= allowed
    assert reader.tags.count("mark") == 1
    assert f"98.7 % {what}" in reader.text
    assert f"gold{before}{entity}{after}" in reader.text
    assert f"predicted{before}{entity}{label}{after}" in reader.text

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spacy_bertft.evaluation.results import cut_excerpt
from spacy_bertft.pictures.page import Mark


@given(st.integers(0, 3000), st.integers(1, 900), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 40))))
def test_an_excerpt_holds_its_middle_and_whole_marks(start, length, gaps):
    text = "".join(chr(0x4E00 + i % 5000) for i in range(4000))
    marks, at = [], 0
    for gap, width in gaps:
        at += gap
        marks.append(Mark(at, at + width, "A"))
        at += width
    end = min(len(text), start + length)
    excerpt = cut_excerpt("gold", text, tuple(marks), start, end)
    assert text[start:end] in excerpt.text
    texts = [excerpt.text[mark.char_start : mark.char_end] for mark in excerpt.marks]
    whole = [text[mark.char_start : mark.char_end] for mark in marks]
    kept = [each for each in whole if each in texts]
    assert texts == kept
    # No mark is cut through: what is not kept is not there at all.
    first = text.index(excerpt.text.strip("… ")[0])
    shown = range(first, first + len(excerpt.text.strip("… ")))
    for mark in marks:
        inside = [place in shown for place in range(mark.char_start, min(mark.char_end, len(text)))]
        assert all(inside) or not any(inside)


def test_a_short_text_is_whole():
    assert cut_excerpt("text", "short", (), 0, 0).text == "short"
    assert cut_excerpt("text", "x" * 5000, (), 0, 0).text == "x" * 300 + " …"

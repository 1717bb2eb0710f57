from __future__ import annotations

import pytest
from spacy.vocab import Vocab

from spacy_bertft.data.columns.docs import make_gold_doc, make_gold_docs
from spacy_bertft.data.columns.gold import GoldSentence
from spacy_bertft.errors import SettingError
from spacy_bertft.tags.schemes import TagSpan

FIRST = GoldSentence(["drew", "barrymore", "films"], [TagSpan(0, 2, "ACTOR")], [], 0)
SECOND = GoldSentence(["1980s"], [TagSpan(0, 1, "YEAR")], [], 0)
THIRD = GoldSentence(["what", "now"], [], [], 1)


def test_entities_and_sentence_starts() -> None:
    doc = make_gold_doc(Vocab(), [FIRST, SECOND], mark_sentences=True)
    assert doc.text == "drew barrymore films 1980s "
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("drew barrymore", "ACTOR"), ("1980s", "YEAR")]
    assert [sent.start for sent in doc.sents] == [0, 3]


def test_a_doc_without_entities_says_so() -> None:
    doc = make_gold_doc(Vocab(), [THIRD])
    assert [token.ent_iob_ for token in doc] == ["O", "O"]
    assert not doc.has_annotation("SENT_START")


def test_plain_tags() -> None:
    doc = make_gold_doc(Vocab(), [GoldSentence(["dog", "runs"], [], ["NN", "VBZ"], 0)])
    assert [token.tag_ for token in doc] == ["NN", "VBZ"]
    assert not doc.has_annotation("ENT_IOB")


@pytest.mark.parametrize(("n_sents", "lengths"), [(1, [3, 1, 3, 2, 2]), (2, [4, 3, 4]), (9, [7, 4])])
def test_docs_do_not_cross_documents(n_sents: int, lengths: list[int]) -> None:
    docs = make_gold_docs(Vocab(), [FIRST, SECOND, FIRST, THIRD, THIRD], n_sents)
    assert [len(doc) for doc in docs] == lengths


def test_docs_of_no_sentences_are_refused() -> None:
    with pytest.raises(SettingError) as caught:
        list(make_gold_docs(Vocab(), [FIRST], 0))
    assert (caught.value.name, caught.value.value) == ("n_sents", 0)

"""Presidio gets every entity with its own probability, and never a text that was not analyzed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import spacy
from planted_words import plant
from spacy.language import Language
from spacy.tokens import Span

from spacy_bertft.errors import DocumentError, MissingExtraError, SettingError

presidio_analyzer = pytest.importorskip("presidio_analyzer", reason="needs the extra presidio")

from presidio_analyzer import (  # noqa: E402
    AnalyzerEngine,
    BatchAnalyzerEngine,
    Pattern,
    PatternRecognizer,
    RecognizerRegistry,
)
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpEngineProvider  # noqa: E402

from spacy_bertft.presidio import BertNlpEngine  # noqa: E402

MAPPING = {"ACTOR": "PERSON", "TITLE": "WORK", "TOPIC": "SUBJECT"}
PLANTED = [text for text, _ in plant(12, seed=5)]
BREAKS = "broken"  # a word on which a component fails


@Language.component("fail_on_a_word")
def fail_on_a_word(doc):
    if BREAKS in doc.text:
        raise RuntimeError("no reason")
    return doc


@Language.component("find_numbers")
def find_numbers(doc):
    """Find entities with a label that the component does not name."""
    doc.ents = [*doc.ents, *(Span(doc, token.i, token.i + 1, "NUMBER") for token in doc if token.is_digit)]
    return doc


@pytest.fixture
def nlp(planted) -> Language:
    return spacy.load(planted, exclude=["bert_textcat"])


def make_engine(nlp: Any, **settings: Any) -> BertNlpEngine:
    configuration = NerModelConfiguration(**{"model_to_presidio_entity_mapping": MAPPING, **settings})
    return BertNlpEngine([{"lang_code": "en", "model_name": nlp}], configuration)


def make_analyzer(engine: BertNlpEngine, *recognizers: Any) -> AnalyzerEngine:
    """Make an analyzer with these recognizers and that of the engine alone: others ask the network."""
    registry = RecognizerRegistry(recognizers=list(recognizers))
    registry.add_nlp_recognizer(engine)
    return AnalyzerEngine(registry=registry, nlp_engine=engine)


def read(artifacts: Any) -> list[tuple[int, int, str, float]]:
    entities = zip(artifacts.entities, artifacts.scores, strict=True)
    return [(ent.start_char, ent.end_char, ent.label_, pytest.approx(score, abs=1e-5)) for ent, score in entities]


def test_entities_have_their_own_probabilities(nlp):
    engine = make_engine(nlp)
    scores = set()
    for text in PLANTED:
        ents = nlp(text).ents
        expected = [(ent.start_char, ent.end_char, MAPPING[ent.label_], ent._.bertft_score) for ent in ents]
        assert read(engine.process_text(text, "en")) == expected != []
        scores.update(ent._.bertft_score for ent in ents)
    assert len(scores) > 6


@pytest.mark.parametrize("as_tuples", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batches(nlp, batch_size, as_tuples):
    engine = make_engine(nlp)
    texts = ["", *PLANTED, " ", 1980]
    pairs = [(text, {"row": row}) for row, text in enumerate(texts)] if as_tuples else texts
    found = list(engine.process_batch(iter(pairs), "en", batch_size, as_tuples=as_tuples))
    assert [each[0] for each in found] == [*map(str, texts)]
    assert [each[2:] for each in found] == [pair[1:] if as_tuples else () for pair in pairs]
    for text, artifacts, *_ in found:
        assert read(artifacts) == read(engine.process_text(text, "en"))
    assert read(found[0][1]) == read(found[-2][1]) == []


def test_results_replace_what_was_found(nlp):
    """Without presidio-anonymizer, which does as much: from the end, so that positions stay right."""
    text = "show me films with barrymore about the plot of godfather"
    results = make_analyzer(make_engine(nlp)).analyze(text, "en")
    scores = {text[result.start : result.end]: result.score for result in results}
    assert scores == {ent.text: pytest.approx(ent._.bertft_score, abs=1e-5) for ent in nlp(text).ents}
    for result in sorted(results, key=lambda each: -each.start):
        text = f"{text[: result.start]}<{result.entity_type}>{text[result.end :]}"
    assert text == "show me films with <PERSON> about the <SUBJECT> of <WORK>"


def test_tables(nlp):
    analyzer = BatchAnalyzerEngine(make_analyzer(make_engine(nlp)))
    texts = ["films with barrymore", "", 7, "the plot of films"]
    found = analyzer.analyze_iterator(texts, "en", batch_size=3)
    assert [[each.entity_type for each in results] for results in found] == [["PERSON"], [], [], ["SUBJECT"]]
    [column] = analyzer.analyze_dict({"note": texts}, "en")
    for results, expected in zip(column.recognizer_results, found, strict=True):
        assert [(each.entity_type, each.start, each.end) for each in results] == [
            (each.entity_type, each.start, each.end) for each in expected
        ]
        # In batches of another size the last digits differ.
        assert [each.score for each in results] == pytest.approx([each.score for each in expected], abs=1e-6)


def test_nothing_of_a_long_text_is_left_out(nlp):
    """Its windows have 128 subword tokens."""
    words = ["films", "with", "barrymore"] * 700
    text = " ".join(words)
    found = read(make_engine(nlp).process_text(text, "en"))
    assert [start for start, _, label, _ in found if label == "PERSON"] == [
        len(" ".join(words[:index])) + 1 for index in range(2, len(words), 3)
    ]


def test_ignored_labels_and_low_scores(nlp):
    text = "films with barrymore about the plot of godfather"
    plain = dict(zip(*[(each := make_engine(nlp).process_text(text, "en")).entities, each.scores], strict=True))
    settings = {"labels_to_ignore": ["TOPIC", "WORK"], "low_score_entity_names": ["PERSON"]}
    engine = make_engine(nlp, low_confidence_score_multiplier=0.5, **settings)
    artifacts = engine.process_text(text, "en")
    assert [ent.text for ent in artifacts.entities] == ["barrymore"]
    [score] = [score for ent, score in plain.items() if ent.text == "barrymore"]
    assert artifacts.scores == pytest.approx([score / 2])
    assert "WORK" not in engine.get_supported_entities()


def test_entities_of_other_components_have_the_default_score(nlp):
    nlp.add_pipe("entity_ruler", first=True).add_patterns([{"label": "TITLE", "pattern": "films"}])
    artifacts = make_engine(nlp, default_score=0.6).process_text("films with barrymore", "en")
    assert [ent.label_ for ent in artifacts.entities] == ["WORK", "PERSON"]
    assert artifacts.scores[0] == 0.6 != artifacts.scores[1]


def test_words_of_the_context_are_found_without_a_lemmatizer(nlp):
    pattern = Pattern("four digits", r"\d{4}", 0.1)
    recognizer = PatternRecognizer("YEAR", patterns=[pattern], context=["films"])
    analyzer = make_analyzer(make_engine(nlp), recognizer)
    near, far = (analyzer.analyze(text, "en", entities=["YEAR"]) for text in ("Films from 1980", "me 1980"))
    assert near[0].score > far[0].score == 0.1


def test_a_configuration_of_presidio_makes_one(planted):
    models = [{"lang_code": code, "model_name": str(planted)} for code in ("en", "de")]
    settings = {"model_to_presidio_entity_mapping": MAPPING}
    configuration = {"nlp_engine_name": "spacy_bertft", "models": models, "ner_model_configuration": settings}
    engine = NlpEngineProvider((BertNlpEngine,), nlp_configuration=configuration).create_engine()
    assert engine.is_loaded()
    assert engine.get_supported_languages() == ["en", "de"]
    assert read(engine.process_text(PLANTED[0], "de")) == read(engine.process_text(PLANTED[0], "en"))
    with pytest.raises(SettingError, match=r"^language = 'fr'\. Expected one of en, de\.$"):
        engine.process_text(PLANTED[0], "fr")


@pytest.mark.everyday(6)
@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("is_silent", [False, True])
@pytest.mark.parametrize("fails", ["bert_ner", "another component", "the tokenizer"])
def test_a_document_that_fails_is_an_error(nlp, monkeypatch, fails, is_silent, batch_size):
    """Also where the error handler of a pipeline says nothing, so that spaCy leaves the document out."""
    if fails == "bert_ner":
        predict = nlp.get_pipe("bert_ner").predict
        monkeypatch.setattr(nlp.get_pipe("bert_ner"), "predict", lambda docs: predict([*map(fail_on_a_word, docs)]))
    elif fails == "another component":
        nlp.add_pipe("fail_on_a_word")
    else:
        tokenizer = nlp.tokenizer
        nlp.tokenizer = lambda text: fail_on_a_word(tokenizer(text))
    if is_silent:
        nlp.set_error_handler(lambda *_: None)
    texts = [*PLANTED[:4], f"barrymore is {BREAKS}", *PLANTED[4:]]
    done = []
    with pytest.raises(DocumentError, match=r"^Document 4, counted from 0, could not be annotated: ") as caught:
        done.extend(text for text, _ in make_engine(nlp).process_batch(texts, "en", batch_size))
    assert caught.value.index == 4
    assert texts[: len(done)] == done
    with pytest.raises(DocumentError):
        make_analyzer(make_engine(nlp)).analyze(texts[4], "en")


def test_a_document_that_is_left_out_is_missed_among_equal_ones(nlp):
    drop = iter([True, False, False])
    predict = nlp.get_pipe("bert_ner").pipe
    nlp.get_pipe("bert_ner").pipe = lambda docs, **_: (doc for doc in predict(docs) if not next(drop, True))
    with pytest.raises(DocumentError, match="the pipeline has left it out"):
        list(make_engine(nlp).process_batch(["films"] * 3, "en", 3))


def test_errors_of_the_source_of_texts_stay_what_they_are(nlp):
    analyzer = BatchAnalyzerEngine(make_analyzer(make_engine(nlp)))
    with pytest.raises(ValueError, match="only works on primitive types"):
        analyzer.analyze_iterator([*PLANTED, object()], "en", batch_size=5)


def test_pairs_are_pairs(nlp):
    """Two letters would be a text and what belongs to it."""
    with pytest.raises(SettingError, match=r"^texts = 'str'\. Expected pairs"):
        list(make_engine(nlp).process_batch(["ab"], "en", as_tuples=True))


@pytest.mark.process
def test_processes(nlp):
    engine = make_engine(nlp)
    found = list(engine.process_batch(zip(PLANTED, range(12)), "en", 2, n_process=2, as_tuples=True))  # noqa: B905
    assert [read(artifacts) for _, artifacts, _ in found] == [read(engine.process_text(each, "en")) for each in PLANTED]
    assert [context for *_, context in found] == list(range(12))
    nlp.add_pipe("fail_on_a_word")
    with pytest.raises(DocumentError, match="Document 7,"):
        list(engine.process_batch([*PLANTED[:7], BREAKS, *PLANTED[7:]], "en", 2, n_process=2))


def test_a_component_that_does_not_run_is_an_error(nlp):
    engine = make_engine(nlp)
    with nlp.select_pipes(disable=["bert_ner"]):
        with pytest.raises(DocumentError, match=r"Document 0, .* annotated: bert_ner has not run"):
            engine.process_text(PLANTED[0], "en")
        with pytest.raises(SettingError, match=r"^components of the pipeline for 'en' = .* Expected a bert_ner"):
            make_engine(nlp)
    assert read(engine.process_text(PLANTED[0], "en"))


def test_labels_that_are_neither_mapped_nor_ignored_are_an_error(nlp):
    with pytest.raises(SettingError, match=r"^labels of the pipeline for 'en' = \['TITLE', 'TOPIC'\]\. Expected each"):
        make_engine(nlp, model_to_presidio_entity_mapping={"ACTOR": "PERSON"})
    make_engine(nlp, model_to_presidio_entity_mapping={"ACTOR": "PERSON"}, labels_to_ignore=["TITLE", "TOPIC"])
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PLACE", "pattern": "films"}])
    with pytest.raises(SettingError, match="PLACE"):
        make_engine(nlp)


def test_a_label_that_no_component_names_is_an_error_when_it_is_found(nlp):
    nlp.add_pipe("find_numbers")
    engine = make_engine(nlp)
    assert read(engine.process_text("the plot", "en"))
    with pytest.raises(SettingError, match=r"labels of entities = \['NUMBER'\]"):
        engine.process_text("the plot of 1980", "en")


@pytest.mark.parametrize("models", [[{"lang_code": "en"}], [{"lang_code": "en", "model_name": ""}] * 2, [{}]])
def test_models_that_make_no_sense(nlp, models):
    models = [each | ({"model_name": nlp} if "model_name" in each else {}) for each in models]
    with pytest.raises(SettingError, match=r"^models = .* Expected lang_code and model_name, each language once"):
        BertNlpEngine(models, NerModelConfiguration(model_to_presidio_entity_mapping=MAPPING))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer.nlp_engine", None)
    monkeypatch.delitem(sys.modules, "spacy_bertft.presidio")
    with pytest.raises(MissingExtraError, match=r"pip install 'spacy-bertft\[presidio\]'"):
        importlib.import_module("spacy_bertft.presidio")

"""From a pipeline and a file of texts to those to label next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from small_checkpoints import TEXTS, make_sentences
from spacy.training import Example

from spacy_bertft.active.suggest import suggest
from spacy_bertft.errors import ColumnFormatError, DataError, SettingError

POOL = [*dict.fromkeys(make_sentences(40))]


def write(path: Path, texts: list[str]) -> Path:
    lines = [json.dumps({"text": text, "id": number}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(suggestions) -> list[dict]:
    return [json.loads(line) for line in suggestions.lines]


def test_the_most_uncertain_texts_come_first_without_diversity(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", POOL)
    found = read(suggest(pipeline, texts, n_texts=len(POOL), diversity=0, component="bert_ner"))
    uncertainty = [task["uncertainty"] for task in found]
    assert uncertainty == sorted(uncertainty, reverse=True)
    assert sorted(task["text"] for task in found) == sorted(POOL)
    assert all(POOL[task["meta"]["id"]] == task["text"] for task in found)
    fewer = read(suggest(pipeline, texts, n_texts=3, diversity=0, component="bert_ner"))
    assert [task["text"] for task in fewer] == [task["text"] for task in found[:3]]


def test_batches_do_not_matter(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", POOL)
    spacy.load(pipeline, config={"nlp": {"batch_size": 7}}).to_disk(tmp_path / "small")
    options = {"n_texts": 5, "candidates": 3}
    assert spacy.load(tmp_path / "small").batch_size == 7
    found, again = suggest(pipeline, texts, **options), suggest(tmp_path / "small", texts, **options)
    assert [task["text"] for task in read(found)] == [task["text"] for task in read(again)]
    assert suggest(pipeline, texts, **options) == found


def test_the_answer_is_that_of_the_pipeline(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", TEXTS)
    nlp = spacy.load(pipeline)
    n_spans = 0
    for task in read(suggest(pipeline, texts)):
        doc = nlp(task["text"])
        assert [(e.start_char, e.end_char, e.label_) for e in doc.ents] == [
            (span["start"], span["end"], span["label"]) for span in task["spans"]
        ]
        scores = doc.spans["bert_ner"].attrs["scores"]
        assert [span["score"] for span in task["spans"]] == pytest.approx(scores, abs=1e-4)
        assert task["cats"] == pytest.approx(doc.cats, abs=1e-4)
        holds = {label for label in ("me", "the") if doc.cats[label] >= 0.5}
        assert set(task["accept"]) == {max(("film", "other"), key=doc.cats.__getitem__)} | holds
        n_spans += len(task["spans"])
    assert n_spans


def test_the_mean_of_several_components(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", TEXTS)

    def measure(component: str | None) -> dict[str, float]:
        found = read(suggest(pipeline, texts, component=component))
        return {task["text"]: task["uncertainty"] for task in found}

    alone = [measure(name) for name in ("bert_ner", "bert_textcat", "bert_textcat_multilabel")]
    for text, uncertainty in measure(None).items():
        assert uncertainty == pytest.approx(sum(each[text] for each in alone) / 3, abs=1e-5)


def test_copies_and_empty_texts_are_counted(pipeline, tmp_path):
    suggestions = suggest(pipeline, write(tmp_path / "a.jsonl", [*TEXTS, "", TEXTS[0], " ", TEXTS[0]]))
    assert sorted(task["text"] for task in read(suggestions)) == sorted(TEXTS)
    report = suggestions.report
    assert (report.n_lines, report.n_measured, report.n_suggested) == (9, 5, 5)
    assert dict(report.n_left_out) == {"rows without text": 2, "copies of other texts": 2}
    assert report.mean_measured == pytest.approx(report.mean_suggested)
    assert str(report).startswith(
        "9 lines read; left out: rows without text (2), copies of other texts (2); 5 of 5 texts suggested. "
        "Mean uncertainty of bert_ner, bert_textcat, bert_textcat_multilabel: "
    )


def test_lines_or_an_array(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", ["naïve café"])
    [line] = suggest(pipeline, texts, tmp_path / "new" / "b.jsonl").lines
    assert (tmp_path / "new" / "b.jsonl").read_text(encoding="utf-8") == f"{line}\n"
    suggest(pipeline, texts, tmp_path / "b.json", file_format="label-studio")
    [task] = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert task["data"]["text"] == "naïve café"
    assert "naïve" in line


def test_a_tagger_suggests_tags(checkpoint, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_tagger", config={"model": {"encoder": {"name": checkpoint, "precision": "fp32"}}})
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc("a b"), {"tags": ["X", "Y"]})])
    nlp.to_disk(tmp_path / "model")
    [task] = read(suggest(tmp_path / "model", write(tmp_path / "a.jsonl", ["show  me"])))
    assert [(span["start"], span["end"]) for span in task["spans"]] == [(0, 4), (6, 8)]
    assert {span["label"] for span in task["spans"]} <= {"X", "Y"}


def test_earlier_components_are_run(pipeline, tmp_path):
    nlp = spacy.load(pipeline)
    ruler = nlp.add_pipe("entity_ruler", before="bert_ner")
    ruler.add_patterns([{"label": "RULE", "pattern": "show me"}])
    nlp.add_pipe("merge_entities", before="bert_ner")
    nlp.to_disk(tmp_path / "model")
    texts = write(tmp_path / "a.jsonl", [TEXTS[0]])
    [task] = read(suggest(tmp_path / "model", texts, component="bert_ner"))
    assert task["tokens"][0]["text"] == "show me"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"n_texts": 0}, "n_texts = 0. Expected a number from 1 on"),
        ({"candidates": 0}, "candidates = 0"),
        ({"diversity": 1.5}, "diversity = 1.5. Expected a number from 0 to 1"),
        ({"file_format": "brat"}, "format = 'brat'. Expected one of prodigy, label-studio, doccano"),
        ({"component": "bert_encoder"}, "component = 'bert_encoder'. Expected one of bert_ner, bert_textcat"),
        ({"output_path": "."}, "it is a directory"),
    ],
)
def test_settings_that_make_no_sense(pipeline, tmp_path, options, problem):
    with pytest.raises(SettingError) as caught:
        suggest(pipeline, write(tmp_path / "a.jsonl", ["a"]), **options)
    assert problem in str(caught.value)


def test_the_input_is_not_overwritten(pipeline, tmp_path):
    texts = write(tmp_path / "a.jsonl", ["a"])
    with pytest.raises(SettingError, match="another file than the input"):
        suggest(pipeline, texts, tmp_path / "." / "a.jsonl")


def test_a_pipeline_without_a_component_of_ours(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="such as bert_ner; this has none"):
        suggest(tmp_path / "blank", write(tmp_path / "a.jsonl", ["a"]))


def test_no_text_and_a_text_that_is_too_long(pipeline, tmp_path):
    with pytest.raises(DataError, match="there is no text"):
        suggest(pipeline, write(tmp_path / "a.jsonl", [""]))
    with pytest.raises(ColumnFormatError) as caught:
        suggest(pipeline, write(tmp_path / "a.jsonl", ["a", "a" * 1_000_001]))
    assert (caught.value.line, caught.value.problem) == (2, "the text has 1,000,001 characters")

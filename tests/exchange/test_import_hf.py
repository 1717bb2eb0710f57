"""Checkpoints with a head → pipelines: labels in every spelling, and what cannot be imported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from small_checkpoints import TEXTS, make_checkpoint
from spacy.tokens import Doc
from spacy.training import Example
from typer.testing import CliRunner

from spacy_bertft.checkpoints import read_head
from spacy_bertft.cli import app
from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.training.optimizer import configure_adamw

# The tags of a head, the scheme that they look like, and what is to be found where each token gets the tag of its
# letter: a token `n` has the tag number n.
SPELLINGS = {
    "bio": (["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], "1 2 0 3 1", [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "PER")]),
    "bio, shuffled": (["I-PER", "B-PER", "O"], "1 0 2 1 1", [(0, 2, "PER"), (3, 4, "PER"), (4, 5, "PER")]),
    "iob1": (["I-PER", "I-LOC", "O"], "0 0 2 1 0", [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "PER")]),
    "bioes": (["O", "B-PER", "I-PER", "E-PER", "S-PER"], "1 2 3 4 0", [(0, 3, "PER"), (3, 4, "PER")]),
    "biluo": (["O", "B-PER", "I-PER", "L-PER", "U-PER"], "1 3 4 0 4", [(0, 2, "PER"), (2, 3, "PER"), (4, 5, "PER")]),
    "bare": (["PER", "O", "LOC"], "0 0 1 2 0", [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "PER")]),
}


def make(folder: Path, labels: list[str], task: str = "token", **changes: object) -> str:
    names = {"id2label": dict(enumerate(labels))}
    return str(make_checkpoint(folder, "bert", len(labels), task, **names, **changes))


def answer_by_number(nlp, name: str) -> None:
    """Make the head give each token the tag whose number it spells."""
    model = nlp.get_pipe(name).model
    forward = model._func

    def answer(model, docs, is_train):
        scores, backprop = forward(model, docs, is_train)
        scores.scores[:] = -9.0
        scores.scores[:, model.tags.index("O")] = 0.0  # the second choice
        tags = [int(token.text) for doc in docs for token in doc]
        scores.scores[np.arange(len(tags)), tags] = 9.0
        return scores, backprop

    model._func = answer


def test_the_precision_is_chosen(tmp_path):
    checkpoint = make(tmp_path / "checkpoint", ["O", "B-PER", "I-PER"])
    for precision in ("fp32", "auto"):
        import_hf(checkpoint, tmp_path / precision, precision=precision)
        encoder = spacy.load(tmp_path / precision).config["components"]["ner"]["model"]["encoder"]
        assert encoder["precision"] == precision
    with pytest.raises(SettingError, match="precision"):
        import_hf(checkpoint, tmp_path / "other", precision="fp8")


@pytest.mark.everyday(3)
@pytest.mark.parametrize("name", SPELLINGS)
def test_tags_are_recognised(name, tmp_path):
    labels, text, expected = SPELLINGS[name]
    report = import_hf(make(tmp_path / "hf", labels), tmp_path / "out")
    assert report.scheme == name.partition(",")[0]
    assert report.outputs == tuple(labels)
    nlp = spacy.load(tmp_path / "out")
    answer_by_number(nlp, "ner")
    assert [(ent.start, ent.end, ent.label_) for ent in nlp(text).ents] == expected


@pytest.mark.everyday(2)
@pytest.mark.parametrize("name", SPELLINGS)
def test_training_goes_on_in_the_same_scheme(name, tmp_path):
    labels, _, _ = SPELLINGS[name]
    import_hf(make(tmp_path / "hf", labels), tmp_path / "out")
    nlp = spacy.load(tmp_path / "out")
    gold = {"entities": [(14, 33, "PER")]}  # "with drew barrymore": three tokens
    examples = [
        Example.from_dict(nlp.make_doc(TEXTS[0]), gold),
        Example.from_dict(nlp.make_doc(TEXTS[1]), {"entities": []}),
    ]
    optimizer = configure_adamw(1e-2)
    losses = [nlp.update(examples, sgd=optimizer)["ner"] for _ in range(40)]
    assert losses[-1] < losses[0] / 10
    assert [(ent.start_char, ent.end_char, ent.label_) for ent in nlp(TEXTS[0]).ents] == gold["entities"]
    assert not nlp(TEXTS[1]).ents


def test_a_scheme_can_be_named(tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    found = {}
    for scheme in ("bio", "iob1"):
        import_hf(checkpoint, tmp_path / scheme, scheme=scheme)
        nlp = spacy.load(tmp_path / scheme)
        answer_by_number(nlp, "ner")
        found[scheme] = [(ent.start, ent.end) for ent in nlp("0 2 2 0 0").ents]
    assert found == {"iob1": [(1, 3)], "bio": []}  # where `O I-PER` is not legal


def test_unnamed_tags_need_names(tmp_path):
    checkpoint = str(make_checkpoint(tmp_path / "hf", "bert", 3))
    with pytest.raises(SettingError) as caught:
        import_hf(checkpoint, tmp_path / "out")
    assert caught.value.name == "labels"
    assert not (tmp_path / "out").exists()
    report = import_hf(checkpoint, tmp_path / "out", labels=["O", "PER", "LOC"])
    assert (report.scheme, report.labels) == ("bare", ("LOC", "PER"))
    report = import_hf(checkpoint, tmp_path / "out", labels={"LABEL_0": "O", "LABEL_2": "B-X", "LABEL_1": "I-X"})
    assert (report.scheme, report.outputs) == ("bio", ("O", "I-X", "B-X"))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("token", {"head_lr_scale": 1.0, "decoder": "viterbi", "token_loss": 0.0, "label_smoothing": 0.0}),
        ("text", {"head_lr_scale": 1.0}),
    ],
)
def test_a_trained_head_has_not_the_settings_of_a_new_one(task, expected, tmp_path):
    import_hf(make(tmp_path / "hf", ["O", "B-PER", "I-PER"], task), tmp_path / "out")
    [component] = spacy.load(tmp_path / "out").config["components"].values()
    assert {name: component["model"][name] for name in expected} == expected


def test_tags_without_an_outside_are_those_of_a_tagger(tmp_path):
    report = import_hf(make(tmp_path / "hf", ["NOUN", "VERB", "X"]), tmp_path / "out")
    assert report.factory == "bert_tagger"
    nlp = spacy.load(tmp_path / "out")
    tags = [token.tag_ for token in nlp(TEXTS[0])]
    assert set(tags) <= {"NOUN", "VERB", "X"}
    assert len(set(tags)) > 1


@pytest.mark.parametrize(
    ("problem_type", "component", "total"),
    [
        (None, "bert_textcat", 1.0),
        ("single_label_classification", "bert_textcat", 1.0),
        ("multi_label_classification", "bert_textcat_multilabel", None),
    ],
)
def test_the_problem_type_chooses_the_component(problem_type, component, total, tmp_path):
    checkpoint = make(tmp_path / "hf", ["good", "bad", "so so"], "text", problem_type=problem_type)
    assert import_hf(checkpoint, tmp_path / "out").factory == component
    cats = spacy.load(tmp_path / "out")(TEXTS[0]).cats
    assert list(cats) == ["good", "bad", "so so"]
    if total is not None:
        assert sum(cats.values()) == pytest.approx(total)


def test_in_python_it_takes_one_line(tmp_path):
    checkpoint = make(tmp_path / "hf", ["I-PER", "O", "B-PER"])
    import_hf(checkpoint, tmp_path / "out")
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint}}})
    nlp.initialize()
    expected = spacy.load(tmp_path / "out").get_pipe("ner")
    docs = [nlp.make_doc(text) for text in TEXTS]
    np.testing.assert_array_equal(
        nlp.get_pipe("bert_ner").model.predict(docs).scores, expected.model.predict(docs).scores
    )
    assert nlp.get_pipe("bert_ner").labels == ("PER",)


@pytest.mark.parametrize("factory", ["bert_ner", "bert_textcat"])
def test_other_labels_make_another_head(factory, tmp_path):
    task = {"bert_ner": "token", "bert_textcat": "text"}[factory]
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"], task)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": {"encoder": {"name": checkpoint}}})
    gold = {"entities": [(0, 4, "FILM")], "cats": {"film": 1.0, "other": 0.0}}
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(TEXTS[0]), gold)])
    assert nlp.get_pipe(factory).labels == {"bert_ner": ("FILM",), "bert_textcat": ("film", "other")}[factory]


def test_a_head_for_something_else_is_no_head(tmp_path):
    checkpoint = make(tmp_path / "hf", ["film", "other"], "text")
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint}}})
    with pytest.raises(DataError, match="no labels"):
        nlp.initialize()
    assert read_head(checkpoint, "token") is None
    with pytest.raises(SettingError) as caught:
        nlp.get_pipe("bert_ner").take_head(read_head(checkpoint, "text"))
    assert caught.value.name == "head"


def test_pooling_that_the_head_does_not_know_is_refused(tmp_path):
    checkpoint = make(tmp_path / "hf", ["film", "other"], "text")
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_textcat", config={"model": {"pooling": "mean", "encoder": {"name": checkpoint}}})
    with pytest.raises(SettingError) as caught:
        nlp.initialize()
    assert caught.value.name == "pooling"


def change_weights(checkpoint: str, change) -> None:
    path = Path(checkpoint) / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda weights: weights.pop("classifier.bias"), "classifier.bias"),
        (
            lambda weights: weights.pop("bert.encoder.layer.1.output.dense.weight"),
            "encoder.layer.1.output.dense.weight",
        ),
        (lambda weights: weights.update({"classifier.weight": torch.zeros(3, 31)}), "linear.weight"),
        (lambda weights: weights.update({"classifier.bias": torch.zeros(4)}), "id2label"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, named, tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    change_weights(checkpoint, change)
    with pytest.raises(CheckpointError, match=named.replace(".", r"\.")):
        import_hf(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "crf.transitions",  # what its own class would have computed with them is not known
        "pooler.dense.weight",
        "bert.encoder.layer.0.output.adapter.weight",
        "bert.encoder.layer.2.output.dense.weight",
    ],
)
def test_weights_that_would_not_be_used_are_refused(name, tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    change_weights(checkpoint, lambda weights: weights.update({name: torch.zeros(32, 32)}))
    if name == "pooler.dense.weight":
        change_weights(checkpoint, lambda weights: weights.update({"pooler.dense.bias": torch.zeros(32)}))
        name = "pooler.dense.bias"
    with pytest.raises(CheckpointError, match=f"neither its encoder nor its head uses: {re.escape(name)}"):
        import_hf(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_constants_of_older_versions_are_no_weights(tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    names = ["bert.embeddings.position_ids", "bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    change_weights(checkpoint, lambda weights: weights.update(dict.fromkeys(names[:1], torch.arange(64)[None])))
    change_weights(checkpoint, lambda weights: weights.update({names[1]: torch.ones(32, 32), names[2]: torch.ones(32)}))
    import_hf(checkpoint, tmp_path / "out")
    export_hf(tmp_path / "out", tmp_path / "back")
    stored = load_file(Path(checkpoint) / "model.safetensors")
    assert load_file(tmp_path / "back" / "model.safetensors").keys() == stored.keys() - set(names)


def test_a_head_over_other_layers_is_refused(tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint, "layers": "second_to_last"}}})
    with pytest.raises(SettingError, match=r"layers = 'second_to_last'\. Expected last"):
        nlp.initialize()


def change_config(checkpoint: str, **changes: object) -> None:
    path = Path(checkpoint) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


UNNAMED = [
    None,
    [],
    ["BertModel"],
    ["BertForMaskedLM"],
    ["BertCrfForTokenClassification"],
    "BertForTokenClassification",
]


@pytest.mark.everyday(4)
@pytest.mark.parametrize("architectures", UNNAMED)
@pytest.mark.parametrize(("task", "component"), [("token", "bert_ner"), ("text", "bert_textcat")])
def test_the_component_says_what_an_unnamed_head_is_for(task, component, architectures, tmp_path):
    labels = {"token": ["O", "B-PER", "I-PER"], "text": ["film", "person", "other"]}[task]
    checkpoint = make(tmp_path / "hf", labels, task)
    import_hf(checkpoint, tmp_path / "named")
    change_config(checkpoint, architectures=architectures)
    shown = re.escape(f"architectures = {json.dumps(architectures)}")
    with pytest.raises(
        CheckpointError, match=f"{shown}.*--factory bert_ner, bert_tagger, bert_textcat, bert_textcat_multilabel"
    ):
        import_hf(checkpoint, tmp_path / "out")
    assert import_hf(checkpoint, tmp_path / "out", factory=component).factory == component
    named, chosen = (spacy.load(tmp_path / name).get_pipe(component.removeprefix("bert_")) for name in ("named", "out"))
    docs = [Doc(named.vocab, words=text.split()) for text in TEXTS]
    expected, found = (pipe.model.predict(docs) for pipe in (named, chosen))
    np.testing.assert_array_equal(getattr(found, "scores", found), getattr(expected, "scores", expected))


def test_a_config_without_architectures_is_named(tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    config = Path(checkpoint) / "config.json"
    config.write_text(
        json.dumps({key: value for key, value in json.loads(config.read_text()).items() if key != "architectures"})
    )
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": checkpoint}}})
    with pytest.raises(CheckpointError, match="has architectures = null"):
        nlp.initialize()
    with pytest.raises(CheckpointError, match=r"lacks weights of its head: bert\.pooler"):
        import_hf(checkpoint, tmp_path / "out", factory="bert_textcat")
    assert import_hf(checkpoint, tmp_path / "out", factory="bert_tagger").factory == "bert_tagger"


def test_a_component_makes_no_head(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="no head that classifies tokens"):
        import_hf(checkpoint, tmp_path / "out", factory="bert_ner")


@pytest.mark.parametrize(
    ("labels", "scheme", "outputs", "found"),
    [
        (["O", "B_PER", "I_PER"], "bio", ("O", "B-PER", "I-PER"), "PER"),
        (["o", "b-per", "i-per"], "bio", ("O", "B-per", "I-per"), "per"),
        (["i_org", "O", "b_org"], "bio", ("I-org", "O", "B-org"), "org"),
        (["O", "B_X", "I_X", "E_X", "S_X"], "bioes", ("O", "B-X", "I-X", "E-X", "S-X"), "X"),
    ],
)
def test_prefixes_are_recognized_however_they_are_spelled(labels, scheme, outputs, found, tmp_path):
    report = import_hf(make(tmp_path / "hf", labels), tmp_path / "out")
    assert (report.factory, report.scheme, report.outputs) == ("bert_ner", scheme, outputs)
    assert report.labels == (found,)


def test_labels_that_only_look_like_prefixes_stay(tmp_path):
    report = import_hf(make(tmp_path / "hf", ["O", "b_cell", "e-mail", "s_corp"]), tmp_path / "out")
    assert (report.scheme, report.labels) == ("bare", ("b_cell", "e-mail", "s_corp"))


NEVER_LABELS = ["O", "B-PER", "I-PER", "X", "[CLS]", "PAD"]


@pytest.mark.parametrize("labels", [["O", "B-PER", "I-PER", "-", "-", "-"], {"X": "-", "[CLS]": "-", "PAD": "-"}])
@pytest.mark.parametrize("decoder", ["viterbi", "greedy"])
def test_an_output_may_never_be_predicted(labels, decoder, tmp_path):
    checkpoint = make(tmp_path / "hf", NEVER_LABELS)
    with pytest.raises(SettingError, match=r"--labels 'X=-'"):
        import_hf(checkpoint, tmp_path / "out")
    report = import_hf(checkpoint, tmp_path / "out", labels=labels)
    assert (report.labels, report.never) == (("PER",), ("X", "[CLS]", "PAD"))
    assert "never predicted: X, [CLS], PAD" in str(report)
    nlp = spacy.load(tmp_path / "out", config={"components": {"ner": {"model": {"decoder": decoder}}}})
    answer_by_number(nlp, "ner")
    doc = nlp("0 1 2 3 4 5 1")  # 3, 4 and 5 would be `X`, `[CLS]` and `PAD`: their second choice is `O`
    assert [(ent.start, ent.end) for ent in doc.ents] == [(1, 3), (6, 7)]
    assert all(0 < score <= 1 for score in doc.spans["ner"].attrs["scores"])


def test_a_tag_may_never_be_predicted(tmp_path):
    checkpoint = make(tmp_path / "hf", ["[PAD]", "NOUN", "VERB", "X"])
    import_hf(checkpoint, tmp_path / "out", factory="bert_tagger", labels={"[PAD]": "-"})
    nlp = spacy.load(tmp_path / "out")
    pipe = nlp.get_pipe("tagger")
    assert pipe.labels == ("NOUN", "VERB", "X")
    forward = pipe.model._func

    def answer(model, docs, is_train):
        scores, backprop = forward(model, docs, is_train)
        scores.scores[:] = [9.0, 0.0, 1.0, 0.0]
        return scores, backprop

    pipe.model._func = answer
    assert [token.tag_ for token in nlp("who directed it")] == ["VERB"] * 3
    pipe.model._func = forward
    gold = {"tags": ["NOUN", "VERB", "X"]}
    examples = [Example.from_dict(nlp.make_doc("who directed it"), gold)]
    optimizer = configure_adamw(1e-2)
    losses = [nlp.update(examples, sgd=optimizer)["tagger"] for _ in range(40)]
    assert losses[-1] < losses[0] / 10
    assert [token.tag_ for token in nlp("who directed it")] == gold["tags"]


def test_a_category_is_always_predicted(tmp_path):
    checkpoint = make(tmp_path / "hf", ["film", "person", "other"], "text")
    with pytest.raises(SettingError, match="only tags can be left out"):
        import_hf(checkpoint, tmp_path / "out", labels=["film", "person", "-"])
    with pytest.raises(CheckpointError, match=r"No output of .* would ever be predicted"):
        import_hf(checkpoint, tmp_path / "out", labels=["-", "-", "-"])


def test_outputs_that_are_never_predicted_are_exported(tmp_path):
    checkpoint = make(tmp_path / "hf", NEVER_LABELS)
    import_hf(checkpoint, tmp_path / "out", labels={"X": "-", "[CLS]": "-", "PAD": "-"})
    report = export_hf(tmp_path / "out", tmp_path / "back")
    assert report.outputs == tuple(NEVER_LABELS)
    assert report.notes == ("The component never predicts PAD, X, [CLS]; transformers may.",)
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (checkpoint, tmp_path / "back"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"lang": "nowhere"}, "lang"),
        ({"factory": "bert_textcat"}, "factory"),
        ({"factory": "ner"}, "factory"),
        ({"factory": "bert_tagger", "scheme": "bio"}, "scheme"),
        ({"labels": ["O", "PER", "B-LOC"]}, "labels"),
        ({"labels": "LABEL_0=O,LABEL_1=PER,LABEL_1=LOC"}, "labels"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, name, tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    with pytest.raises(SettingError) as caught:
        import_hf(checkpoint, tmp_path / "out", **settings)
    assert caught.value.name == name


@pytest.mark.parametrize("labels", [["O"], {"LABEL_7": "O"}, ["O", "O", "PER"]])
def test_names_that_do_not_fit_are_refused(labels, tmp_path):
    with pytest.raises(CheckpointError):
        import_hf(str(make_checkpoint(tmp_path / "hf", "bert", 3)), tmp_path / "out", labels=labels)


def test_an_encoder_alone_is_no_pipeline(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="no head"):
        import_hf(checkpoint, tmp_path / "out")


def test_a_single_output_may_be_a_number_or_a_logit(tmp_path):
    checkpoint = make(tmp_path / "hf", ["score"], "text")
    with pytest.raises(SettingError, match="bert_regressor if the single output is a number"):
        import_hf(checkpoint, tmp_path / "out")
    assert import_hf(checkpoint, tmp_path / "out", factory="bert_regressor").labels == ("score",)
    path = Path(checkpoint, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": "ranking"}))
    with pytest.raises(CheckpointError, match=r"problem_type 'ranking'\. Expected one of"):
        import_hf(checkpoint, tmp_path / "out")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": "single_label_classification"}))
    with pytest.raises(SettingError, match="bert_textcat_multilabel if it is a logit"):
        import_hf(checkpoint, tmp_path / "out")
    assert import_hf(checkpoint, tmp_path / "out", factory="bert_textcat_multilabel").labels == ("score",)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": "regression"}))
    with pytest.raises(SettingError, match="the component bert_regressor for it"):
        import_hf(checkpoint, tmp_path / "out", factory="bert_textcat")


def test_only_a_pipeline_is_replaced(tmp_path):
    checkpoint = make(tmp_path / "hf", ["O", "B-PER", "I-PER"])
    (tmp_path / "out").mkdir()
    import_hf(checkpoint, tmp_path / "out")
    import_hf(checkpoint, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="would be lost"):
        import_hf(checkpoint, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_command(tmp_path):
    checkpoint = str(make_checkpoint(tmp_path / "hf", "bert", 3))
    names = ["--labels", "LABEL_0=O, LABEL_1=B-PER, LABEL_2=I-PER"]
    done = CliRunner().invoke(app, ["import-hf", checkpoint, str(tmp_path / "out"), "--lang", "xx", *names])
    assert done.exit_code == 0, done.output
    assert "bert_ner with" in done.output
    nlp = spacy.load(tmp_path / "out")
    assert (nlp.lang, nlp.get_pipe("ner").labels) == ("xx", ("PER",))
    assert json.loads((tmp_path / "out" / "ner" / "cfg").read_text())["labels"] == ["PER"]
    command = ["import-hf", checkpoint, str(tmp_path / "other"), "--scheme", "odd"]
    failed = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert failed.exit_code == 2
    assert "'odd' is not one of 'bio', " in failed.output


def test_a_component_can_be_named(tmp_path):
    checkpoint = make(tmp_path / "hf", ["good", "bad", "so so"], "text")
    report = import_hf(checkpoint, tmp_path / "out", factory="bert_textcat_multilabel")
    assert report.factory == "bert_textcat_multilabel"
    exclusive = import_hf(checkpoint, tmp_path / "other")
    assert exclusive.factory == "bert_textcat"
    cats = [spacy.load(tmp_path / name)(TEXTS[0]).cats for name in ("out", "other")]
    assert sum(cats[1].values()) == pytest.approx(1.0)
    assert sum(cats[0].values()) != pytest.approx(1.0, abs=1e-3)


def test_a_head_for_pairs_of_texts(tmp_path):
    checkpoint = make(tmp_path / "hf", ["same", "other"], "text")
    import_hf(checkpoint, tmp_path / "out", pairs=True)
    nlp = spacy.load(tmp_path / "out")
    assert nlp.pipe_names == ["text_pair", "textcat"]
    doc = nlp("drew\x1fbill")
    assert [span.text for span in doc.spans["text_pair"]] == ["drew", "bill"]
    with pytest.raises(SettingError, match=r"pairs = True\. Expected a head that classifies texts"):
        import_hf(make(tmp_path / "ner", ["O", "B-PER", "I-PER"]), tmp_path / "other", pairs=True)
    assert not (tmp_path / "other").exists()

"""How much labels count in the loss of a component."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from confection import Config
from small_checkpoints import TEXTS
from text_pipelines import BOTH, CATS, MULTILABEL, make_examples, make_pipeline

from spacy_bertft.errors import SettingError

WEIGHTED = """
[nlp]
lang = "en"
pipeline = ["textcat"]

[components]

[components.textcat]
factory = "bert_textcat"

[components.textcat.class_weights]
film = 2.5
other = 0

[components.textcat.model]

[components.textcat.model.encoder]
"""


def find_weights(nlp):
    return nlp.get_pipe(nlp.pipe_names[0]).cfg["label_weights"]


@pytest.mark.parametrize(
    ("factory", "weights"), [("bert_textcat", [5 / 6, 5 / 3, 5 / 6]), ("bert_textcat_multilabel", [1.5, 1.5, 0.25])]
)
def test_class_weights(checkpoint, factory, weights):
    labels = sorted(CATS[factory][TEXTS[0]])
    assert find_weights(make_pipeline(checkpoint, factory)) == [1.0] * 3
    assert find_weights(make_pipeline(checkpoint, factory, class_weights="balanced")) == pytest.approx(weights)
    some = make_pipeline(checkpoint, factory, class_weights={labels[1]: 7})
    assert find_weights(some) == [1.0, 7.0, 1.0]
    assert find_weights(spacy.blank("en").from_config(some.config).from_bytes(some.to_bytes())) == [1.0, 7.0, 1.0]
    with pytest.raises(SettingError, match="weights from 0 on for"):
        make_pipeline(checkpoint, factory, class_weights={"unheard": 1.0})
    with pytest.raises(ValueError, match="class_weights"):
        spacy.blank("en").add_pipe(factory, config={"class_weights": "even"})


def test_class_weights_in_a_section_of_a_config(checkpoint):
    config = Config().from_str(WEIGHTED + f'name = "{checkpoint}"\n')
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.initialize(lambda: make_examples(nlp, CATS["bert_textcat"]))
    assert find_weights(nlp) == [2.5, 0.0, 1.0]
    again = spacy.util.load_model_from_config(Config().from_str(nlp.config.to_str()))
    assert again.get_pipe("textcat").cfg["class_weights"] == {"film": 2.5, "other": 0.0}


@pytest.mark.parametrize("factory", BOTH)
def test_weights_and_smoothing_change_the_loss(checkpoint, factory):
    labels = sorted(CATS[factory][TEXTS[0]])
    settings = [{}, {"label_smoothing": 0.3}, {"class_weights": {labels[0]: 9.0}}]
    losses = []
    for config in settings:
        nlp = make_pipeline(checkpoint, factory, **config)
        scores = np.array([[2.0, 0.0, 1.0]] * len(TEXTS), dtype=np.float32)
        losses.append(nlp.get_pipe(factory).get_loss(make_examples(nlp, CATS[factory]), scores)[0])
    assert len({round(loss, 4) for loss in losses}) == 3


def test_values_of_teachers_count_as_much_as_they_are(checkpoint):
    """None of them is exactly 0, so that every label would hold for every text."""
    soft = {text: {label: 0.98 * value + 0.01 for label, value in cats.items()} for text, cats in MULTILABEL.items()}
    weights = find_weights(make_pipeline(checkpoint, "bert_textcat_multilabel", cats=soft, class_weights="balanced"))
    assert weights == pytest.approx([1.5, 1.5, 0.25], rel=0.05)

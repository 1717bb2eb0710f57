"""A learning rate for small models, such as spaCy's default, is not one for a pretrained encoder."""

from __future__ import annotations

import re
import warnings

import pytest
import spacy
from spacy.training import Example
from thinc.api import Adam, warmup_linear

from spacy_bertft import configure_adamw
from spacy_bertft.models.heads.head import LearnRateWarning

FILM = ("films with drew barrymore", {"entities": [(11, 25, "ACTOR")]})
WARN = "ner: the learning rate 0.001 is high.*at most 0.0005.*init-config"


def train(checkpoint, optimizers, **encoder):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", name="ner", config={"model": {"encoder": {"name": checkpoint, **encoder}}})
    examples = [Example.from_dict(nlp.make_doc(FILM[0]), FILM[1])]
    default = nlp.initialize(lambda: examples)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for optimizer in optimizers:
            nlp.update(examples, sgd=optimizer or default)
            (optimizer or default).step_schedules()
    return [str(each.message) for each in caught if each.category is LearnRateWarning]


def test_the_default_of_spacy_is_warned_of_once(checkpoint):
    [message] = train(checkpoint, [None, None, None])
    assert re.match(WARN, message)


def test_a_schedule_that_climbs_too_high_is_warned_of_when_it_does(checkpoint):
    climbing = Adam(learn_rate=warmup_linear(0.002, 4, 100))
    assert len(train(checkpoint, [climbing] * 4)) == 1
    assert not train(checkpoint, [Adam(learn_rate=warmup_linear(0.002, 4, 100))])


@pytest.mark.parametrize("encoder", [{"frozen_layers": "all"}, {"frozen_layers": "all_but_last"}])
def test_a_frozen_encoder_may_have_any(checkpoint, encoder):
    assert not train(checkpoint, [None], **encoder)


def test_a_usual_rate(checkpoint):
    assert not train(checkpoint, [configure_adamw(learn_rate=1e-4), configure_adamw(learn_rate=5e-4)])


def test_a_shared_encoder_is_named(checkpoint):
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint}})
    shared = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
    model = {"@architectures": "spacy-bertft.TokenClassifier.v1", "encoder": shared}
    nlp.add_pipe("bert_ner", name="ner", config={"model": model})
    examples = [Example.from_dict(nlp.make_doc(FILM[0]), FILM[1])]
    optimizer = nlp.initialize(lambda: examples)
    with pytest.warns(LearnRateWarning, match="bert_encoder: the learning rate 0.001"):
        nlp.update(examples, sgd=optimizer)

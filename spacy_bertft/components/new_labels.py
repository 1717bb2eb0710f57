"""`spacy-bertft.add_labels.v1`: labels for components that come from another pipeline.

spaCy does not initialize a component that a config takes from another pipeline by `source`. So the labels in its
section of `[initialize.components]` do not reach it, nor do those in the training data.
"""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable
from functools import partial

from spacy.language import Language
from spacy.util import resolve_dot_names

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import find_given_labels
from spacy_bertft.components.text_component import list_labels_of_neighbours, list_neighbours


def configure_add_labels() -> Callable[[Language], Language]:
    """Configure `spacy-bertft.add_labels.v1`, a callback for `initialize.before_init`.

    It adds to each trained component the `labels` of its section in `[initialize.components]`; where there are none,
    those in the training data. Components in `training.frozen_components` are left alone.
    """
    return _add_labels


def _add_labels(nlp: Language) -> Language:
    config = nlp.config.interpolate()
    for name, pipe in nlp.components:
        is_frozen = name in config["training"]["frozen_components"]
        if isinstance(pipe, BertComponent) and pipe.model.is_initialized and not is_frozen:
            labels = find_given_labels(config, name)
            [corpus] = resolve_dot_names(config, [config["training"]["train_corpus"]])
            if labels is not None:
                pipe.cfg["ignore_unknown"] = True
            else:
                given = {
                    each for other, _ in list_neighbours(nlp, pipe) for each in find_given_labels(config, other) or ()
                }
                excluded = list_labels_of_neighbours(nlp, pipe) | given - {*pipe.labels}
                labels = pipe.find_labels(corpus(nlp), excluded)
            pipe.add_labels(labels, partial(corpus, nlp))
    return nlp

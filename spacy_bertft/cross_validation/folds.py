"""Configs of cross-validation: one for each fold, and one for the final fit on all data."""

from __future__ import annotations

from spacy.util import copy_config, dot_to_object
from thinc.api import Config


def hold_out(config: Config, fold: int, n_folds: int, seed: int = 0) -> Config:
    """Make a config that trains on all folds but one, to its last step, and evaluates on that one.

    Nothing is chosen by the fold that is held out: training does not stop early, and nothing is calibrated on it.

    Args:
        config: A config whose `[corpora]` has the sections that `[training]` names.
        fold: The fold to evaluate on, from 0.
        n_folds: How many there are.
        seed: Another one divides the examples in another way.
    """
    config = copy_config(config)
    train, dev = (dot_to_object(config, config["training"][name]) for name in ("train_corpus", "dev_corpus"))
    whole = dict(train)
    for section, is_held_out in ((train, False), (dev, True)):
        section.clear()
        section |= {"@readers": "spacy-bertft.FoldCorpus.v1", "n_folds": n_folds, "fold": fold, "seed": seed}
        section |= {"is_held_out": is_held_out, "corpus": dict(whole)}
    config["training"] |= {"patience": 0, "before_to_disk": None}
    return config


def train_on_all(config: Config, n_steps: int | None = None) -> Config:
    """Make a config that trains on the training data and the development data.

    Args:
        config: A config whose `[corpora]` has the sections that `[training]` names.
        n_steps: After which step to stop, while the learning rate goes as the config says; by default, as that says.
    """
    config = copy_config(config)
    train, dev = (dot_to_object(config, config["training"][name]) for name in ("train_corpus", "dev_corpus"))
    whole = dict(train)
    train.clear()
    train |= {"@readers": "spacy-bertft.ConcatenatedCorpus.v1", "first": whole, "second": dict(dev)}
    config["training"] |= {"patience": 0, "before_to_disk": None}
    if n_steps is not None:
        config["training"]["max_steps"] = n_steps
    return config

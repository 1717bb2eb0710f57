"""What `debug-data` says of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.training import Example
from wasabi.printer import Printer

from spacy_bertft.components.text_component import is_regressor

Values = dict[str, list[float]]


@contextmanager
def check_numbers(ignore_warnings: bool = False) -> Iterator[None]:
    """Let spaCy's `debug data` take no numbers for categories, and print a section on them after its own.

    Args:
        ignore_warnings: Print figures only.
    """
    module: Any = import_module("spacy.cli.debug_data")
    compile_gold, parts = module._compile_gold, []

    def compile_without_numbers(
        examples: Sequence[Example], factory_names: list[str], nlp: Language, make_proj: bool
    ) -> Any:
        parts.append(_take_numbers(examples, nlp))
        return compile_gold(examples, factory_names, nlp, make_proj)

    module._compile_gold = compile_without_numbers
    try:
        yield
    finally:
        module._compile_gold = compile_gold
        if len(parts) > 1 and parts[0]:  # spaCy compiles the training data, the same again, and the development data
            _show_numbers(Printer(ignore_warnings=ignore_warnings), parts[0], parts[-1])


def _take_numbers(examples: Sequence[Example], nlp: Language) -> Values:
    """Take the numbers of all regressors out of examples."""
    regressors: list[Any] = [pipe for _, pipe in nlp.pipeline if is_regressor(pipe)]
    labels = [label for pipe in regressors for label in pipe.labels]
    found: Values = {label: [] for label in labels}
    for example in examples:
        cats = dict(example.reference.cats)
        for label in found.keys() & cats.keys():
            found[label].append(cats.pop(label))
        example.reference.cats = cats
    return found


def _show_numbers(msg: Printer, train: Values, dev: Values) -> None:
    msg.divider("Numbers (bert_regressor)")
    header = ("number", "data", "values", "mean", "deviation", "lowest", "highest")
    rows = [
        (name, part, f"{len(each):,}", *(f"{figure(each):.4g}" for figure in (np.mean, np.std, np.min, np.max)))
        for name in train
        for part, values in (("training", train), ("development", dev))
        if (each := values[name])
    ]
    msg.table(rows, header=header, divider=True)
    for name, values in train.items():
        if len(set(values)) < 2:
            msg.warn(f"'{name}' is the same in all training data, or has no value there, so it cannot be learned")
        if len(set(dev[name])) < 2:
            msg.warn(f"'{name}' is the same in all development data, or has no value there: no correlation is defined")

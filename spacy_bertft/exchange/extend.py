"""A trained pipeline and examples of new labels → a pipeline that has learned them and forgotten nothing."""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed, warmup_linear
from tqdm import trange

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.encoder import BertEncoderPipe
from spacy_bertft.components.pipelines import (
    annotate_in_training,
    check_data,
    check_replaceable_pipeline,
    load_pipeline,
    read_examples,
)
from spacy_bertft.components.text_component import list_labels_of_neighbours
from spacy_bertft.errors import DataError, SettingError, check_setting, format_count
from spacy_bertft.output import replace_folder_when_done
from spacy_bertft.training.optimizer import AdamW


@dataclass(frozen=True, kw_only=True)
class ExtendReport:
    """Figures of an extension.

    Attributes:
        path: The new pipeline.
        component: The component that was given labels.
        added: The labels that it did not have before.
        annotated: The labels that were learned from gold annotation.
        n_examples: Examples of them.
        n_replayed: Earlier examples that were learned from too.
        n_steps: Steps of training.
        never_predicted: The annotated labels that the new pipeline predicts in none of their examples.
        losses: Mean loss of the first and of the last epoch, per token or text, in nats.
        seconds: How long it took.
    """

    path: Path
    component: str
    added: tuple[str, ...]
    annotated: tuple[str, ...]
    n_examples: int
    n_replayed: int
    n_steps: int
    never_predicted: tuple[str, ...]
    losses: tuple[float, float]
    seconds: float

    def format_rows(self) -> list[tuple[str, str]]:
        """Format the figures as rows, the first one naming the columns."""
        return [
            ("component", self.component),
            ("new labels", ", ".join(self.added) or "none"),
            ("annotated labels", ", ".join(self.annotated)),
            ("examples", f"{self.n_examples:,}"),
            ("replayed examples", f"{self.n_replayed:,}"),
            ("never predicted", ", ".join(self.never_predicted) or "none"),
            ("loss", " → ".join(f"{loss:.4f}" for loss in self.losses)),
        ]

    def format_notes(self) -> str:
        """Format the rest as running text."""
        return f"{format_count(self.n_steps, 'step')} in {self.seconds:,.0f} s. The pipeline is in {self.path}."

    def __str__(self) -> str:
        rows = "\n".join("  ".join(row) for row in self.format_rows())
        return f"{rows}\n{self.format_notes()}"


def extend(
    pipeline: Path | str,
    data_path: Path | str,
    output_dir: Path | str,
    *,
    component: str | None = None,
    replay_path: Path | str | None = None,
    replay_ratio: int = 4,
    epochs: int = 10,
    batch_size: int = 8,
    learn_rate: float = 3e-5,
    dropout: float = 0.1,
    seed: int = 0,
) -> ExtendReport:
    """Give a trained pipeline new labels, from data that are annotated for them alone, without forgetting the others.

    The labels that occur in the data are learned from their annotation. Where it says nothing about the other labels,
    the probabilities that the old pipeline gives them are the target (Li & Hoiem 2016, Learning without Forgetting).
    Other heads on a shared encoder learn to predict what they predicted before.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        data_path: A .spacy file that is annotated for all of its labels.
        output_dir: The directory of the new pipeline. An earlier pipeline there is replaced.
        component: The component that gets the labels; needed if several of them find labels in the data.
        replay_path: A .spacy file of earlier examples, annotated for all labels that the pipeline has.
        replay_ratio: Earlier examples of a step for each new one. Where all new examples hold the new label, it would
            be predicted too often without enough others that do not.
        epochs: How often each new example is seen.
        batch_size: New examples of a step.
        learn_rate: The highest learning rate, after a warmup over a tenth of the steps; then it falls to 0.
        dropout: Rate of dropout.
        seed: Seed of all random numbers.

    Raises:
        DataError: There is no such pipeline or file, the data have no labels for the component, or `output_dir` is
            something else than a pipeline.
        SettingError: A setting is outside what is allowed, or it is not clear which component is meant.
        DivergedError: A gradient is not finite; nothing is written then.

    Source: Li & Hoiem (2016), Learning without Forgetting; for a chain of tags, Wang et al. (2020).
    """
    started = time.monotonic()
    for setting, number in (("replay_ratio", replay_ratio), ("epochs", epochs), ("batch_size", batch_size)):
        check_setting(setting, number, number >= 1, "a positive number")
    check_setting("learn_rate", learn_rate, 0 < learn_rate < math.inf, "a rate above 0")
    check_setting("dropout", dropout, 0 <= dropout < 1, "a rate from 0 up to, but not 1")
    for path in (data_path, replay_path):
        if path is not None:
            check_data(path)
    output_dir = Path(output_dir)
    check_replaceable_pipeline(output_dir)
    fix_random_seed(seed)
    nlp = load_pipeline(pipeline)
    examples = read_examples(data_path, nlp)
    replayed = [] if replay_path is None else read_examples(replay_path, nlp)
    head = _choose_head(nlp, component, examples)
    excluded = list_labels_of_neighbours(nlp, head)
    earlier, annotated = head.labels, head.find_labels(examples, excluded)
    for batch in (examples, replayed):
        annotate_in_training(nlp, batch)
    n_batches = math.ceil(len(examples) / batch_size)
    optimizer = nlp.resume_training(sgd=_make_optimizer(learn_rate, epochs * n_batches))
    head.add_labels(annotated, lambda: examples)
    encoder = head.model.find_source()
    heads = [
        pipe for _, pipe in nlp.pipeline if isinstance(pipe, BertComponent) and pipe.model.find_source() is encoder
    ]
    others = [pipe for pipe in heads if pipe is not head]
    encoders = [pipe for _, pipe in nlp.components if isinstance(pipe, BertEncoderPipe) and pipe.model is encoder]
    listening = {name for pipe in encoders for name in pipe.listening_components} - {pipe.name for pipe in heads}
    if listening:
        warnings.warn(
            f"{', '.join(sorted(listening))}: shares the encoder that learns, and is not rehearsed, so it may predict "
            "worse than before. Evaluate it, or give it a copy of the encoder by nlp.replace_listeners before.",
            stacklevel=2,
        )
    old_batches = _repeat(replayed, batch_size)
    losses: list[float] = []
    for _ in trange(epochs, desc="Extending", unit=" epochs", disable=None):
        random.shuffle(examples)
        loss = 0.0
        for first in range(0, len(examples), batch_size):
            batch = examples[first : first + batch_size]
            for _ in range(replay_ratio if replayed else 0):
                head.distill(next(old_batches), labels=earlier, drop=dropout)  # gradients are added up
            loss += len(batch) * head.distill(batch, labels=annotated, drop=dropout, sgd=optimizer)[head.name]
            for pipe in others:
                pipe.rehearse(batch, drop=dropout, sgd=optimizer)
            optimizer.step_schedules()  # type: ignore[no-untyped-call]
        losses.append(loss / len(examples))
    docs = nlp.pipe([example.predicted.copy() for example in examples])
    # Of texts every category has a value, so that none is named here.
    never_predicted = set(annotated).difference(head.find_labels((Example(doc, doc) for doc in docs), excluded))
    if never_predicted:
        names = ", ".join(sorted(never_predicted))
        advice = "more epochs or a higher learning rate may help."
        warnings.warn(f"{head.name} predicts {names} in none of the examples; {advice}", stacklevel=2)
    nlp.meta["performance"] = {}  # that of another pipeline
    with replace_folder_when_done(output_dir) as folder:
        nlp.to_disk(folder)
    return ExtendReport(
        path=output_dir,
        component=head.name,
        added=tuple(label for label in annotated if label not in earlier),
        annotated=tuple(annotated),
        n_examples=len(examples),
        n_replayed=len(replayed),
        n_steps=n_batches * len(losses),
        never_predicted=tuple(sorted(never_predicted)),
        losses=(losses[0], losses[-1]),
        seconds=time.monotonic() - started,
    )


def _choose_head(nlp: Language, component: str | None, examples: Sequence[Example]) -> BertComponent:
    """Return the component that is meant: the one of that name, or the only one that finds labels in the data."""
    ours = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, BertComponent)}
    if component is not None and component not in ours:
        raise SettingError("component", component, f"one of {', '.join(ours) or 'a pipeline that has a head of ours'}")
    named = ours if component is None else {component: ours[component]}
    found = [pipe for pipe in named.values() if pipe.find_labels(examples, list_labels_of_neighbours(nlp, pipe))]
    if not found:
        raise DataError(f"The data have no labels for {' or '.join(named) or 'any component of the pipeline'}.")
    if len(found) > 1:
        expected = f"one of {', '.join(pipe.name for pipe in found)}, which all find labels in the data"
        raise SettingError("component", component, expected)
    return found[0]


def _make_optimizer(learn_rate: float, n_steps: int) -> AdamW:
    schedule: Any = warmup_linear(learn_rate, max(1, n_steps // 10), n_steps + 1)
    return AdamW(schedule)


def _repeat(examples: list[Example], size: int) -> Iterator[list[Example]]:
    """Yield batches of examples without end, in another order each time."""
    while examples:
        random.shuffle(examples)
        for first in range(0, len(examples), size):
            yield examples[first : first + size]

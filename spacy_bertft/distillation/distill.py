"""A config, teachers and texts → a student that learns from gold annotation and from what the teachers say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.util import copy_config, dot_to_object, load_model_from_config
from thinc.api import Config
from wasabi import msg

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.components.pipelines import find_given_labels, hash_files, load_pipeline, read_corpus, run_component
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.components.token_component import TokenComponent
from spacy_bertft.data.unlabelled import read_plain_texts
from spacy_bertft.distillation.asked import Teacher, list_teachers
from spacy_bertft.distillation.corpus import check_teaching
from spacy_bertft.distillation.teachers import (
    BATCH_SIZE,
    TagTargets,
    average,
    copy_words,
    hash_words,
    score_tags,
)
from spacy_bertft.errors import DataError, SettingError, check_setting
from spacy_bertft.models.heads.losses import Floats, merge_targets
from spacy_bertft.output import replace_when_done
from spacy_bertft.resuming.run import check_finished, train
from spacy_bertft.training.swap_entities import SwapEntities

FOLDER = "distillation"  # in the output directory


def distill(
    config: Config,
    teachers: Sequence[Path | str],
    output_dir: Path,
    *,
    texts_path: Path | None = None,
    n_swapped: int = 0,
    weight: float = 1.0,
    temperature: float = 1.0,
    gpu_id: int = -1,
    overwrite: bool = False,
) -> Path:
    """Train a student.

    Args:
        config: The config of the student, not interpolated. Its training corpus is the labelled one.
        teachers: Pipelines with components of the same names as those of the student, and the same labels; or
            directories that `crossval` has written, whose pipelines say nothing of documents that they have seen.
        output_dir: Directory of the results; what the teachers say is kept in its folder `distillation`.
        texts_path: Texts without labels, to learn what the teachers say of them.
        n_swapped: How many copies of each labelled text to learn from too, with other entities in it.
        weight: Weight of the teachers; gold annotation has 1.
        temperature: What the scores of teachers and student are divided by.
        gpu_id: Number of the GPU, -1 for the CPU; thinc must already use it.
        overwrite: Start again where other training was interrupted.

    Returns:
        The folder of the student after the last step.

    Raises:
        SettingError: A setting is outside what is allowed, or a teacher lacks a component.
        DataError: A teacher is no pipeline, or has other labels or other documents; or the texts cannot be read.
    """
    check_setting("teachers", ", ".join(map(str, teachers)), len(teachers) > 0, "at least one pipeline")
    check_setting("n_swapped", n_swapped, n_swapped >= 0, "a number of copies")
    check_teaching(weight, temperature)
    if not overwrite:
        check_finished(output_dir)  # before the corpus changes that unfinished training reads
    settings = config.interpolate()
    student = load_model_from_config(settings, auto_fill=True)
    labelled = read_corpus(settings, student, "train_corpus")
    collected = list(_collect_docs(settings, student, labelled, texts_path, n_swapped))
    docs, source_of = [doc for doc, _ in collected], np.array([source for _, source in collected], dtype=np.intp)
    pipelines = list(list_teachers(teachers, [example.reference for example in labelled], source_of))
    folder = output_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    learning = [each for each in student.pipeline if each[0] not in settings["training"]["frozen_components"]]
    ours = {name: pipe for name, pipe in learning if isinstance(pipe, (TokenComponent, TextComponent))}
    if not ours:
        raise SettingError(
            "components", ", ".join(student.pipe_names), "one that predicts tags, entities or categories"
        )
    if others := [name for name, pipe in learning if name not in ours and _is_head(pipe)]:
        msg.warn(f"{', '.join(others)}: learns from gold annotation alone; teachers say nothing of such components.")
    texts = [copy_words(student.vocab, doc) for doc in docs]
    for name, pipe in ours.items():
        if isinstance(pipe, TextComponent):
            _check_labels(pipe, labelled, find_given_labels(settings, name), pipelines)
            _teach_values(docs, _ask(pipe, texts, pipelines, temperature), weight, exclusive=pipe.exclusive)
    corpus_path = folder / "corpus.spacy"
    with replace_when_done(corpus_path) as path:
        DocBin(docs=docs).to_disk(path)
    examples = list(Corpus(corpus_path)(student))
    files = {
        name: str(_score_all(pipelines, name, [example.predicted for example in examples], folder))
        for name, pipe in ours.items()
        if isinstance(pipe, TokenComponent)
    }
    config = teach_config(config, corpus_path, files, weight, temperature)
    return train(config, output_dir, gpu_id=gpu_id, overwrite=overwrite)


def teach_config(config: Config, corpus_path: Path, files: dict[str, str], weight: float, temperature: float) -> Config:
    """Make a config that trains on a corpus with soft targets in files, by name of the component."""
    config = copy_config(config)
    section = dot_to_object(config, config["training"]["train_corpus"])
    section.clear()
    section |= {"@readers": "spacy-bertft.DistillationCorpus.v1", "soft_targets": files}
    section |= {"weight": weight, "temperature": temperature}
    section["corpus"] = {"@readers": "spacy.Corpus.v1", "path": str(corpus_path)}
    batcher = config["training"]["batcher"]
    if files and batcher.get("augmenter"):
        batcher["augmenter"] = None  # what teachers say of the tags fits the words as they are
        msg.warn("training.batcher.augmenter is left out; --swapped makes copies that the teachers are asked about.")
    section["corpus"] |= {"gold_preproc": False, "max_length": 0, "limit": 0, "augmenter": None}
    return config


def _collect_docs(
    settings: Config, nlp: Language, labelled: Sequence[Example], texts_path: Path | None, n_swapped: int
) -> Iterator[tuple[Doc, int]]:
    """Give the labelled documents, copies of them with other entities, and documents of which nothing is known.

    Each comes with the number of the labelled document that it is, is a copy of or has the text of, or -1.
    """
    number_of = {example.reference.text: number for number, example in enumerate(labelled)}
    yield from ((example.reference, number) for number, example in enumerate(labelled))
    random.seed(settings["training"]["seed"] or 0)
    swap = SwapEntities(level=1.0)
    for turn in range(n_swapped + 1 if n_swapped else 0):
        for number, example in enumerate(labelled):
            new = next(swap(None, example))
            if turn and new is not example:  # the first turn has only shown which entities there are
                yield new.reference, number
    if texts_path is not None:
        yield from ((nlp.make_doc(text), number_of.get(text, -1)) for text in read_plain_texts(texts_path).texts)


def _score_all(teachers: Sequence[Teacher], name: str, docs: Sequence[Doc], folder: Path) -> Path:
    """Let all teachers score the tags of documents, unless that is kept already, and keep the average."""
    words, kept = hash_words(docs), []
    for number, (path, asked) in enumerate(teachers, 1):
        kept.append(file := folder / f"{name}-{hash_files(path, f'{words} {asked.tolist()}')[:16]}.npz")
        if not file.exists():
            nlp = load_pipeline(path)
            teacher = _find(nlp, name, path, TokenComponent)
            own = [docs[index] for index in asked.tolist()]
            score_tags(nlp, teacher, own, f"Teacher {number} of {len(teachers)}").write(file)
    output_path = folder / f"{name}.npz"
    average(map(TagTargets.read, kept), [asked for _, asked in teachers], words).write(output_path)
    return output_path


def _check_labels(
    pipe: TextComponent, labelled: Sequence[Example], given: Sequence[str] | None, teachers: Sequence[Teacher]
) -> None:
    """Raise unless all teachers have the labels that a component is given or, where it is not, those annotated.

    Raises:
        DataError: One has not; or some have further ones, which others have not or the component is not given.
    """
    by_teacher = [srsly.read_json(path / "meta.json")["labels"].get(pipe.name) for path, _ in teachers]
    expected = {*pipe.find_labels(labelled), *(by_teacher[0] or ())} if given is None else {*given}
    for (path, _), labels in zip(teachers, by_teacher, strict=True):
        if labels is not None and {*labels} != expected:
            names = (", ".join(sorted(each)) for each in (labels, expected))
            raise DataError(
                "{}: '{}' has the labels {}. Expected those of student and teachers: {}.".format(
                    path, pipe.name, *names
                )
            )


def _ask(pipe: TextComponent, texts: list[Doc], teachers: Sequence[Teacher], temperature: float) -> dict[str, Floats]:
    """Ask teachers for the values of a component, and average those that are asked of a text; `(B,)` by label."""
    total, n_asked = dict[str, Floats](), np.zeros(len(texts))
    for path, asked in teachers:
        n_asked[asked] += 1
        for label, values in _predict_values(
            path, pipe, [texts[index] for index in asked.tolist()], temperature
        ).items():
            total.setdefault(label, np.zeros(len(texts)))[asked] += values
    return {label: values / n_asked for label, values in total.items()}


def _teach_values(docs: Sequence[Doc], said: Mapping[str, Floats], weight: float, *, exclusive: bool) -> None:
    """Move the values in `doc.cats` towards what teachers say; where nothing is annotated, that alone counts."""
    labels, taught = list(said), np.stack([*said.values()], axis=1)  # (B, L)
    gold = np.array([[doc.cats.get(label, np.nan) for label in labels] for doc in docs])
    is_gold = ~np.isnan(gold)
    gold = np.nan_to_num(gold)
    if exclusive:
        is_gold &= gold.any(axis=1, keepdims=True) | ~is_gold.all(axis=1, keepdims=True)  # all 0 says nothing
    values = (merge_targets(taught, gold, is_gold, exclusive=exclusive) + weight * taught) / (1 + weight)
    for doc, row in zip(docs, values.tolist(), strict=True):
        doc.cats.update(zip(labels, row, strict=True))


def _predict_values(path: Path, student: TextComponent, docs: list[Doc], temperature: float) -> dict[str, Floats]:
    """Let a teacher give a value for each document, by label."""
    nlp, name = load_pipeline(path), student.name
    teacher: TextComponent = _find(nlp, name, path, type(student))
    docs = [copy_words(nlp.vocab, doc) for doc in docs]
    for _, pipe in nlp.pipeline[: nlp.pipe_names.index(name)]:
        docs = run_component(pipe, docs)
    batches = [teacher.predict(docs[start : start + BATCH_SIZE]) for start in range(0, len(docs), BATCH_SIZE)]
    values = teacher.soften(np.concatenate(batches), temperature)  # (B, L)
    return dict(zip(teacher.labels, values.T, strict=True))


def _is_head(pipe: Any) -> bool:
    return isinstance(pipe, BertComponent) or (isinstance(pipe, TrainablePipe) and not isinstance(pipe, BertPipe))


def _find(nlp: Language, name: str, path: Path, kind: type[Any]) -> Any:
    pipe = nlp.get_pipe(name) if name in nlp.pipe_names else None
    if not isinstance(pipe, kind):
        raise SettingError("teachers", str(path), f"a pipeline with a component '{name}' like that of the student")
    return pipe

"""A config, teachers and texts → a student that learns from gold annotation and from what the teachers say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.util import copy_config, dot_to_object, load_model_from_config
from thinc.api import Config
from wasabi import msg

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.components.pipelines import load_pipeline, read_corpus, run_component
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
    ours = {name: pipe for name, pipe in student.pipeline if isinstance(pipe, (TokenComponent, TextComponent))}
    if not ours:
        raise SettingError(
            "components", ", ".join(student.pipe_names), "one that predicts tags, entities or categories"
        )
    if others := [name for name, pipe in student.pipeline if name not in ours and _is_head(pipe)]:
        msg.warn(f"{', '.join(others)}: learns from gold annotation alone; teachers say nothing of such components.")
    texts = [copy_words(student.vocab, doc) for doc in docs]
    for name, pipe in ours.items():
        if isinstance(pipe, TextComponent):
            _teach_values(docs, texts, pipelines, name, weight, temperature)
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
    section["corpus"] |= {"gold_preproc": False, "max_length": 0, "limit": 0, "augmenter": None}
    return config


def _collect_docs(
    settings: Config, nlp: Language, labelled: Sequence[Example], texts_path: Path | None, n_swapped: int
) -> Iterator[tuple[Doc, int]]:
    """Give the labelled documents, copies of them with other entities, and documents of which nothing is known.

    Each comes with the number of the labelled document that it is or is a copy of, or -1.
    """
    yield from ((example.reference, number) for number, example in enumerate(labelled))
    random.seed(settings["training"]["seed"] or 0)
    swap = SwapEntities(level=1.0)
    for turn in range(n_swapped + 1 if n_swapped else 0):
        for number, example in enumerate(labelled):
            new = next(swap(None, example))
            if turn and new is not example:  # the first turn has only shown which entities there are
                yield new.reference, number
    if texts_path is not None:
        yield from ((nlp.make_doc(text), -1) for text in read_plain_texts(texts_path).texts)


def _score_all(teachers: Sequence[Teacher], name: str, docs: Sequence[Doc], folder: Path) -> Path:
    """Let all teachers score the tags of documents, unless that is kept already, and keep the average."""
    words, kept = hash_words(docs), []
    for number, (path, asked) in enumerate(teachers, 1):
        kept.append(file := folder / f"{name}-{_hash_folder(path, f'{words} {asked.tolist()}')[:16]}.npz")
        if not file.exists():
            nlp = load_pipeline(path)
            teacher = _find(nlp, name, path, TokenComponent)
            own = [docs[index] for index in asked.tolist()]
            score_tags(nlp, teacher, own, f"Teacher {number} of {len(teachers)}").write(file)
    output_path = folder / f"{name}.npz"
    average(map(TagTargets.read, kept), [asked for _, asked in teachers], words).write(output_path)
    return output_path


def _teach_values(
    docs: Sequence[Doc], texts: list[Doc], teachers: Sequence[Teacher], name: str, weight: float, temperature: float
) -> None:
    """Move the values that a component has in `doc.cats` towards the mean of what the teachers say."""
    predicted = [
        _predict_values(path, name, [texts[index] for index in asked.tolist()], temperature) for path, asked in teachers
    ]
    for values in predicted[1:]:
        if values.keys() != predicted[0].keys():
            names = "; ".join(", ".join(each) for each in (predicted[0], values))
            raise DataError(
                f"The teachers do not have the same labels: {names}. Expected pipelines with the same ones."
            )
    for label in predicted[0]:
        total, n_asked = np.zeros((2, len(docs)))
        for values, (_, asked) in zip(predicted, teachers, strict=True):
            total[asked] += values[label]
            n_asked[asked] += 1
        for doc, value in zip(docs, (total / n_asked).tolist(), strict=True):
            gold = doc.cats.get(label)
            doc.cats[label] = value if gold is None else (gold + weight * value) / (1 + weight)


def _predict_values(path: Path, name: str, docs: list[Doc], temperature: float) -> dict[str, NDArray[np.float64]]:
    """Let a teacher give a value for each document, by label."""
    nlp = load_pipeline(path)
    teacher = _find(nlp, name, path, TextComponent)
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


def _hash_folder(folder: Path, start: str) -> str:
    told = sha256(start.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told.update(str(path.relative_to(folder)).encode())
        told.update(path.read_bytes())
    return told.hexdigest()

"""Trained pipelines, from a folder or installed, and documents with gold annotation for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import spacy
import srsly
from spacy.language import FactoryMeta, Language
from spacy.tokens import Doc
from spacy.training import Corpus, Example
from spacy.util import (
    dot_to_object,
    get_minor_version_range,
    get_model_meta,
    get_package_path,
    is_package,
    minibatch,
    registry,
)
from thinc.api import Config

from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.output import link_or_copy, replace_folder_when_done

Component = TypeVar("Component")
Collected = TypeVar("Collected")

_NO_PIPELINE = "{} is no pipeline. Expected a folder such as training/model-best, or the name of an installed pipeline."
_EXPECTED_DATA = "Expected a .spacy file, as `spacy-bertft convert` writes it."


def load_pipeline(pipeline: Path | str) -> Language:
    """Load a pipeline.

    Args:
        pipeline: A folder, or the name of an installed pipeline.

    Raises:
        DataError: There is none.
        PermissionError: It may not be read.
    """
    try:
        return spacy.load(pipeline)
    except PermissionError:
        raise
    except OSError as error:
        raise DataError(_NO_PIPELINE.format(pipeline)) from error


@contextmanager
def show_factories_of_spacy() -> Iterator[None]:
    """Let the metadata of our components name the factory of spaCy that does the same, while the context is open.

    By these names spaCy's commands find the components that they have something to say about.
    """
    language: Any = Language
    get_meta = language.get_pipe_meta

    def get_shown(nlp: Language, name: str) -> FactoryMeta:
        meta: FactoryMeta = get_meta(nlp, name)
        return replace(meta, factory=meta.factory.removeprefix("bert_"))

    language.get_pipe_meta = get_shown
    try:
        yield
    finally:
        language.get_pipe_meta = get_meta


def name_pipelines(pipelines: Sequence[Path | str]) -> tuple[str, ...]:
    """Name pipelines by their folders; where two have one name, such as `model-best`, all by their whole paths."""
    names = tuple(Path(pipeline).name for pipeline in pipelines)
    return names if len(set(names)) == len(names) else tuple(map(str, pipelines))


def hash_pipeline(nlp: Language) -> str:
    """Compute what tells pipelines apart that predict differently: a hash of their settings and weights.

    Name and version are left out, since a package may get others.
    """
    told = [nlp.lang, nlp.meta["labels"], nlp.pipe_names, nlp.config.interpolate()["components"]]
    start, folder = srsly.json_dumps(told, sort_keys=True), nlp.path
    names = () if folder is None else sorted({*nlp.component_names, "tokenizer", "vocab"})
    return sha256("".join([start, *(hash_files(folder / name) for name in names)]).encode()).hexdigest()


def hash_files(path: Path, start: str = "") -> str:
    """Compute a hash of the names and contents of all files in a folder, or of one file."""
    told = sha256(start.encode())
    for each in sorted([path, *path.rglob("*")]):
        if each.is_file():
            told.update(str(each.relative_to(path)).encode())
            with each.open("rb") as file:
                while block := file.read(1 << 20):  # weights may be as large as the memory
                    told.update(block)
    return told.hexdigest()


def format_requirement(extra: str) -> str:
    """Write the requirement of this package with an extra, as a package of a pipeline has it."""
    return f"spacy-bertft[{extra}]{get_minor_version_range(version('spacy-bertft'))}"


def find_pipeline_dir(nlp: Language) -> Path:
    """Return the folder that a pipeline was loaded from.

    Raises:
        DataError: It was not loaded from a folder.
    """
    folder: Path | None = nlp.path
    if folder is None or not (folder / "config.cfg").is_file():
        raise DataError("The pipeline is not a folder on a disk, so its other components cannot be copied.")
    return folder


def find_pipeline_path(pipeline: Path | str) -> Path:
    """Return the folder of a pipeline without loading it.

    Args:
        pipeline: A folder, or the name of an installed pipeline.

    Raises:
        DataError: There is none.
    """
    folder = Path(pipeline)
    if not folder.exists() and is_package(str(pipeline)):
        package = get_package_path(str(pipeline))
        meta = get_model_meta(package)
        folder = package / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    if not (folder / "config.cfg").is_file():
        raise DataError(_NO_PIPELINE.format(pipeline))
    return folder


def copy_pipeline_dir(folder: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """Copy the folder of a pipeline, without what Python and killed processes have left in it.

    Args:
        folder: The folder.
        target: The copy, a new folder or an empty one.
        copy: Copies a file.
    """
    left = shutil.ignore_patterns("__pycache__", ".*.tmp", ".*.old")
    shutil.copytree(folder, target, dirs_exist_ok=True, ignore=left, copy_function=copy)


def check_replaceable_pipeline(output_dir: Path) -> None:
    """Raise unless a folder for a pipeline is new, empty, or holds an earlier one.

    Raises:
        DataError: It holds something else, which would be lost.
    """
    is_new = not output_dir.exists() or (output_dir.is_dir() and not any(output_dir.iterdir()))
    if not is_new and not (output_dir / "meta.json").is_file():
        raise DataError(f"{output_dir} is no pipeline, and would be lost. Expected a new folder.")


def choose_target(pipeline: Path | str, output_dir: Path | str | None) -> Path:
    """Return the folder of a changed pipeline: another one, or its own.

    Args:
        pipeline: A folder, or the name of an installed pipeline.
        output_dir: The other folder.

    Raises:
        DataError: It holds something else than a pipeline.
        SettingError: There is none, and an installed pipeline is not to be changed.
    """
    if output_dir is not None:
        check_replaceable_pipeline(Path(output_dir))
        return Path(output_dir)
    if not Path(pipeline).is_dir():
        raise SettingError("output", None, f"a folder to write to, since {pipeline} is an installed pipeline")
    return Path(pipeline)


def write_stored(source: Path, target: Path, stored: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a pipeline with other values next to its weights; in place, unchanged files are linked instead of copied.

    Args:
        source: Its folder.
        target: The folder to write to, perhaps the same.
        stored: By component, what `list_stored` gives.
    """
    is_same = source.resolve() == target.resolve()
    with replace_folder_when_done(target) as folder:
        copy_pipeline_dir(source, folder, link_or_copy if is_same else shutil.copy2)
        for name, values in stored.items():
            path = folder / name / "cfg"
            path.unlink()  # it may be a link to the earlier one
            srsly.write_json(path, values)


def choose_component(nlp: Language, kind: type[Component], name: str | None, otherwise: str) -> Component:
    """Return the component of a kind that is meant: the one of that name, or the only one.

    Args:
        nlp: The pipeline.
        kind: The class of the component.
        name: Its name, if it was given.
        otherwise: What an error expects where there is no such component at all.

    Raises:
        SettingError: It is not clear which one is meant, or there is none.
    """
    found = {each: pipe for each, pipe in nlp.pipeline if isinstance(pipe, kind)}
    chosen = next(iter(found)) if name is None and len(found) == 1 else name
    if chosen not in found:
        raise SettingError("component", name, f"one of {', '.join(found) or otherwise}")
    return found[chosen]


def run_component(component: Callable[[Doc], Doc], docs: list[Doc]) -> list[Doc]:
    """Run a component over documents, as `nlp.pipe` does: a plain function too, which has no `pipe` of its own."""
    return list(component.pipe(docs)) if hasattr(component, "pipe") else [component(doc) for doc in docs]


def annotate_in_training(nlp: Language, examples: Sequence[Example]) -> None:
    """Let the components annotate that do so in training, such as `text_pair`."""
    names = nlp.config["training"].get("annotating_components", [])
    for name, pipe in nlp.pipeline:
        if name in names:
            run_component(pipe, [example.predicted for example in examples])


def collect_by_component(
    nlp: Language,
    examples: Iterable[Example],
    pipes: Mapping[str, Component],
    collect: Callable[[Component, list[Example]], Collected],
) -> dict[str, list[Collected]]:
    """Collect something from components, batch by batch, each before it annotates the documents.

    Args:
        nlp: A trained pipeline.
        examples: With gold annotation. Their predicted documents are annotated.
        pipes: Some of its components, by name.
        collect: What is collected from a batch.
    """
    parts: dict[str, list[Collected]] = {name: [] for name in pipes}
    last = list(pipes)[-1] if pipes else None
    for batch in minibatch(examples, nlp.batch_size):  # type: ignore[no-untyped-call]
        for name, pipe in nlp.pipeline:
            if name in pipes:
                parts[name].append(collect(pipes[name], batch))
            if name == last:
                break
            run_component(pipe, [example.predicted for example in batch])
    return parts


def read_inputs(pipeline: Path | str, data_path: Path | str) -> tuple[Language, list[Example]]:
    """Read a pipeline, and examples for it.

    Args:
        pipeline: A folder, or the name of an installed pipeline.
        data_path: A `.spacy` file with gold annotation.

    Raises:
        DataError: There is no such pipeline, or no such file; or the file holds no documents.
    """
    check_data(data_path)  # first what takes no time
    nlp = load_pipeline(pipeline)
    return nlp, read_examples(data_path, nlp)


def check_data(path: Path | str) -> Path:
    """Check that a file with gold annotation, or a directory of them, is there, before a pipeline is loaded for it.

    Raises:
        DataError: There is none, or its name ends otherwise.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} is no file. {_EXPECTED_DATA}")
    if path.suffix != ".spacy" and not path.is_dir():
        # spaCy's reader of corpora passes over files of any other name.
        raise DataError(f"{path} does not end in .spacy. {_EXPECTED_DATA}")
    return path


def read_examples(path: Path | str, nlp: Language) -> list[Example]:
    """Read examples for a pipeline.

    Args:
        path: A `.spacy` file with gold annotation, or a directory of them.
        nlp: The pipeline whose tokenizer cuts their texts.

    Raises:
        DataError: There is no such file, or it holds no documents.
    """
    path = check_data(path)
    try:
        examples = list(Corpus(path)(nlp))
    except ValueError as error:
        raise DataError(f"{path} cannot be read. {_EXPECTED_DATA} spaCy says: {error}") from error
    if not examples:
        raise DataError(f"{path} holds no documents.")
    return examples


def read_corpus(config: Config, nlp: Language, corpus: str) -> list[Example]:
    """Read a corpus that the training by a config reads.

    Args:
        config: An interpolated config.
        nlp: The pipeline whose tokenizer cuts the texts.
        corpus: The setting of `[training]` that names it: `train_corpus` or `dev_corpus`.
    """
    section = dot_to_object(config, config["training"][corpus])
    return list(registry.resolve({"corpus": section})["corpus"](nlp))


def find_given_labels(config: Config, component: str) -> Sequence[str] | None:
    """Find the labels that an interpolated config gives a component in `[initialize.components]`, if any."""
    section = config["initialize"]["components"].get(component, {})
    labels: Sequence[str] | None = registry.resolve({"section": section})["section"].get("labels")
    return labels

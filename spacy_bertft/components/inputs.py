"""What is read for commands: a pipeline, and documents with gold annotation."""

from __future__ import annotations

from pathlib import Path

from spacy.language import Language
from spacy.training import Corpus, Example

from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.errors import DataError

_EXPECTED_DATA = "Expected a .spacy file, as `spacy-bertft convert` writes it."


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
    """Check that a file with gold annotation is there, before a pipeline is loaded for it.

    Raises:
        DataError: There is none, or its name ends otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is no file. {_EXPECTED_DATA}")
    if path.suffix != ".spacy":
        # spaCy's reader of corpora passes over files of any other name.
        raise DataError(f"{path} does not end in .spacy. {_EXPECTED_DATA}")
    return path


def read_examples(path: Path | str, nlp: Language) -> list[Example]:
    """Read examples for a pipeline.

    Args:
        path: A `.spacy` file with gold annotation.
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

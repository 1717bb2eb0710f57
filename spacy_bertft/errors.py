"""All errors of the package, in one hierarchy.

::

    BertftError
    ├── DataError (ValueError)            a file or a document does not hold what was expected
    │   └── ColumnFormatError             one line of a column file, or one row of a CSV, TSV or JSONL file
    ├── TagError (ValueError)             a tag or a sequence of tags that its scheme does not know
    ├── ShapeError (ValueError)           an array of the wrong shape
    ├── CheckpointError (ValueError)      a folder of weights that cannot be used
    │   └── CheckpointNotFoundError (FileNotFoundError)
    ├── SettingError (ValueError)         a setting outside what is allowed
    ├── NotInitializedError (RuntimeError)
    │   └── MissingEncoderError           a component shares an encoder that is not in the pipeline
    ├── DivergedError (ArithmeticError)   training gave weights that are no numbers
    ├── WorkerError (RuntimeError)        a worker process failed
    ├── DocumentError (RuntimeError)      a document could not be annotated
    ├── UnsupportedError (NotImplementedError)
    ├── MissingExtraError (ImportError)   an optional dependency is not installed
    └── RequirementError (ImportError)    a required package is missing, too old or broken

An error carries its data as attributes and builds its own sentence: where and what, what was expected, what to do next.
What it quotes from a file is cut in the middle if it is long, so that its sentence can be read whatever the file holds.
What a library says about damaged or hostile content becomes an error of ours.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import srsly

_LONGEST = 300  # characters of one part of a sentence
_LONGEST_LINE = 900  # of a whole one about a checkpoint


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Leave out the middle of a long part of a sentence, and keep its start, what it quotes, and its end, the advice.

    Example:
        >>> len(shorten("x" * 1_000_000))
        300
    """
    if len(text) <= longest:
        return text
    n_end = longest // 2
    return f"{text[: longest - n_end - 3]} … {text[-n_end:]}"


def format_count(number: int, noun: str) -> str:
    """Write a number and the noun that it counts.

    Example:
        >>> format_count(1, "text"), format_count(2000, "text")
        ('1 text', '2,000 texts')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class BertftError(Exception):
    """Any deliberate error of this package.

    Args:
        message: The whole sentence.
        data: What it is about, kept as attributes.
    """

    def __init__(self, message: str = "", **data: object) -> None:
        super().__init__(message)
        vars(self).update(data)


class DataError(BertftError, ValueError):
    """A file or a document does not hold what was expected."""


class ColumnFormatError(DataError):
    """One line of a column file cannot be read, or one row of a CSV, TSV or JSONL file.

    Args:
        path: The file.
        line: Line number, from 1; of a row that spans several lines, the first.
        problem: What is wrong there.
        expected: What was expected there, or what to do.
    """

    def __init__(self, path: Path | str, line: int, problem: str, expected: str) -> None:
        self.path, self.line = Path(path), line
        self.problem, self.expected = shorten(problem), shorten(expected)
        super().__init__(f"{path}, line {line}: {self.problem}. {self.expected}")


class TagError(BertftError, ValueError):
    """A tag, or a sequence of tags, that its scheme does not have.

    Args:
        index: Position of the tag in its sequence, from 0.
        tag: The tag.
        problem: What is wrong with it.
        expected: What would be right.
    """

    def __init__(self, index: int, tag: str, problem: str, expected: str) -> None:
        self.index, self.tag = index, tag
        self.problem, self.expected = shorten(problem), shorten(expected)
        super().__init__(f"tag {index} ({shorten(repr(tag))}): {self.problem}. Expected {self.expected}.")


class ShapeError(BertftError, ValueError):
    """An array does not have the shape that was expected."""

    def __init__(self, what: str, found: tuple[int, ...], expected: str) -> None:
        message = f"{what} has shape {found}. Expected {expected}."
        super().__init__(message, what=what, found=found, expected=expected)


class CheckpointError(BertftError, ValueError):
    """A checkpoint cannot be used as it is.

    Args:
        message: What is wrong. Characters of names in a file that would not be seen, such as the end of a line, are
            spelled out, and what is too long is cut in the middle.
    """

    def __init__(self, message: str, **data: object) -> None:
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__(shorten(line, _LONGEST_LINE), **data)


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no checkpoint of the given name."""

    def __init__(self, name: str, advice: str) -> None:
        super().__init__(f"No checkpoint at '{name}'. {advice}", name=name, advice=advice)


class SettingError(BertftError, ValueError):
    """A setting lies outside what is allowed.

    Args:
        name: The setting, as it is spelled in the config.
        value: What was given.
        expected: What is allowed.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        message = f"{name} = {shorten(repr(value))}. Expected {expected}."
        super().__init__(message, name=name, value=value, expected=expected)


def check_setting(name: str, value: object, is_allowed: bool, expected: str) -> None:
    """Check a setting.

    Args:
        name: The setting, as it is spelled in the config.
        value: What was given.
        is_allowed: Whether that is allowed.
        expected: What is allowed.

    Raises:
        SettingError: It is not.
    """
    if not is_allowed:
        raise SettingError(name, value, expected)


class NotInitializedError(BertftError, RuntimeError):
    """A model was used before it had weights."""


class MissingEncoderError(NotInitializedError):
    """A component shares an encoder that no component before it has.

    Args:
        component: Name of the component; empty for a model outside of any component.
        upstream: Name of the component that should have the encoder; `*` for any.
    """

    def __init__(self, component: str, upstream: str) -> None:
        name = component or "the component"
        factory, wanted = '"bert_encoder"', "bert_encoder or transformer"
        if upstream != "*":
            factory, wanted = f'"bert_encoder", name="{upstream}"', f"component named '{upstream}'"
        message = (
            f"{component or 'A shared encoder'}: the encoder that it shares is missing, since no {wanted} is before "
            f'{name} in the pipeline. Add one with nlp.add_pipe({factory}, before="{name}"), with source=… if {name} '
            f"comes from another pipeline; or call nlp.replace_listeners in that pipeline, before {name} leaves it, to "
            f"give {name} a copy of the encoder."
        )
        super().__init__(message, component=component, upstream=upstream)


class DivergedError(BertftError, ArithmeticError):
    """A gradient is not finite; the weights were left as they are."""

    def __init__(self, learn_rate: float) -> None:
        super().__init__(
            f"Training diverged: the gradient is not finite at a learning rate of {learn_rate:g}. "
            "Lower the rate, or set precision to fp32.",
            learn_rate=learn_rate,
        )


class WorkerError(BertftError, RuntimeError):
    """A worker process failed."""

    def __init__(self, reason: str) -> None:
        message = f"A worker process failed: {reason}. Finished shards are kept; run the same command again to resume."
        super().__init__(message, reason=reason)


class DocumentError(BertftError, RuntimeError):
    """A document could not be annotated, so that it is not known what it holds.

    Args:
        index: Its position among the texts, from 0.
        reason: Why.
    """

    def __init__(self, index: int, reason: str) -> None:
        message = f"Document {index}, counted from 0, could not be annotated: {reason}. It has no results."
        super().__init__(message, index=index, reason=reason)


class UnsupportedError(BertftError, NotImplementedError):
    """A method of spaCy that this component does not support."""


class MissingExtraError(BertftError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        message = f"{purpose} needs an extra. Install it with: pip install 'spacy-bertft[{extra}]'"
        super().__init__(message, purpose=purpose, extra=extra)


class RequirementError(BertftError, ImportError):
    """A part of this package cannot be used, because a package that it requires is missing, too old or broken.

    Args:
        what: The part.
        unmet: The version that is installed, "" if there is none, by requirement that the environment does not meet.
        cause: What went wrong.
    """

    def __init__(self, what: str, unmet: Mapping[str, str], cause: Exception) -> None:
        reason = shorten(f"{type(cause).__name__}: {' '.join(str(cause).split())}")
        if unmet:
            found = [f"{each} ({f'{version} is' if version else 'not'} installed)" for each, version in unmet.items()]
            advice = f"Install it with: pip install {' '.join(repr(each) for each in unmet)}"
            message = f"{what} needs {', '.join(found)}. {advice} [{reason}]"
        else:
            message = f"{what} cannot be used: {reason}. Run `pip check`, or install again what is broken."
        super().__init__(message, what=what, unmet=dict(unmet), cause=cause)


@contextmanager
def wrap_errors(problem: str, advice: str = "") -> Iterator[None]:
    """Within this context libraries read content, about which they may raise anything.

    Args:
        problem: What it means that they could not, such as `cfg cannot be read`.
        advice: What to do then.

    Raises:
        CheckpointError: They could not. Errors of ours stay what they are.
    """
    collects_garbage = gc.isenabled()
    try:
        yield
    except BertftError:
        raise
    except BaseException as error:
        # A panic of Rust, as in tokenizers, is no Exception, and Python cannot import its type.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{problem}: {read_reason(error)}. {advice}".rstrip()) from error
    finally:
        if collects_garbage:
            gc.enable()  # srsly turns it off to read msgpack, and leaves it so after an error


@contextmanager
def name_source(source: str, advice: str = "") -> Iterator[None]:
    """Within this context everything that is wrong with content, by our own checks too, says where it was.

    Args:
        source: What is read, such as a file.
        advice: What to do where it cannot be read.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with wrap_errors("It cannot be read", advice):
            yield
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error


def read_reason(error: BaseException) -> str:
    """Return the first line of what another library says, shortened, or the kind of its error where it says nothing."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    reason = reason.encode("utf-8", "backslashreplace").decode("utf-8")
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]} …"


def check_file(path: Path) -> None:
    """Raise unless a path is that of a file: to open a pipe or a device may never end.

    Raises:
        CheckpointError: It is not.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is {'no file' if path.exists() else 'missing'}.")


def parse_message(content: Any) -> dict[str, Any]:
    """Read msgpack whose outermost value is a dictionary with names for keys.

    Args:
        content: Bytes, or anything like them.

    Raises:
        ValueError: It is not.
    """
    message = srsly.msgpack_loads(content)
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ValueError(f"expected names and values, found {type(message).__name__}")
    return message

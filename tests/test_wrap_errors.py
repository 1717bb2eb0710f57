"""Whatever a library raises about content becomes one line of ours; what is no matter of content stays what it is."""

from __future__ import annotations

import gc

import pytest
import srsly

from spacy_bertft.errors import (
    CheckpointError,
    SettingError,
    check_file,
    name_source,
    parse_message,
    read_reason,
    wrap_errors,
)


class OddError(Exception):
    """An error that no library has."""


@pytest.mark.parametrize(
    "error", [OddError("a\nb"), MemoryError(), RecursionError("a"), UnicodeError("a."), KeyError("a")]
)
def test_any_error_becomes_one_line(error):
    with pytest.raises(CheckpointError) as caught, wrap_errors("x cannot be read", "Write it again."):
        raise error
    reason = {"MemoryError": "MemoryError", "KeyError": "'a'"}.get(type(error).__name__, "a")
    assert str(caught.value) == f"x cannot be read: {reason}. Write it again."
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), SettingError("a", 1, "2")])
def test_what_is_no_damage_passes(error):
    with pytest.raises(type(error)) as caught, name_source("x"), wrap_errors("x cannot be read"):
        raise error
    assert caught.value is error


def test_our_own_checks_say_where():
    with pytest.raises(CheckpointError, match=r"^ner: cfg: It is odd\.$"), name_source("ner: cfg"):
        raise CheckpointError("It is odd.")


def test_a_panic_of_rust_is_an_error_of_ours():
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(CheckpointError, match="index out of bounds"), wrap_errors("It cannot be read"):
        raise panic("index out of bounds")


def test_long_reasons_are_cut_and_can_be_written():
    assert read_reason(ValueError("a" * 500)) == "a" * 300 + " …"
    assert read_reason(ValueError("\ud800")) == "\\ud800"


@pytest.mark.parametrize(
    "content", [b"", b"\x93\x01\x02", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"\xc1", b"\x81\x01\x02", b"\xc0"]
)
def test_a_message_that_is_none_leaves_the_garbage_collector_on(content):
    assert gc.isenabled()
    with pytest.raises(CheckpointError), wrap_errors("It cannot be read"):
        parse_message(content)
    assert gc.isenabled()
    assert parse_message(srsly.msgpack_dumps({"a": 1})) == {"a": 1}


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"x is missing\."):
        check_file(tmp_path / "x")
    with pytest.raises(CheckpointError, match=r"is no file\."):
        check_file(tmp_path)

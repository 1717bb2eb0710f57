from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError

import pytest

from spacy_bertft.entry_points import requirements
from spacy_bertft.entry_points.requirements import find_unmet

INSTALLED = {"too-old": "1.9", "new": "2.0", "early": "3.0rc1", "own": "of my own"}
REQUIRED = [
    "too-old>=2,<3",
    "new>=2",
    "early>=2",
    "own>=2",
    "not-installed>=2",
    "json>=2",  # can be imported, though nobody knows its version
    "elsewhere>=2; python_version < '3'",
    "optional>=2; extra == 'plot'",
]


def find_version(name: str) -> str:
    if name not in INSTALLED:
        raise PackageNotFoundError(name)
    return INSTALLED[name]


def test_what_is_too_old_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "requires", lambda name: REQUIRED)
    monkeypatch.setattr(requirements, "version", find_version)
    assert find_unmet() == {"too-old<3,>=2": "1.9", "not-installed>=2": ""}


def test_a_checkout_that_is_not_installed_requires_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(requirements, "requires", fail)
    assert find_unmet() == {}


def test_without_packaging_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "requires", lambda name: ["not-installed>=2"])
    assert find_unmet() == {"not-installed>=2": ""}
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert find_unmet() == {}


def test_this_environment_meets_all_requirements() -> None:
    assert find_unmet() == {}

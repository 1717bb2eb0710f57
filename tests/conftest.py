"""Fixtures for all tests; how much a run tests, and what it reports as left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import catalogue
import pytest
import spacy
import torch
from hypothesis import HealthCheck, settings
from planted_words import make_planted_pipeline
from small_checkpoints import make_checkpoint
from spacy.lang.en import English
from thinc.api import fix_random_seed

# Deadlines would fail on a busy machine. Examples are derandomized: what fails once fails again.
settings.register_profile("full", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("everyday", settings.get_profile("full"), max_examples=25)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "full")
settings.load_profile(PROFILE)

# A quarter of the time went to spaCy's own work for each English pipeline: 1,347 exceptions of its tokenizer, of which
# our texts need these few, and looking through the entry points of all packages for each registered name. Processes
# that tests start have all of them.
needed = ("cannot", "can't", "didn't", "don't", "i'm", "isn't", "it's", "what's", "who's", "Mr.", "a.m.")
exceptions = English.Defaults.tokenizer_exceptions
few_exceptions = {word: exceptions[word] for word in needed if word in exceptions}
English.Defaults.tokenizer_exceptions = few_exceptions
_select_entry_points = cache(lambda group: catalogue.AVAILABLE_ENTRY_POINTS.select(group=group))
catalogue.Registry._get_entry_points = lambda self: _select_entry_points(self.entry_point_namespace)

# What tests write need not survive a power cut; waiting for the disk took a tenth of the time. Processes do wait.
os.fsync = lambda descriptor: None

TESTS = Path(__file__).parent
# The markers of whole directories and files; others are set where the test is.
MARKERS = {
    "concurrency": "process",
    "faults": "faults",
    # What depends on the version of transformers or tokenizers, of which spacy-transformers needs old ones.
    "checkpoints": "stock",
    "components/test_ner.py": "stock",
    "components/test_tagger.py": "stock",
    "components/test_textcat.py": "stock",
    "entry_points": "stock",
    "exchange": "stock",
    "explanation/test_explain.py": "stock",
    "models": "stock",
    "peers": "slow",
    "tokens": "stock",
}
# What `make test` leaves out.
LEFT_OUT = ("process", "faults", "bench", "hostile", "cluster", "browser", "slow")
_left_out = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count what is left out."""
    config.stash[_left_out] = Counter()
    missing = [path for path in MARKERS if not (TESTS / path).exists()]
    if missing:
        raise pytest.UsageError(f"tests/conftest.py: MARKERS names what is not there: {', '.join(missing)}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Set the markers of directories and files, and reduce the examples that a test asks of hypothesis itself."""
    for item in items:
        # spaCy's own tests, of `peers`, are elsewhere: what collects them is here.
        path = next(
            (node.path for node in item.iter_parents() if getattr(node, "path", Path()).is_relative_to(TESTS)), None
        )
        if path is None:
            continue
        path = path.relative_to(TESTS)
        for place in (path, *path.parents):
            if marker := MARKERS.get(place.as_posix()):
                item.add_marker(marker)
        # Those that need the extra skip themselves where it is missing.
        if any("spacy-transformers" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif")):
            item.add_marker("stock")
        if PROFILE == "everyday":
            _use_everyday_examples(item)
    _choose_everyday_parameters(items)


def _choose_everyday_parameters(items: Sequence[pytest.Item]) -> None:
    """Of a test with `@pytest.mark.everyday(n)`, let all but n sets of parameters, evenly spaced, be slow."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("everyday"):
            groups.setdefault(item.nodeid.split("[")[0], []).append(item)
    for group in groups.values():
        [n_chosen] = group[0].get_closest_marker("everyday").args
        chosen = {len(group) * k // n_chosen for k in range(n_chosen)}
        for i, item in enumerate(group):
            if i not in chosen:
                item.add_marker("slow")


def _use_everyday_examples(item: pytest.Item) -> None:
    """Let a test that asks for a number of examples have a quarter of it; who asks for few needs long for each."""
    function: Any = getattr(item, "function", None)
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None:
        n_examples = min(settings.default.max_examples, max(5, own.max_examples // 4))
        function._hypothesis_internal_use_settings = settings(own, max_examples=n_examples)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give spaCy's own tests all exceptions of its English tokenizer."""
    if item.nodeid.startswith("tests/peers"):
        English.Defaults.tokenizer_exceptions = exceptions
    try:
        return (yield)
    finally:
        English.Defaults.tokenizer_exceptions = few_exceptions


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Count what is left out, each test by the first of its markers."""
    for item in items:
        names = [name for name in LEFT_OUT if item.get_closest_marker(name)]
        item.config.stash[_left_out].update(names[:1])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the counts from a worker of xdist to the process that reports them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_left_out])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts of a worker; each of them has collected everything."""
    node.config.stash[_left_out] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report what was left out."""
    counts = config.stash[_left_out]
    if counts:
        listed = ", ".join(f"{counts[name]} {name}" for name in LEFT_OUT if counts[name])
        terminalreporter.write_line(
            f"Left out: {sum(counts.values())} tests ({listed}). `make test-all` runs them.",
            yellow=True,
        )


def pytest_fixture_setup() -> None:
    """Let every fixture begin with the same random numbers, whatever ran before it."""
    fix_random_seed(0)


def pytest_runtest_call() -> None:
    """Let every test begin with the same random numbers, whatever ran before it."""
    fix_random_seed(0)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch have two threads, so that passes run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give the folder of a small random checkpoint, made once per kind."""
    made: dict[tuple[str, int], Path] = {}

    def get(family: str = "bert", n_labels: int = 0) -> Path:
        if (family, n_labels) not in made:
            made[family, n_labels] = make_checkpoint(tmp_path_factory.mktemp(family), family, n_labels)
        return made[family, n_labels]

    return get


@pytest.fixture(scope="session")
def checkpoint(checkpoints: Callable[..., Path]) -> str:
    """Give the folder of a small random BERT."""
    return str(checkpoints())


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Path:
    """Give the folder of a pipeline that has learned which word makes which class; training takes seconds."""
    folder = tmp_path_factory.mktemp("planted") / "model"
    make_planted_pipeline(checkpoint).to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def ruler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a pipeline that finds the word `film`."""
    folder = tmp_path_factory.mktemp("ruler") / "model"
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "THING", "pattern": "film"}])
    nlp.to_disk(folder)
    return folder

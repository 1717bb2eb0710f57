"""spaCy's own tests, which its wheel has, on our components: wherever they make one of its own, they get ours.

Nothing of them is copied. What of them cannot hold for ours, and why, is in `left_out.py`. Run `pytest tests/peers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import spacy.tests
import torch
from hypothesis import settings
from peers.left_out import LEFT_OUT
from spacy.language import Language
from thinc.api import fix_random_seed

_profile = settings.get_current_profile_name()
from spacy.tests.conftest import de_vocab, en_tokenizer, en_vocab, tokenizer  # noqa: E402, F401 (fixtures)

settings.load_profile(_profile)  # spaCy's fixtures change it

OURS = {
    "ner": "bert_ner",
    "tok2vec": "bert_encoder",
    "tagger": "bert_tagger",
    "textcat": "bert_textcat",
    "textcat_multilabel": "bert_textcat_multilabel",
}
# Losses have to fall below 0.00001 in 50 steps.
SETTINGS: dict[str, dict[str, float]] = {
    "ner": {"head_lr_scale": 100.0, "token_loss": 0.0, "label_smoothing": 0.0},
    "tagger": {"head_lr_scale": 400.0},
}


class SpacyTests(pytest.File):
    """The files that the list names, in the installed spaCy."""

    def collect(self) -> Iterable[pytest.Module]:
        [folder] = spacy.tests.__path__
        self.add_marker(pytest.mark.filterwarnings("default"))
        for name in LEFT_OUT:
            yield pytest.Module.from_parent(self, path=Path(folder, name), nodeid=f"{self.nodeid}::{name}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "issue(number): of spaCy's tracker")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    is_list = file_path == Path(__file__).with_name("left_out.py")
    return SpacyTests.from_parent(parent, path=file_path) if is_list else None


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Expect those that are left out to fail, and say why."""
    for item in items:
        if item.path.is_relative_to(Path(*spacy.tests.__path__)):
            _, name, test = item.nodeid.split("::", 2)
            reasons = LEFT_OUT[name]
            if reason := reasons.get(test) or reasons.get(test.split("[")[0]):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def make_zero_linear(width: int, n_outputs: int, *, bias: bool = True) -> torch.nn.Linear:
    linear = torch.nn.Linear(width, n_outputs, bias)
    for parameter in linear.parameters():
        torch.nn.init.zeros_(parameter)
    return linear


@pytest.fixture(autouse=True)
def substitute(monkeypatch: pytest.MonkeyPatch, checkpoint: str) -> None:
    """Let pipelines have our components where a test asks for spaCy's, with a small random encoder.

    The last layers start at zero, as spaCy's do: a `ner` that has learned nothing then finds nothing.
    """
    fix_random_seed(0)  # the hook of our own tests is for files next to it
    monkeypatch.setattr("spacy_bertft.models.heads.layers.make_linear", make_zero_linear)
    encoder = {"name": checkpoint, "precision": "fp32"}

    def make_ours(
        nlp: Language, make: Callable[..., Any], factory: str, name: str | None = None, **settings: Any
    ) -> Any:
        if not isinstance(factory, str) or factory not in OURS or settings.get("source"):
            return make(nlp, factory, name, **settings)
        settings.pop("raw_config", None)
        config = settings.pop("config", {})
        tok2vec = config.get("model", {}).get("tok2vec", {}).get("@architectures")
        shared = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
        model = {"encoder": shared if tok2vec == "spacy.Tok2VecListener.v1" else encoder} | SETTINGS.get(factory, {})
        config = {**config, "model": encoder if factory == "tok2vec" else model}
        return make(nlp, OURS[factory], name or factory, config=config, **settings)

    for method in ("add_pipe", "create_pipe"):
        monkeypatch.setattr(Language, method, partialmethod(make_ours, getattr(Language, method)))

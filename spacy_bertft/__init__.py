"""Fine-tuned BERT in a spaCy pipeline.

spaCy finds the components through the entry points in `pyproject.toml`; importing this package costs nothing. The
functions behind the commands are here too, each imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# For type checkers the same names are in `__init__.pyi`.
_MODULES = {
    "annotate": "annotation.annotate",
    "ask": "components.question_answering",
    "attribute": "explanation.explain",
    "audit": "cross_validation.audit",
    "calibrate": "evaluation.calibrate",
    "configure_adamw": "training.optimizer",
    "convert": "data.formats",
    "convert_columns": "data.columns.convert",
    "convert_questions": "data.questions",
    "convert_spans": "data.texts.convert",
    "convert_texts": "data.texts.convert",
    "crossval": "cross_validation.crossval",
    "distill": "distillation.distill",
    "evaluate": "evaluation.evaluate",
    "explain": "explanation.pipeline",
    "export_hf": "exchange.export_hf",
    "extend": "exchange.extend",
    "guarantee": "evaluation.guarantee",
    "import_hf": "exchange.import_hf",
    "init_config": "recipes",
    "init_project": "recipes",
    "make_choice": "data.endings",
    "make_pair": "data.pairs",
    "migrate": "exchange.migrate",
    "package": "exchange.package",
    "pretrain": "exchange.pretrain",
    "quantize": "exchange.graphs",
    "render": "explanation.attribution",
    "report": "evaluation.report",
    "resume": "resuming.run",
    "serve": "serving.serve",
    "suggest": "active.suggest",
    "train": "resuming.run",
    "tune": "cross_validation.tune",
}
__all__ = [
    "__version__",
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    """Import a public function, or read the version of the installed package."""
    if name == "__version__":
        from importlib.metadata import version

        return version("spacy-bertft")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The architectures; the module of each is imported when a config names it."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from spacy_bertft.entry_points.requirements import find_unmet
from spacy_bertft.errors import RequirementError

# The module and the registered name, which a config and an error show, of what builds each; a test compares the names.
_ARCHITECTURES = {
    "build_bert_encoder": ("models.encoder.build", "spacy-bertft.BertEncoder.v1"),
    "build_listener": ("models.encoder.tok2vec", "spacy-bertft.Listener.v1"),
    "build_multiple_choice": ("models.heads.text", "spacy-bertft.MultipleChoice.v1"),
    "build_question_answering": ("models.heads.question", "spacy-bertft.QuestionAnswering.v1"),
    "build_shared_encoder": ("models.encoder.listener", "spacy-bertft.SharedEncoder.v1"),
    "build_span_classifier": ("models.heads.candidates", "spacy-bertft.SpanClassifier.v1"),
    "build_text_classifier": ("models.heads.text", "spacy-bertft.TextClassifier.v1"),
    "build_tok2vec": ("models.encoder.tok2vec", "spacy-bertft.Tok2Vec.v1"),
    "build_token_classifier": ("models.heads.token", "spacy-bertft.TokenClassifier.v1"),
    "build_transformer_model": ("models.stock.model", "spacy-bertft.TransformerModel.v1"),
}


def __getattr__(attribute: str) -> Any:
    """Return what builds an architecture.

    Raises:
        AttributeError: There is no such name.
        RequirementError: A package that it needs is missing, too old or broken.
    """
    if attribute not in _ARCHITECTURES:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    module, name = _ARCHITECTURES[attribute]
    try:
        if find_spec("torch"):  # thinc passes over one that is broken, as over none; only graphs predict with none
            import_module("torch")
        return getattr(import_module(f"spacy_bertft.{module}"), attribute)
    except Exception as error:
        raise RequirementError(f"The architecture {name}", find_unmet(), error) from error

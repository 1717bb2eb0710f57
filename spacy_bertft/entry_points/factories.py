"""The factories of the components, and the defaults of their settings: those of the recipes in `configs/`.

spaCy loads every factory for each pipeline, whether or not it is used. So these only name what they build; the module
of a component, and with it torch, is imported when spaCy makes one.
"""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Optional, Union
from weakref import ref

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import MissingExtraError, check_setting

if TYPE_CHECKING:
    from spacy_bertft.components.pipe import BertPipe

AnyModel = Model[Any, Any]
Scorer = Optional[Callable[..., dict[str, Any]]]  # noqa: UP045
ClassWeights = Union[Literal["none", "balanced"], dict[str, float]]  # noqa: UP007
Register = Callable[[Callable[..., Any]], Callable[..., Any]]

# spaCy takes all other settings from the signatures of factories and architectures. A test compares all defaults with
# the recipes.
ENCODER = {"@architectures": "spacy-bertft.BertEncoder.v1", "name": "bert-base-uncased"}


def _describe_model(architecture: str, **settings: Any) -> dict[str, Any]:
    name = f"spacy-bertft.{architecture}.v1"
    return {"@architectures": name, "encoder": ENCODER, "head_lr_scale": 10.0, **settings}


ENTITY_MODEL = _describe_model("TokenClassifier", token_loss=0.5, label_smoothing=0.1)
TAG_MODEL = _describe_model("TokenClassifier", decoder="greedy")
# The pooling is not mean, as in the recipes: so a component without labels can take the head of its checkpoint.
TEXT_MODEL = _describe_model("TextClassifier")
# Of spaCy's own scores of categories, only the first has a weight.
_AVERAGES = [f"cats_{kind}_{measure}" for kind in ("micro", "macro") for measure in ("p", "r", "f")]
_CATEGORY_SCORES = ("cats_score_desc", *_AVERAGES, "cats_macro_auc", "cats_f_per_type")
_CATEGORY_WEIGHTS = {"cats_score": 1.0, **dict.fromkeys(_CATEGORY_SCORES)}


def _register(
    factory: str, assigns: list[str], model: dict[str, Any], scorer: str, weights: dict[str, Any], **more: Any
) -> Register:
    """Register a factory with its default model, scorer and weights of scores, and more that a config describes."""
    defaults = {"model": model, "scorer": {"@scorers": scorer}, **more}
    return Language.factory(factory, assigns=assigns, default_config=defaults, default_score_weights=weights)


@_register(
    "bert_ner",
    ["doc.ents", "token.ent_iob", "token.ent_type", "doc.spans"],
    ENTITY_MODEL,
    "spacy-bertft.entity_scorer.v1",
    {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None, "ents_token_f": 0.0},
)
def make_bert_ner(
    nlp: Language,
    name: str,
    model: AnyModel,
    scorer: Scorer,
    overwrite: bool = False,
    min_score: float = 0.0,
    incorrect_spans_key: Optional[str] = None,  # noqa: UP045
) -> "BertPipe":
    """Make the component that recognizes entities.

    Args:
        nlp: The pipeline.
        name: Name of the component; its entities and their scores are in `doc.spans[name]`.
        model: A token classifier.
        overwrite: Whether entities that are already on the document are replaced. If not, they stay, and the best
            entities around them are predicted: none has a token of theirs, or one that is blocked. Those that the
            component itself has written before are always replaced.
        min_score: Entities below this probability are left out of `doc.ents` and `doc.spans`.
        incorrect_spans_key: The group in `doc.spans` of gold documents whose spans are known to be wrong: each is
            predicted less often. A token of a span with the label `O` is known to be in an entity.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: `min_score` is no probability, or `model` is no token classifier.
    """
    _check_share("min_score", min_score)
    import_module("spacy_bertft.components.entity_scores").register_score()
    settings = {"overwrite": overwrite, "min_score": min_score, "incorrect_spans_key": incorrect_spans_key}
    return _make(nlp, name, model, "ner:BertNer", scorer=scorer, temperature=1.0, guarantee=None, **settings)


@_register("bert_tagger", ["token.tag", "token.pos"], TAG_MODEL, "spacy.tagger_scorer.v1", {"tag_acc": 1.0})
def make_bert_tagger(
    nlp: Language,
    name: str,
    model: AnyModel,
    scorer: Scorer,
    overwrite: bool = True,
    set_pos: bool = False,
    neg_prefix: str = "!",
) -> "BertPipe":
    """Make the component that tags tokens.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A token classifier.
        overwrite: Whether tags that are already on a token are replaced.
        set_pos: Whether the tag is also written to `token.pos_`; all labels must then be universal parts of speech.
        neg_prefix: What opens a gold tag that is known to be wrong: the token may then have any other tag.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: `model` is no token classifier.
    """
    settings = {"overwrite": overwrite, "set_pos": set_pos, "neg_prefix": neg_prefix}
    return _make(nlp, name, model, "tagger:BertTagger", scorer=scorer, **settings)


@_register(
    "bert_spancat",
    ["doc.spans"],
    _describe_model("SpanClassifier"),
    "spacy.spancat_scorer.v1",
    {"spans_sc_f": 1.0, "spans_sc_p": 0.0, "spans_sc_r": 0.0, "spans_sc_per_type": None},
    suggester={"@misc": "spacy.ngram_range_suggester.v1", "min_size": 1, "max_size": 8},
)
def make_bert_spancat(
    nlp: Language,
    name: str,
    model: AnyModel,
    scorer: Scorer,
    suggester: Callable[..., Any],
    spans_key: str = "sc",
    threshold: float = 0.5,
    max_positive: Optional[int] = None,  # noqa: UP045
    overlap: Literal["any", "nested", "none"] = "any",
) -> "BertPipe":
    """Make the component that finds spans, which may overlap.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A span classifier.
        suggester: Lists the candidates, as those of spaCy's `spancat` do. No other span is found.
        spans_key: The group in `doc.spans` that is read from gold documents and written to others.
        threshold: From this probability on a label of a candidate is predicted.
        max_positive: How many labels a span may have; by default any number.
        overlap: Which of the predicted spans may share tokens: `any`, only `nested` ones, of which one is within the
            other, or `none`. The most probable stay.
        scorer: Scores a batch of examples. The names of spaCy's scores have the key: `spans_sc_f`.

    Raises:
        SettingError: A setting is outside what is allowed, or `model` is no span classifier.
    """
    _check_share("threshold", threshold)
    check_setting("spans_key", spans_key, bool(spans_key), "the name of a group in doc.spans, such as sc")
    check_setting("max_positive", max_positive, max_positive is None or max_positive > 0, "a positive number, or null")
    check_setting("overlap", overlap, overlap in ("any", "nested", "none"), "any, nested or none")
    import_module("spacy_bertft.components.entity_scores").register_score()
    settings = {"spans_key": spans_key, "threshold": threshold, "max_positive": max_positive, "overlap": overlap}
    settings |= {"suggester": suggester, "temperature": 1.0}
    return _make(nlp, name, model, "spancat:BertSpancat", scorer=scorer, **settings)


def _register_text_factory(factory: str, component: str, *more: str, threshold: float) -> Callable[..., Any]:
    """Register a component that classifies texts; both have the same settings, and one stores more."""
    default_threshold = threshold

    def make(
        nlp: Language,
        name: str,
        model: AnyModel,
        scorer: Scorer,
        threshold: float = default_threshold,
        class_weights: ClassWeights = "none",
        label_smoothing: float = 0.0,
    ) -> "BertPipe":
        """Make the component.

        Args:
            nlp: The pipeline.
            name: Name of the component.
            model: A text classifier.
            threshold: From this probability on the scorer takes a label to hold; `doc.cats` has the probabilities of
                all labels in any case. Of exclusive labels, our scorer and spaCy's take the best, whatever its
                probability.
            class_weights: `"none"`, `"balanced"`, or a weight for each label; for labels that may hold together, where
                it holds.
            label_smoothing: Share of the target that is spread over all labels; for labels that may hold together,
                that is moved to one half.
            scorer: Scores a batch of examples.

        Raises:
            SettingError: A setting is outside what is allowed.
        """
        _check_share("threshold", threshold)
        check_setting("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "a share from 0 up to, but not 1")
        import_module("spacy_bertft.components.category_scores").register_candidates()
        settings = {"threshold": threshold, "class_weights": class_weights, "label_smoothing": label_smoothing}
        by_weights = {"label_weights": [], "temperature": 1.0, "guarantee": None} | dict.fromkeys(more)
        return _make(nlp, name, model, f"text_classifier:{component}", scorer=scorer, **settings, **by_weights)

    make.__name__ = make.__qualname__ = f"make_{factory}"  # as tracebacks and the documentation name it
    scorer = f"spacy-bertft.{factory.removeprefix('bert_')}_scorer.v1"
    return _register(factory, ["doc.cats"], TEXT_MODEL, scorer, _CATEGORY_WEIGHTS)(make)


make_bert_textcat = _register_text_factory("bert_textcat", "BertTextcat", "positive_label", threshold=0.0)
make_bert_textcat_multilabel = _register_text_factory("bert_textcat_multilabel", "BertTextcatMultilabel", threshold=0.5)


@_register(
    "bert_regressor",
    ["doc.cats"],
    TEXT_MODEL,
    "spacy-bertft.number_scorer.v1",
    {"numbers_pearson": 1.0, "numbers_spearman": None, "numbers_mse": None, "numbers_per_type": None},
)
def make_bert_regressor(nlp: Language, name: str, model: AnyModel, scorer: Scorer) -> "BertPipe":
    """Make the component that predicts numbers.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A text classifier; its scores are the numbers.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: `model` is no text classifier.
    """
    return _make(nlp, name, model, "regressor:BertRegressor", scorer=scorer, means=[], deviations=[])


_ANSWER_SCORES = ("qa_em", "qa_has_answer_em", "qa_has_answer_f1", "qa_no_answer_acc", "qa_support")


@_register(
    "bert_qa",
    ["doc.spans"],
    _describe_model("QuestionAnswering"),
    "spacy-bertft.answer_scorer.v1",
    {"qa_f1": 1.0, **dict.fromkeys(_ANSWER_SCORES)},
)
def make_bert_qa(
    nlp: Language,
    name: str,
    model: AnyModel,
    scorer: Scorer,
    spans_key: str = "answers",
    max_answer_tokens: int = 30,
    n_best: int = 1,
) -> "BertPipe":
    """Make the component that answers questions.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A head that answers questions.
        spans_key: The group in `doc.spans` that the answers are in, of gold documents too.
        max_answer_tokens: Most tokens of an answer.
        n_best: How many of the most likely answers are written; spans that overlap are different ones.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: A setting is outside what is allowed.
    """
    check_setting("max_answer_tokens", max_answer_tokens, max_answer_tokens > 0, "a number above 0")
    check_setting("n_best", n_best, n_best > 0, "a number above 0")
    expected = "a name other than text_pair, which holds question and context"
    check_setting("spans_key", spans_key, spans_key not in ("", "text_pair"), expected)
    settings = {"spans_key": spans_key, "max_answer_tokens": max_answer_tokens, "n_best": n_best}
    by_weights = {"temperature": 1.0, "threshold": None}
    return _make(nlp, name, model, "question_answering:BertQa", scorer=scorer, **settings, **by_weights)


@_register(
    "bert_multiple_choice",
    ["doc.cats"],
    _describe_model("MultipleChoice"),
    "spacy-bertft.choice_scorer.v1",
    {"choice_acc": 1.0, "choice_support": None},
)
def make_bert_multiple_choice(nlp: Language, name: str, model: AnyModel, scorer: Scorer) -> "BertPipe":
    """Make the component that chooses which of some endings fits a prompt.

    Args:
        nlp: The pipeline.
        name: Name of the component.
        model: A head for choices.
        scorer: Scores a batch of examples.

    Raises:
        SettingError: `model` is no head for choices.
    """
    import_module("spacy_bertft.components.category_scores").register_choice()
    return _make(nlp, name, model, "multiple_choice:BertMultipleChoice", scorer=scorer, temperature=1.0)


@Language.factory("bert_encoder", default_config={"model": ENCODER})
def make_bert_encoder(nlp: Language, name: str, model: AnyModel) -> "BertPipe":
    """Make the component whose states the heads after it share.

    Args:
        nlp: The pipeline.
        name: Name of the component, which `spacy-bertft.SharedEncoder.v1` may call for.
        model: An encoder.

    Raises:
        SettingError: `model` is no encoder.
    """
    pipe = _make(nlp, name, model, "encoder:BertEncoderPipe")
    pipe.states.pipeline = ref(nlp)
    return pipe


@Language.factory("text_pair", assigns=["doc.spans"])
def make_text_pair(nlp: Language, name: str) -> Callable[[Doc], Doc]:
    """Make the component that is first in a pipeline that reads pairs of texts.

    spaCy's corpus reader and `nlp.pipe` make documents from texts; this component marks those whose text is two texts
    around the only U+001F. In training it belongs to `training.annotating_components`.

    Args:
        nlp: The pipeline.
        name: Name of the component.
    """
    return import_module("spacy_bertft.data.pairs").mark_pair


def _make(nlp: Language, name: str, model: Model[Any, Any], target: str, **settings: Any) -> Any:
    """Make a component, and let a package of the pipeline require the extras that its encoder needs.

    Raises:
        MissingExtraError: It needs torch, and that is not installed.
    """
    module, _, component = target.partition(":")
    pipe = getattr(import_module(f"spacy_bertft.components.{module}"), component)(nlp.vocab, model, name, **settings)
    encoder = getattr(pipe.encoder, "settings", None)  # a layer that listens to another component's encoder has none
    needed = {}
    if encoder:
        needed = {"torch": encoder.backend != "graph", "openvino": encoder.backend != "torch"}
        needed["peft"] = encoder.adapter is not None
    if needed.get("torch") and find_spec("torch") is None:
        raise MissingExtraError(name, "torch")
    for extra in (extra for extra, is_needed in needed.items() if is_needed):
        requirement = import_module("spacy_bertft.components.pipelines").format_requirement(extra)
        requirements = nlp.meta.setdefault("requirements", [])
        if requirement not in requirements:
            requirements.append(requirement)
    return pipe


def _check_share(name: str, value: float) -> None:
    check_setting(name, value, 0 <= value <= 1, "a probability from 0 to 1")

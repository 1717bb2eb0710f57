"""Personal data in texts: an NLP engine for Presidio over pipelines with `bert_ner`. Needs the extra `presidio`.

Whatever cannot be analyzed raises an error: a text without results would look like one without personal data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.components.entity_scores import find_scores
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.errors import DocumentError, MissingExtraError, check_setting

try:
    from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
except ImportError as error:
    raise MissingExtraError("spacy_bertft.presidio", "presidio") from error


def _take_texts(texts: Iterable[Any], as_tuples: bool, waiting: deque[tuple[str, Any]]) -> Iterator[str]:
    for each in texts:
        check_setting("texts", type(each).__name__, isinstance(each, tuple) or not as_tuples, "pairs with as_tuples")
        text, context = each if as_tuples else (each, None)
        waiting.append((str(text), context))
        yield waiting[-1][0]


class BertNlpEngine(SpacyNlpEngine):
    """Entities of pipelines with `bert_ner` for Presidio's `AnalyzerEngine`, each with its own probability.

    An entity of another component, which has no probability, gets `default_score`.

    Args:
        models: For each language its code, `lang_code`, and its pipeline, `model_name`: a folder, the name of an
            installed pipeline, or one that is loaded.
        ner_model_configuration: Which label is which entity of Presidio, and which labels are ignored.

    Raises:
        DataError: There is no such pipeline.
        SettingError: A pipeline has no `bert_ner`, or a component that finds entities has a label that is neither
            mapped nor ignored.
    """

    engine_name = "spacy_bertft"

    def __init__(
        self, models: Sequence[Mapping[str, Any]], ner_model_configuration: NerModelConfiguration | None = None
    ) -> None:
        super().__init__([dict(model) for model in models], ner_model_configuration)
        self.nlp: Any = {}  # from languages to pipelines; Presidio's class declares None
        self._components: dict[str, list[str]] = {}
        for model in models:
            is_complete = model.keys() == {"lang_code", "model_name"} and model["lang_code"] not in self.nlp
            check_setting("models", model, is_complete, "lang_code and model_name, each language once")
            self._add_pipeline(**model)

    def _add_pipeline(self, lang_code: str, model_name: Any) -> None:
        nlp = model_name if isinstance(model_name, Language) else load_pipeline(model_name)
        metas = {name: nlp.get_pipe_meta(name) for name in nlp.pipe_names}
        self._components[lang_code] = [name for name, meta in metas.items() if meta.factory == "bert_ner"]
        where = f"the pipeline for '{lang_code}'"
        check_setting(f"components of {where}", nlp.pipe_names, bool(self._components[lang_code]), "a bert_ner")
        finders = [nlp.get_pipe(name) for name, meta in metas.items() if "doc.ents" in meta.assigns]
        self._check_labels((label for pipe in finders for label in getattr(pipe, "labels", ())), where)
        self.nlp[lang_code] = nlp

    def _check_labels(self, labels: Iterable[str], where: str) -> None:
        """Raise unless each label is mapped or ignored: Presidio would find it, and leave it out of its results."""
        config = self.ner_model_configuration
        known = {*(config.model_to_presidio_entity_mapping or ()), *(config.labels_to_ignore or ())}
        unknown = sorted({*labels} - known)
        expected = "each of them in model_to_presidio_entity_mapping or labels_to_ignore of the NerModelConfiguration"
        check_setting(f"labels of {where}", unknown, not unknown, expected)

    def load(self) -> None:
        """Do nothing: pipelines are loaded, and checked, when the engine is made."""

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Analyze a text; see `process_batch`."""
        [(_, artifacts)] = self.process_batch([text], language)
        return artifacts

    def process_batch(
        self,
        texts: Iterable[Any],
        language: str,
        batch_size: int = 1,
        n_process: int = 1,
        as_tuples: bool = False,
        **more: Any,
    ) -> Generator[Any, Any, None]:
        """Analyze texts.

        Args:
            texts: The texts, or pairs of a text and anything that belongs to it.
            language: Their language.
            batch_size: How many are annotated together.
            n_process: How many processes annotate.
            as_tuples: Whether there are pairs.
            more: What else `nlp.pipe` is to know.

        Yields:
            Each text and its `NlpArtifacts`; of pairs, what belongs to it as third.

        Raises:
            DocumentError: A document could not be annotated, or the pipeline has left it out. Those before it have
                been yielded.
            SettingError: There is no pipeline for the language, or an entity has a label that no component has named,
                and that is neither mapped nor ignored.
        """
        check_setting("language", language, language in self.nlp, f"one of {', '.join(self.nlp)}")
        waiting: deque[tuple[str, Any]] = deque()  # what spaCy has taken and not annotated yet
        taken = _take_texts(texts, as_tuples, waiting)
        n_done = 0
        try:
            for doc in self.nlp[language].pipe(taken, batch_size=batch_size, n_process=n_process, **more):
                self._check_doc(doc, waiting[0][0], language, n_done)
                text, context = waiting.popleft()
                n_done += 1
                artifacts = self._doc_to_nlp_artifact(doc, language)
                yield (text, artifacts, context) if as_tuples else (text, artifacts)
            if waiting:
                self._check_doc(None, waiting[0][0], language, n_done)
        except Exception:
            # Of a batch that fails as a whole, spaCy does not say which of its documents has failed.
            for index, (text, _) in enumerate(waiting, n_done):
                self._annotate_alone(text, language, index)
            raise

    def _annotate_alone(self, text: str, language: str, index: int) -> None:
        try:
            doc = next(iter(self.nlp[language].pipe([text])), None)
        except Exception as error:
            # What a component says may quote the text, which is not for a log.
            raise DocumentError(index, type(error).__name__) from error
        self._check_doc(doc, text, language, index)

    def _check_doc(self, doc: Doc | None, text: str, language: str, index: int) -> None:
        """Raise unless a document is that of a text, and annotated.

        An error handler that does not raise lets spaCy leave documents out.
        """
        if doc is None or doc.text != text:
            raise DocumentError(index, "the pipeline has left it out, or changed its text")
        if missing := [name for name in self._components[language] if name not in doc.spans]:
            raise DocumentError(index, f"{', '.join(missing)} has not run")

    def _doc_to_nlp_artifact(self, doc: Doc, language: str) -> NlpArtifacts:
        self._check_labels((ent.label_ for ent in doc.ents), "entities")
        if not doc.has_annotation("LEMMA"):
            for token in doc:  # Presidio looks for words of the context among the lemmas
                token.lemma_ = token.lower_
        return super()._doc_to_nlp_artifact(doc, language)

    def _get_scores_for_entities(self, doc: Doc) -> list[float]:
        default: Any = self.ner_model_configuration.default_score
        names = {name for names in self._components.values() for name in names}
        return [default if score is None else score for score in find_scores(doc, doc.ents, names)]

"""`bert_ner`: documents → `doc.ents`."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bertft.checkpoints import CheckpointHead
from spacy_bertft.components.component import Scorer, check_known
from spacy_bertft.components.entity_scores import read_entities, register_score, write_entities
from spacy_bertft.components.predictions import (
    Prediction,
    is_entity_correct,
    list_entities,
    read_gold_entities,
)
from spacy_bertft.components.token_component import DEFAULT_MODEL, TokenComponent, TokenRows
from spacy_bertft.errors import SettingError
from spacy_bertft.models.heads.token import TokenModel, TokenScores
from spacy_bertft.tags.chain import best_paths
from spacy_bertft.tags.grammar import TagScheme, build_grammar, guess_tag_scheme, normalize_tags
from spacy_bertft.tags.schemes import TagSpan, write_tags
from spacy_bertft.tags.spans import SpanBatch, find_spans
from spacy_bertft.training.calibration import Answers


@Language.factory(
    "bert_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "overwrite": False,
        "min_score": 0.0,
        "scorer": {"@scorers": "spacy-bertft.entity_scorer.v1"},
    },
    default_score_weights={
        "ents_f": 1.0,
        "ents_p": 0.0,
        "ents_r": 0.0,
        "ents_per_type": None,
        "ents_token_f": 0.0,
    },
)
def make_bert_ner(
    nlp: Language,
    name: str,
    model: TokenModel,
    overwrite: bool,
    min_score: float,
    scorer: Optional[Callable[..., dict[str, Any]]],  # noqa: UP045 (confection reads this at run time)
) -> "BertNer":
    """Make the component.

    Args:
        nlp: The pipeline.
        name: Name of the component; its entities and their scores stand in `doc.spans[name]`.
        model: A token classifier.
        overwrite: Whether entities that are already on the document are replaced. If not, they stay, and the best
            entities around them are predicted: none has a token of theirs, or one that is blocked. Those that the
            component itself has written before are always replaced.
        min_score: Entities below this probability are left out of `doc.ents` and `doc.spans`.
        scorer: Scores a batch of examples.
    """
    return BertNer(nlp.vocab, model, name, overwrite=overwrite, min_score=min_score, scorer=scorer)


class BertNer(TokenComponent):
    """Recognize entities with a token classifier; what it gives is always a legal sequence."""

    stored = (*TokenComponent.stored, "temperature")
    scheme = "bio"
    head_scheme: TagScheme | None = None

    def __init__(
        self,
        vocab: Any,
        model: TokenModel,
        name: str,
        *,
        overwrite: bool,
        min_score: float,
        scorer: Scorer | None,
    ) -> None:
        if not 0 <= min_score <= 1:
            raise SettingError("min_score", min_score, "a probability from 0 to 1")
        settings = {"overwrite": overwrite, "min_score": min_score}
        super().__init__(vocab, model, name, scorer=scorer, temperature=1.0, **settings)
        self.n_misaligned = 0
        register_score()

    def _has_labels_of_model(self) -> bool:
        return set(self.labels) == set(self.model.grammar.labels) - {""}

    def _list_tags(self) -> list[str]:
        return ["O", *(f"{prefix}-{label}" for label in self.labels for prefix in ("B", "I"))]

    def take_head(self, head: CheckpointHead, scheme: TagScheme | None = None) -> None:
        """Take labels from the head of a checkpoint; `initialize` then takes its weights.

        Args:
            head: What `checkpoints.read_head` gives, perhaps with other names for its tags.
            scheme: The scheme of its tags; by default what they look like. IOB1 looks like BIO.

        Raises:
            SettingError: The component has labels already, or the head has no tag `O`, or is one for texts.
            TagError: The tags are not all of one scheme.
        """
        head = head.rename(dict(zip(head.predicted, normalize_tags(head.predicted), strict=True)))
        self.head_scheme = scheme or guess_tag_scheme(head.predicted)
        super().take_head(head)

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        if "O" not in head.predicted:
            found = ", ".join(head.predicted[:5])
            raise SettingError("head", head.name, f"a head with a tag O for what is no entity, but it has {found}")
        scheme = self.head_scheme or guess_tag_scheme(head.predicted)
        return sorted(set(build_grammar(head.predicted, scheme).labels) - {""})

    def _read_labels(self, example: Example) -> Iterable[str]:
        return {ent.label_ for ent in example.reference.ents}

    def _allow(self, example: Example, rows: TokenRows, allowed: NDArray[np.bool_]) -> None:
        gold = read_gold_entities(example)
        misaligned = list(gold.misaligned)
        is_known = gold.is_known[rows.token_start]
        spans = []  # in rows
        for start, end, label in filter(lambda span: self._is_known(span.label), gold.spans):
            first = int(np.searchsorted(rows.token_end, start, side="right"))
            last = int(np.searchsorted(rows.token_start, end)) - 1
            if first > last:
                continue
            fits = rows.token_start[first] >= start and rows.token_end[last] <= end
            is_known[first : last + 1] = fits
            if fits:
                spans.append(TagSpan(first, last + 1, label))
            else:
                misaligned.append(example.predicted[start:end].text)
        self._count_misaligned(misaligned)
        tags = write_tags(spans, len(is_known), self.model.scheme)
        known = np.flatnonzero(is_known)
        allowed[known] = False
        allowed[known, self._find_columns(tags[row] for row in known.tolist())] = True

    def spell(self, label: str, n_tokens: int) -> list[int]:
        """Return the outputs of the model that spell an entity of some tokens, one for each."""
        return self._find_columns(write_tags([TagSpan(0, n_tokens, label)], n_tokens, self.model.scheme))

    def _find_columns(self, tags: Iterable[str]) -> list[int]:
        column = {tag: index for index, tag in enumerate(self.model.tags)}
        tags = list(tags)
        for tag in set(tags) - column.keys():
            check_known(self.name, tag, column)  # a head that comes from elsewhere may lack some
        return [column[tag] for tag in tags]

    def _count_misaligned(self, texts: list[str]) -> None:
        if texts and not self.n_misaligned:
            self._warn_once(
                f"the gold entity '{texts[0]}' does not fit the tokens of its document, or begins or ends within a "
                "subword token. Such entities are left out of the loss and counted in n_misaligned."
            )
        self.n_misaligned += len(texts)

    def collect_answers(self, examples: list[Example]) -> Answers:
        """Predict entities and look which are right, leaving out those on tokens of which nothing is known.

        Args:
            examples: Their predicted documents hold what earlier components write.
        """
        docs = [example.predicted for example in examples]
        scores = self._keep_preset(docs, self.model.predict(docs))
        path = best_paths(scores.scores, scores.lengths, scores.chain)
        golds = [read_gold_entities(example) for example in examples]
        found = self._place(docs, scores, self._find_spans(path, scores))
        judged = [
            is_right
            for gold, spans in zip(golds, found, strict=True)
            for is_right in (is_entity_correct(span, gold) for span in self._name(spans))
        ]
        known = np.array([index for index, is_right in enumerate(judged) if is_right is not None], dtype=np.intp)

        def find_probs(temperature: float) -> NDArray[np.float64]:
            return self._find_spans(path, scores.scale_by_temperature(temperature)).probs[known]

        return Answers(
            find_probs=find_probs,
            is_right=np.array([judged[index] for index in known], dtype=np.bool_),
            n_gold=sum(len(gold.spans) for gold in golds),
        )

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the entities that the component has found."""
        return list_entities(self.name, source)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score annotated examples: what the scorer gives, and `ents_calibration_error`."""
        examples = list(examples)
        scores: dict[str, Any] = super().score(examples, **kwargs)
        return scores and scores | {"ents_calibration_error": self.measure_calibration_error(examples)}

    def _name(self, spans: SpanBatch) -> list[TagSpan]:
        labels = self.model.grammar.labels
        rows = zip(spans.token_start.tolist(), spans.token_end.tolist(), spans.tag.tolist(), strict=True)
        return [TagSpan(start, end, labels[tag]) for start, end, tag in rows]

    def _decode(self, docs: list[Doc], scores: TokenScores) -> list[SpanBatch]:
        """Find the entities of every document; positions count all its tokens."""
        scores = self._keep_preset(docs, scores)
        path = best_paths(scores.scores, scores.lengths, scores.chain)
        return self._place(docs, scores, self._find_spans(path, scores))

    def _keep_preset(self, docs: list[Doc], scores: TokenScores) -> TokenScores:
        """Let no entity have a token that is in an entity of the document already, or blocked.

        Their rows may only be outside, so that the tags around them are a valid sequence. A token without a row, such
        as a blocked line break, ends the sequence before it.
        """
        taken = [self._find_taken(doc) for doc in docs]
        if self.cfg["overwrite"] or not any(each.any() for each in taken):
            return scores
        n_taken = np.append(0, np.cumsum(np.concatenate(taken)))
        is_taken = n_taken[scores.token_end] > n_taken[scores.token_index]
        is_inside = np.array([label != "" for label in self.model.grammar.labels], dtype=np.bool_)
        breaks = np.flatnonzero(n_taken[scores.token_index[1:]] > n_taken[scores.token_end[:-1]]) + 1
        ends = np.union1d(np.cumsum(scores.lengths), breaks)
        return replace(
            scores,
            scores=np.where(is_taken[:, None] & is_inside, np.float32(-np.inf), scores.scores),
            lengths=np.diff(ends, prepend=0),
        )

    def _find_spans(self, path: NDArray[np.intp], scores: TokenScores) -> SpanBatch:
        return find_spans(path, scores.scores, scores.lengths, self.model.grammar, scores.chain)

    def _place(self, docs: list[Doc], scores: TokenScores, spans: SpanBatch) -> list[SpanBatch]:
        """Give each document its spans; from then on positions count all its tokens."""
        first_row = (np.cumsum(scores.lengths) - scores.lengths)[spans.sequence]
        token_start = scores.token_index[first_row + spans.token_start]
        token_end = scores.token_end[first_row + spans.token_end - 1]
        first_token = np.cumsum([0, *map(len, docs)])
        sequence = np.searchsorted(first_token, token_start, side="right") - 1
        bounds = np.searchsorted(token_start, first_token)
        return [
            SpanBatch(
                sequence=sequence[start:end],
                token_start=token_start[start:end] - first_token[sequence[start:end]],
                token_end=token_end[start:end] - first_token[sequence[start:end]],
                tag=spans.tag[start:end],
                probs=spans.probs[start:end],
            )
            for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]

    def set_annotations(self, docs: Iterable[Doc], batch: list[SpanBatch]) -> None:
        """Write entities to `doc.ents` and `doc.spans[name]`, and their scores to `span._.bertft_score`."""
        min_score = self.cfg["min_score"]
        for doc, spans in zip(docs, batch, strict=True):
            kept = [
                (Span(doc, span.token_start, span.token_end, label=span.label), prob)
                for span, prob in zip(self._name(spans), spans.probs.tolist(), strict=True)
                if prob >= min_score
            ]
            found = [span for span, _ in kept]
            if self.cfg["overwrite"] or not (is_used := self._find_taken(doc)).any():
                doc.set_ents(found, default="outside")
            else:  # what is preset keeps its label, kb_id and id
                for span in found:
                    is_used[span.start : span.end] = True
                outside = [doc[token : token + 1] for token in np.flatnonzero(~is_used).tolist()]
                doc.set_ents(found, outside=outside, default="unmodified")
            write_entities(doc, self.name, kept)

    def _find_taken(self, doc: Doc) -> NDArray[np.bool_]:
        """Tell of each token, `(T,)`, whether it is blocked, or in an entity that this component has not written."""
        is_taken: NDArray[np.bool_] = doc.to_array(ENT_IOB) % 2 == 1  # 1 is I, 3 is B or blocked; 0 missing, 2 outside
        if own := read_entities(doc, self.name):
            for ent in doc.ents:
                if (ent.start_char, ent.end_char, ent.label) in own:
                    is_taken[ent.start : ent.end] = False
        return is_taken

"""`bert_ner`: documents → `doc.ents`."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bertft.checkpoints import CheckpointHead
from spacy_bertft.components.component import check_known
from spacy_bertft.components.entity_scores import read_entities, write_entities
from spacy_bertft.components.guarantee import GuaranteedComponent
from spacy_bertft.components.predictions import Kind, Prediction, judge_spans, list_entities, read_gold_entities
from spacy_bertft.components.token_component import TokenComponent, TokenRows
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.models.heads.token import TokenScores
from spacy_bertft.tags.grammar import TagScheme, build_grammar, guess_tag_scheme, list_tags, normalize_tags
from spacy_bertft.tags.schemes import TagSpan, write_tags
from spacy_bertft.tags.spans import SpanBatch
from spacy_bertft.training.calibration import CalibrationData
from spacy_bertft.training.risk_control import GoldProbs


class BertNer(GuaranteedComponent, TokenComponent):
    """Recognize entities with a token classifier; what it predicts is always a valid sequence."""

    stored = (*TokenComponent.stored, "temperature", "guarantee")
    factory = "bert_ner"
    score_prefix = "ents"
    scheme = "bio"
    guarantee_of = "entities"
    candidates_in = "doc.spans['{}_candidates']"
    n_misaligned = 0  # gold entities that do not fit the tokens

    # spaCy's methods, in spaCy's order.

    def set_annotations(self, docs: Iterable[Doc], batch: list[list[Prediction]]) -> None:
        """Write entities to `doc.ents` and `doc.spans[name]`, and their scores to `span._.bertft_score`.

        Where a recall is promised, all candidates are written to `doc.spans[name_candidates]` as well.
        """
        has_candidates = self.candidate_threshold is not None
        for doc, predictions in zip(docs, batch, strict=True):
            by_kind: dict[str, list[tuple[Span, float]]] = {"entity": [], "span": []}
            for each in predictions:
                by_kind[each.kind].append((Span(doc, *each.span[:2], each.label), each.prob or 0.0))
            if has_candidates:
                write_entities(doc, f"{self.name}_candidates", by_kind["span"])
            kept = [(span, prob) for span, prob in by_kind["entity"] if prob >= self.cfg["min_score"]]
            found = [span for span, _ in kept]
            if self.cfg["overwrite"] or not (is_used := self._find_taken(doc)).any():
                doc.set_ents(found, default="outside")
            else:  # what is preset keeps its label, kb_id and id
                for span in found:
                    is_used[span.start : span.end] = True
                outside = [doc[token : token + 1] for token in np.flatnonzero(~is_used).tolist()]
                doc.set_ents(found, outside=outside, default="unmodified")
            write_entities(doc, self.name, kept)

    # Predictions.

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the entities that the component has found."""
        return list_entities(self.name, source)

    def collect_calibration_data(self, examples: list[Example]) -> CalibrationData:
        """Predict entities and check which are correct; see `BertComponent`."""
        docs = [example.predicted for example in examples]
        scores = self._keep_preset(docs, self.model.predict(docs))
        path = scores.find_best_paths()
        found = self._split(docs, scores, scores.find_spans(path))
        golds = [read_gold_entities(example) for example in examples]
        return judge_spans(
            found, golds, lambda temperature: scores.scale_by_temperature(temperature).find_spans(path).probs
        )

    def collect_gold_probs(self, examples: list[Example]) -> GoldProbs:
        """Predict, and read the probabilities of the gold entities; see `GuaranteedComponent`.

        Those that are on a document already, and are kept, are not looked for.
        """
        docs = [example.predicted for example in examples]
        scores = self._keep_preset(docs, self.score_tokens(docs))
        rows, first_token = TokenRows(scores.token_index, scores.token_end), np.cumsum([0, *map(len, docs)])
        spans: list[TagSpan] = []  # in rows; those that do not fit them have none
        owner: list[int] = []
        for index, (doc, example) in enumerate(zip(docs, examples, strict=True)):
            gold = read_gold_entities(example)
            kept = set() if self.cfg["overwrite"] else {(ent.start, ent.end, ent.label_) for ent in doc.ents}
            for start, end, label in (each for each in gold.spans if each not in kept and self._is_known(each.label)):
                here, fits = _find_rows(rows, first_token[index] + start, first_token[index] + end)
                spans.append(TagSpan(here.start, here.stop if fits else here.start, label))
            spans += [TagSpan(0, 0, "")] * len(gold.misaligned)
            owner += [index] * (len(spans) - len(owner))
        return GoldProbs(
            scores.compute_span_probs(spans),
            np.array(owner, dtype=np.intp),
            len(docs),
            lambda threshold: len(scores.find_candidates(threshold)),
        )

    def _decode(self, docs: list[Doc], scores: TokenScores) -> list[list[Prediction]]:
        """Find the entities of every document, then its candidates; positions count all its tokens."""
        scores = self._keep_preset(docs, scores)
        found = self._split(docs, scores, scores.find_spans(scores.find_best_paths()))
        if self.candidate_threshold is None:
            return found
        candidates = self._split(docs, scores, scores.find_candidates(self.candidate_threshold), "span")
        return [[*entities, *spans] for entities, spans in zip(found, candidates, strict=True)]

    def _split(
        self, docs: list[Doc], scores: TokenScores, spans: SpanBatch, kind: Kind = "entity"
    ) -> list[list[Prediction]]:
        """Give each document its spans, whose positions in rows of its sequence become tokens of the document."""
        first_row = (np.cumsum(scores.lengths) - scores.lengths)[spans.sequence]
        start = scores.token_index[first_row + spans.token_start]  # counted through the whole batch
        end = scores.token_end[first_row + spans.token_end - 1]
        first_token = np.cumsum([0, *map(len, docs)])
        owner = np.searchsorted(first_token, start, side="right") - 1
        offset, labels = first_token[owner], scores.grammar.labels
        found: list[list[Prediction]] = [[] for _ in docs]
        columns = (owner, start - offset, end - offset, spans.tag, spans.probs)
        for row, token_start, token_end, tag, prob in zip(*(column.tolist() for column in columns), strict=True):
            found[row].append(Prediction(self.name, kind, labels[tag], token_start, token_end, prob))
        return found

    def _keep_preset(self, docs: list[Doc], scores: TokenScores) -> TokenScores:
        """Let no entity have a token that is in an entity of the document already, or blocked.

        Their rows may only be outside, so that the tags around them are a valid sequence. A token without a row, such
        as a blocked line break, ends the sequence before it.
        """
        scores = self._end_at_sentences(docs, scores)
        taken = [self._find_taken(doc) for doc in docs]
        if self.cfg["overwrite"] or not any(each.any() for each in taken):
            return scores
        n_taken = np.append(0, np.cumsum(np.concatenate(taken)))
        is_taken = n_taken[scores.token_end] > n_taken[scores.token_index]  # (A,)
        is_inside = np.array([label != "" for label in scores.grammar.labels], dtype=np.bool_)  # (L,)
        breaks = np.flatnonzero(n_taken[scores.token_index[1:]] > n_taken[scores.token_end[:-1]]) + 1
        ends = np.union1d(np.cumsum(scores.lengths), breaks)
        return replace(
            scores,
            scores=np.where(is_taken[:, None] & is_inside, np.float32(-np.inf), scores.scores),
            lengths=np.diff(ends, prepend=0),
        )

    def _find_taken(self, doc: Doc) -> NDArray[np.bool_]:
        """Tell of each token, `(T,)`, whether it is blocked, or in an entity that this component has not written."""
        if not doc.has_annotation("ENT_IOB"):  # as most documents come
            return np.zeros(len(doc), dtype=np.bool_)
        is_taken: NDArray[np.bool_] = doc.to_array(ENT_IOB) % 2 == 1  # 1 is I, 3 is B or blocked; 0 missing, 2 outside
        if own := read_entities(doc, self.name):
            for ent in doc.ents:
                if (ent.start_char, ent.end_char, ent.label) in own:
                    is_taken[ent.start : ent.end] = False
        return is_taken

    # Gold annotation.

    def _read_labels(self, example: Example, excluded: Collection[str] = ()) -> Iterable[str]:
        return {ent.label_ for ent in example.reference.ents}

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        super()._set_outputs(get_examples)
        key = self.cfg["incorrect_spans_key"]
        if key is not None and not any(key in example.reference.spans for example in get_examples()):
            self._warn_once(f"no example has doc.spans['{key}'], so no span is known to be wrong.")

    def _allow(self, example: Example, rows: TokenRows, allowed: NDArray[np.bool_]) -> Sequence[TagSpan]:
        gold = read_gold_entities(example)
        misaligned = list(gold.misaligned)
        is_known = gold.is_known[rows.token_start]
        spans = []  # in rows
        for start, end, label in filter(lambda span: self._is_known(span.label), gold.spans):
            here, fits = _find_rows(rows, start, end)
            if here.start >= here.stop:
                continue
            is_known[here] = fits
            if fits:
                spans.append(TagSpan(here.start, here.stop, label))
            else:
                misaligned.append(example.predicted[start:end].text)
        if misaligned:
            self._warn_once(
                f"the gold entity '{misaligned[0]}' does not fit the tokens of its document, or begins or ends within "
                "a subword token. Such entities are left out of the loss and counted in n_misaligned.",
                about="misaligned",
            )
        self.n_misaligned += len(misaligned)
        tags = write_tags(spans, len(is_known), self.model.scheme)
        known = np.flatnonzero(is_known)
        allowed[known] = False
        allowed[known, self._find_columns(tags[row] for row in known.tolist())] = True
        return self._read_wrong_spans(example, rows, allowed, spans)

    def _read_wrong_spans(
        self, example: Example, rows: TokenRows, allowed: NDArray[np.bool_], gold: Sequence[TagSpan]
    ) -> list[TagSpan]:
        """Read the spans of rows that are known to be wrong, and let no token be outside that is known not to be.

        One that does not fit the rows cannot be predicted in any case.
        """
        group = example.reference.spans.get(self.cfg["incorrect_spans_key"] or "", [])
        wrong: list[TagSpan] = []
        is_outside = np.array([label == "" for label in self.model.grammar.labels], dtype=np.bool_)
        for span in example.get_aligned_spans_y2x(group, allow_overlap=True) if group else ():
            here, fits = _find_rows(rows, span.start, span.end)
            row_span = TagSpan(here.start, here.stop, span.label_)
            is_out = span.label_ == "O"
            if row_span in gold or (is_out and not allowed[here][:, ~is_outside].any(axis=1).all()):
                raise DataError(
                    f"{self.name}: '{span.text}' is {span.label_} by the gold annotation, and wrong by "
                    f"doc.spans['{group.name}']. Expected one of the two."
                )
            if is_out:
                allowed[here] &= ~is_outside
            elif fits and here.start < here.stop and self._is_known(span.label_):
                wrong.append(row_span)
        return wrong

    def _read_known(
        self, examples: list[Example], scores: TokenScores, is_annotated: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        allowed, wrong_spans = self._read_gold(examples, scores)
        if wrong_spans:
            self._warn_once("spans that are known to be wrong are left out of distillation.")
        # Outside of entities of these labels there may be others, but no further entity of these.
        is_open = ~(allowed & is_annotated).any(axis=1)
        allowed[is_open] = ~is_annotated
        return allowed

    def spell(self, label: str, n_tokens: int) -> list[int]:
        """Return the outputs of the model that spell an entity of some tokens, one for each."""
        return self._find_columns(write_tags([TagSpan(0, n_tokens, label)], n_tokens, self.model.scheme))

    def _find_columns(self, tags: Iterable[str]) -> list[int]:
        column = {tag: index for index, tag in enumerate(self.model.tags)}
        tags = list(tags)
        for tag in set(tags) - column.keys():
            check_known(self.name, tag, column)  # a head that comes from elsewhere may lack some
        return [column[tag] for tag in tags]

    # What belongs to the weights, and the head of a checkpoint.

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
        return sorted(set(build_grammar(head.predicted, self.head_scheme).labels) - {""})

    def _list_tags(self) -> list[str]:
        return ["O", *(tag for label in self.labels for tag in list_tags(label, "bio"))]

    def _has_labels_of_model(self) -> bool:
        return set(self.labels) == set(self.model.grammar.labels) - {""}


def _find_rows(rows: TokenRows, start: int, end: int) -> tuple[slice, bool]:
    """Find the rows that have a token of a span, and whether they have no other; there may be none."""
    first = int(np.searchsorted(rows.token_end, start, side="right"))
    last = int(np.searchsorted(rows.token_start, end)) - 1
    fits = first > last or bool(rows.token_start[first] >= start and rows.token_end[last] <= end)
    return slice(first, last + 1), fits

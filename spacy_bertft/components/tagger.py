"""`bert_tagger`: documents → `token.tag_`."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import POS, TAG
from spacy.parts_of_speech import IDS as POS_IDS
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.predictions import Prediction, list_tags
from spacy_bertft.components.token_component import TokenComponent, TokenRows
from spacy_bertft.errors import SettingError
from spacy_bertft.models.heads.token import TokenScores
from spacy_bertft.tags.schemes import TagSpan


class BertTagger(TokenComponent):
    """Tag tokens. A token without a subword token, such as whitespace, keeps its tag."""

    factory = "bert_tagger"
    scheme = None

    def _add_label(self, label: str) -> int:
        if self.cfg["set_pos"] and label not in POS_IDS:
            raise SettingError(
                "set_pos",
                True,
                f"universal parts of speech as labels, such as NOUN, but '{label}' is among them",
            )
        return super()._add_label(label)

    def _has_labels_of_model(self) -> bool:
        never = self.model.never
        return bool(self.cfg["labels"] == [tag for tag in self.model.tags if tag not in never])

    def _list_tags(self) -> list[str]:
        return list(self.labels)

    def _read_labels(self, example: Example, excluded: Collection[str] = ()) -> Iterable[str]:
        return {token.tag_ for token in example.reference if token.tag and not self._find_wrong(token.tag_)}

    def _find_wrong(self, tag: str) -> str | None:
        """Find the label that a gold tag such as `!NOUN` says is wrong."""
        prefix: str = self.cfg["neg_prefix"]
        is_wrong = prefix and tag.startswith(prefix) and tag not in self.cfg["labels"]
        return (is_wrong and tag.removeprefix(prefix)) or None

    def _allow(self, example: Example, rows: TokenRows, allowed: NDArray[np.bool_]) -> Sequence[TagSpan]:
        gold = example.get_aligned("TAG", as_string=True)
        tags = self.model.tags
        for row, (start, end) in enumerate(zip(*rows, strict=True)):
            known: list[int] = []
            wrong: list[int] = []
            for tag in filter(None, gold[start:end]):
                label = self._find_wrong(tag)
                if self._is_known(label or tag):
                    (wrong if label else known).append(tags.index(label or tag))
            if known:
                allowed[row] = False
                allowed[row, known] = True
            # Tokens that share their piece may contradict each other; one that is known then counts.
            if wrong and set(np.flatnonzero(allowed[row])) - set(wrong):
                allowed[row, wrong] = False
        return ()

    def list_predictions(self, source: Doc | Example) -> list[Prediction]:
        """List the tags of all tokens."""
        return list_tags(self.name, source)

    def _decode(self, docs: list[Doc], scores: TokenScores) -> list[NDArray[np.intp]]:
        """Find the tag of every token, as an output of the model, −1 where there is none."""
        lengths = [len(doc) for doc in docs]
        tags = np.full(sum(lengths), -1, dtype=np.intp)
        n_tokens = scores.token_end - scores.token_index  # (A,) of each row
        token = np.repeat(scores.token_end - np.cumsum(n_tokens), n_tokens) + np.arange(n_tokens.sum())
        tags[token] = np.repeat(self._end_at_sentences(docs, scores).find_best_paths(), n_tokens)
        return np.split(tags, np.cumsum(lengths)[:-1]) if lengths else []

    def set_annotations(self, docs: Iterable[Doc], batch: list[NDArray[np.intp]]) -> None:
        """Write the tags to `token.tag_`, and to `token.pos_` where that was asked for."""
        outputs = self.model.tags
        strings = np.array([self.vocab.strings.add(tag) for tag in outputs], dtype=np.uint64)
        pos_ids = np.array([POS_IDS.get(tag, 0) for tag in outputs], dtype=np.uint64)
        for doc, tags in zip(docs, batch, strict=True):
            self._write(doc, TAG, strings, tags)
            if self.cfg["set_pos"]:
                self._write(doc, POS, pos_ids, tags)

    def _write(self, doc: Doc, attribute: int, values: NDArray[np.uint64], tags: NDArray[np.intp]) -> None:
        present = doc.to_array(attribute)
        is_new = tags >= 0 if self.cfg["overwrite"] else (tags >= 0) & (present == 0)
        doc.from_array([attribute], np.where(is_new, values[tags], present).reshape(-1, 1))  # type: ignore[arg-type]

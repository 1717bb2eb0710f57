"""Tag scores → the best valid tag sequence, its spans and their probabilities; spans ↔ tags. Numpy only.

In: scores of tags, `(T, L)`, or tags as text. Out: paths, spans, probabilities, a loss and its gradient. It must not
know documents, models or files.
"""

from spacy_bertft.tags.chain import best_paths, build_chain, build_free_chain, chain_loss, path_log_probs, tag_probs
from spacy_bertft.tags.forward_backward import LinearChain, run_forward_backward
from spacy_bertft.tags.grammar import (
    SCHEMES,
    Scheme,
    TagGrammar,
    TagScheme,
    build_grammar,
    guess_tag_scheme,
    normalize_tags,
    parse_scheme,
    parse_tag_scheme,
    split_tag,
    split_tags,
)
from spacy_bertft.tags.schemes import TagSpan, guess_scheme, read_spans, repair_tags, write_tags
from spacy_bertft.tags.spans import SpanBatch, find_spans

__all__ = [
    "SCHEMES",
    "LinearChain",
    "Scheme",
    "SpanBatch",
    "TagGrammar",
    "TagScheme",
    "TagSpan",
    "best_paths",
    "build_chain",
    "build_free_chain",
    "build_grammar",
    "chain_loss",
    "find_spans",
    "guess_scheme",
    "guess_tag_scheme",
    "normalize_tags",
    "parse_scheme",
    "parse_tag_scheme",
    "path_log_probs",
    "read_spans",
    "repair_tags",
    "run_forward_backward",
    "split_tag",
    "split_tags",
    "tag_probs",
    "write_tags",
]

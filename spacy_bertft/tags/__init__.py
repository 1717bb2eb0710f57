"""Tags: schemes ↔ spans, the grammar of legal sequences, the best path under it. Numpy only."""

from spacy_bertft.tags.chain import (
    ChainGradient,
    ForwardBackward,
    LinearChain,
    best_legal_path,
    best_paths,
    build_chain,
    build_free_chain,
    chain_loss,
    run_forward_backward,
    tag_probs,
)
from spacy_bertft.tags.consistency import consistency_loss
from spacy_bertft.tags.grammar import TagGrammar, build_bare_grammar, build_free_grammar, build_grammar, forbid_tags
from spacy_bertft.tags.inventory import (
    TagScheme,
    find_label,
    guess_tag_scheme,
    normalize_tags,
    parse_tag_scheme,
    spell_spans,
)
from spacy_bertft.tags.path_probs import path_log_probs
from spacy_bertft.tags.schemes import (
    SCHEMES,
    Scheme,
    TagParts,
    TagSpan,
    guess_scheme,
    parse_scheme,
    read_spans,
    repair_tags,
    split_tag,
    split_tags,
    write_tags,
)
from spacy_bertft.tags.spans import SpanBatch, find_spans
from spacy_bertft.tags.token_loss import token_loss

__all__ = [
    "SCHEMES",
    "ChainGradient",
    "ForwardBackward",
    "LinearChain",
    "Scheme",
    "SpanBatch",
    "TagGrammar",
    "TagParts",
    "TagScheme",
    "TagSpan",
    "best_legal_path",
    "best_paths",
    "build_bare_grammar",
    "build_chain",
    "build_free_chain",
    "build_free_grammar",
    "build_grammar",
    "chain_loss",
    "consistency_loss",
    "find_label",
    "find_spans",
    "forbid_tags",
    "guess_scheme",
    "guess_tag_scheme",
    "normalize_tags",
    "parse_scheme",
    "parse_tag_scheme",
    "path_log_probs",
    "read_spans",
    "repair_tags",
    "run_forward_backward",
    "spell_spans",
    "split_tag",
    "split_tags",
    "tag_probs",
    "token_loss",
    "write_tags",
]

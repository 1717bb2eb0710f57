"""A small tokenizer of each kind: WordPiece as BERT has it, bytes as RoBERTa has them, and SentencePiece's unigrams.

Their pieces are words and letters of some texts. Those that the trainers of tokenizers learn may be others in the next
process, and what is kept of the fuzzing should be cut in the same way each time.
"""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from spacy_bertft.tokens import PieceTokenizer

KINDS = ("wordpiece", "bytes", "unigrams")
_TEXTS = (
    "show me films with drew barrymore from the 1980s",
    "who directed the godfather, and who starred in it?",
    "Ein Ärgernis: naïve café-goers don't pay 3.50 €",
    "find me all of the movies that starred harold ramis and bill murray",
)


@cache
def get_tokenizer(kind: str) -> PieceTokenizer:
    """Give the tokenizer of a kind."""
    return PieceTokenizer(
        {"wordpiece": _make_wordpiece, "bytes": _make_bytes, "unigrams": _make_unigrams}[kind]().to_str()
    )


def _make_wordpiece() -> Tokenizer:
    normalizer = normalizers.BertNormalizer(lowercase=True)
    words = sorted({word for text in _TEXTS for word in normalizer.normalize_str(text).split()})
    letters = sorted(set("".join(words)))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [
        *special,
        *letters,
        *(f"##{letter}" for letter in letters),
        *(word for word in words[::2] if len(word) > 1),
    ]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(special)
    return tokenizer


def _make_bytes() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return tokenizer


def _make_unigrams() -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = sorted({f"▁{word}" for text in _TEXTS for word in text.split()})
    letters = sorted(set("".join(words)))
    vocab = [(piece, 0.0) for piece in special]
    vocab += [(letter, -6.0) for letter in letters] + [(word, -4.0) for word in words[::2] if len(word) > 2]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(special)
    return tokenizer

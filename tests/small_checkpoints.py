"""Small random checkpoints of every family, made by transformers itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from spacy.tokens import Doc
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from spacy_bertft.tokens import PieceBatch

FAMILIES = ("bert", "distilbert", "roberta", "electra")
MORE_FAMILIES = ("deberta-v2", "xlm-roberta", "camembert", "mobilebert")
_ROBERTAS = ("roberta", "xlm-roberta", "camembert")
TEXTS = [
    "show me films with drew barrymore from the 1980s",
    "who directed the godfather, and who starred in it?",
    "Ein Ärgernis: naïve café-goers don't pay 3.50 €",
    "what is the plot of mission impossible",
    "find me all of the movies that starred harold ramis and bill murray",
]
WORDS = " ".join(TEXTS).split()


def make_sentences(n_sentences: int) -> list[str]:
    """Make sentences of very different lengths, all of them within one window of a small checkpoint."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 9)).tolist()) for _ in range(n_sentences)]


def read_movie_sentences(n_sentences: int) -> list[str]:
    """Read the first sentences of the test part of our corpus."""
    path = Path(__file__).parent.parent / "assets" / "movie" / "test.bio"
    blocks = path.read_text(encoding="utf-8").split("\n\n")[:n_sentences]
    return [" ".join(line.split("\t")[1] for line in block.splitlines()) for block in blocks]


def make_wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.model = models.WordPiece(_learn_vocab(tokenizer, special), unk_token="[UNK]")
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    # As published files do: what must not be obeyed.
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(max_length=16)
    return tokenizer


def _learn_vocab(tokenizer: Tokenizer, special: list[str]) -> dict[str, int]:
    """Learn the pieces of our texts, the same in every process.

    The trainer numbers letters inside of words as it meets them, in an order of chance, and breaks ties by number.
    Letters that are given as special are numbered in the order in which they are given.
    """
    learner = Tokenizer.from_str(tokenizer.to_str())
    letters = sorted(set(learner.normalizer.normalize_str("".join(TEXTS))) - {" "})
    first = [*special, *letters, *(f"##{letter}" for letter in letters)]
    learner.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=first))
    return learner.get_vocab()


def make_byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return tokenizer


def make_unigram() -> Tokenizer:
    """Make a tokenizer like those that are converted from SentencePiece."""
    tokenizer = learn_unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def learn_unigram(special: list[str]) -> Tokenizer:
    """Learn the pieces of our texts, the same in every process.

    The trainer sums in an order of chance, so it ranks pieces by the last digits of their scores.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    vocab = [(piece, round(score, 6)) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]
    ranked = sorted(vocab[len(special) :], key=lambda pair: (-pair[1], pair[0]))
    tokenizer.model = models.Unigram([*vocab[: len(special)], *ranked], unk_id=special.index("<unk>"))
    return tokenizer


def make_word_level(family: str = "bert") -> Tokenizer:
    """Make a tokenizer that gives every letter from `a` to `t` a piece, so that pieces can be worked out by hand.

    Padding is 0, what opens a window 1, what closes it 2, and `a` 3.
    """
    names = ("<pad>", "<s>", "</s>") if family == "roberta" else ("[PAD]", "[CLS]", "[SEP]")
    vocab = {name: number for number, name in enumerate([*names, *"abcdefghijklmnopqrst"])}
    tokenizer = Tokenizer(models.WordLevel(vocab))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pad, opening, closing = names
    if family == "roberta":
        tokenizer.post_processor = processors.RobertaProcessing((closing, 2), (opening, 1))
    else:
        single, pair = f"{opening} $A {closing}", f"{opening} $A {closing} $B:1 {closing}:1"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[(opening, 1), (closing, 2)]
        )
    tokenizer.add_special_tokens([pad, opening, closing])
    return tokenizer


def make_tokenizer(family: str) -> Tokenizer:
    """Make a tokenizer of the kind that a family has."""
    kinds = {"roberta": make_byte_level} | dict.fromkeys(("deberta-v2", "xlm-roberta", "camembert"), make_unigram)
    return kinds.get(family, make_wordpiece)()


def make_checkpoint(
    folder: Path, family: str = "bert", n_labels: int = 0, task: str = "token", **changes: object
) -> Path:
    """Save a small random checkpoint, with a head for the classification of tokens or texts if it has labels."""
    tokenizer = make_tokenizer(family)
    sizes: dict[str, object] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 66 if family in _ROBERTAS else 64,
        "pad_token_id": next(i for name in ("<pad>", "[PAD]") if (i := tokenizer.token_to_id(name)) is not None),
    }
    if family == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    if family == "electra":
        sizes |= {"embedding_size": 16}
    if family == "mobilebert":
        sizes |= {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2}
    if family == "deberta-v2":  # as version 3 is configured
        sizes |= {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
        sizes |= {"position_biased_input": False, "norm_rel_ebd": "layer_norm", "share_att_key": True}
    if n_labels:
        sizes |= {"num_labels": n_labels}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **(sizes | changes))
    classes = {"token": AutoModelForTokenClassification, "text": AutoModelForSequenceClassification}
    model = (classes[task] if n_labels else AutoModel).from_config(config)
    for parameter in model.parameters():
        # transformers starts so near zero that every logit would look alike
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def find_first_pieces(pieces: PieceBatch, doc: Doc) -> list[int]:
    """Find the first piece that starts in each token of one text, the slow way."""
    spans = list(enumerate(zip(pieces.char_start.tolist(), pieces.char_end.tolist(), strict=True)))
    return [
        next(i for i, (start, end) in spans if token.idx <= start < token.idx + len(token) and end > start)
        for token in doc
    ]


def make_windows(n_pieces: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make ids, mask and segment ids of four windows, all but the first of them padded."""
    ids = torch.randint(5, 30, (4, n_pieces), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(n_pieces) < torch.tensor([n_pieces, n_pieces - 1, 2, 1])[:, None]).long()
    return ids * mask, mask, torch.zeros_like(ids)

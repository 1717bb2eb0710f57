"""What each number format costs in accuracy: entity F1, and the share of tokens with the label that transformers gives.

    python benchmarks/precision.py PIPELINE TEST.bio [--calibrate TEXTS]

`PIPELINE` is a trained pipeline whose only component is a `bert_ner`. Its head is exported; transformers computes in
float32, one text at a time. Compared is the best label of each token by itself, before any search for legal sequences.
With `--calibrate` a pipeline in 8-bit integers is made, too, by texts that are not the test data.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from numpy.typing import NDArray
from pipelines import load_ours, read_examples
from record import Record, Row, add_save_option, save
from spacy.tokens import Doc
from tqdm import tqdm

from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.graphs import quantize
from spacy_bertft.models.encoder.forward import plan_encoding

SETTINGS = [("fp32", "torch"), ("auto", "torch"), ("fp16", "torch"), ("fp32", "openvino"), ("auto", "openvino")]
WHOLE = 10_000  # pieces: no text is cut into windows


@torch.inference_mode()
def label_by_transformers(checkpoint: str, tokenizer: Any, docs: list[Doc]) -> NDArray[np.intp]:
    """Return the best label of each token that has a piece, `(A,)`."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model: Any = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    theirs = AutoTokenizer.from_pretrained(checkpoint)
    labels = []
    for doc in tqdm(docs, desc="transformers", disable=None):
        logits = model(**theirs(doc.text, return_tensors="pt")).logits[0]
        plan = plan_encoding([doc], tokenizer, WHOLE, WHOLE, has_tokens=True)
        labels.append(logits.argmax(dim=1).numpy()[plan.token_piece + len(tokenizer.prefix_ids)])
    return np.concatenate(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("test_bio", type=Path)
    parser.add_argument(
        "--calibrate", type=Path, help="texts for 8-bit integers, as `spacy-bertft quantize` takes them"
    )
    parser.add_argument("--n-texts", type=int, help="by default all")
    add_save_option(parser)
    arguments = parser.parse_args()
    settings = [each for each in SETTINGS if each[1] == "torch" or find_spec("openvino")]
    with tempfile.TemporaryDirectory() as folder:
        pipelines = {(p, b): load_ours(arguments.pipeline, precision=p, backend=b) for p, b in settings}
        first = pipelines[settings[0]]
        if arguments.calibrate:
            quantize(arguments.pipeline, arguments.calibrate, Path(folder, "quantized"))
            pipelines["8-bit", "openvino"] = spacy.load(Path(folder, "quantized"))
        examples = read_examples(first, arguments.test_bio, Path(folder))[: arguments.n_texts]
        export_hf(arguments.pipeline, f"{folder}/checkpoint")
        [name] = [name for name in first.pipe_names if first.get_pipe_meta(name).factory == "bert_ner"]
        docs = [first.make_doc(example.reference.text) for example in examples]
        bert = first.get_pipe(name).model.find_source().module
        theirs = label_by_transformers(f"{folder}/checkpoint", bert.tokenizer, docs)
    rows = []
    print(f"{len(examples)} texts of {arguments.test_bio.name}, {len(theirs):,} tokens")
    for (precision, backend), nlp in pipelines.items():
        ours = nlp.get_pipe(name).model.predict(docs).scores.argmax(axis=1)
        same = 100 * float((ours == theirs).mean())
        f1 = 100 * nlp.evaluate(examples)["ents_f"]
        print(f"{backend:8} {precision:5} entity F1 {f1:6.2f} %   labels as those of transformers {same:8.4f} %")
        rows += [
            Row(f"{backend} {precision}, entity F1", f1, "%"),
            Row(f"{backend} {precision}, same labels as transformers", same, "%"),
        ]
    record = Record(script="precision", about=__doc__, rows=rows, corpus=str(arguments.test_bio), n_texts=len(examples))
    save(arguments.save, record)


if __name__ == "__main__":
    main()

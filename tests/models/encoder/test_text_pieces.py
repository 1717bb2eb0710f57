from __future__ import annotations

import spacy
from small_checkpoints import TEXTS
from taught_pipelines import GOLD, make_taught_pipeline
from tokenizers import Tokenizer

from spacy_bertft.models.encoder.build import Encoder


def test_the_tokenizer_and_the_window_of_an_encoder(checkpoint, tmp_path):
    nlp = make_taught_pipeline(checkpoint, {name: GOLD[name] for name in ("bert_ner", "bert_textcat")})
    nlp.to_disk(tmp_path / "model")
    official = Tokenizer.from_file(f"{checkpoint}/tokenizer.json")
    official.no_padding()
    official.no_truncation()
    expected = [len(each) for each in official.encode_batch(TEXTS, add_special_tokens=False)]
    change = {"components": {"bert_ner": {"model": {"encoder": {"window": 16}}}}}
    for loaded, window in ((nlp, 64), (spacy.load(tmp_path / "model", config=change), 16)):
        own, shared = (loaded.get_pipe(name).model.find_source() for name in ("bert_ner", "bert_textcat"))
        n_special = own.tokenizer.n_special
        assert (own.window.size + n_special, shared.window.size + n_special) == (window, 64)
        assert own.tokenizer.count_pieces(TEXTS) == shared.tokenizer.count_pieces(TEXTS) == expected


def test_an_encoder_that_is_not_ours(checkpoint):
    nlp = make_taught_pipeline(checkpoint, {"bert_ner": GOLD["bert_ner"]})
    model = nlp.get_pipe("bert_ner").model
    model.layers[0] = Encoder("other", lambda model, docs, is_train: None)
    assert model.find_source() is None

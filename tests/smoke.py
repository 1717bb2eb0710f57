"""Install a packaged pipeline into an empty environment and use it there; `make smoke` runs it.

Without network, without the checkout, and with a home folder that cannot be written to.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What the fresh environment runs, isolated: no checkout on the path, and every connection is refused.
USE = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise OSError("no network here")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
assert not any(path.startswith(sys.argv[1]) for path in sys.path), sys.path

import spacy

nlp = spacy.load(sys.argv[2])
doc = nlp(sys.argv[3])
print(json.dumps([[ent.text, ent.label_, round(ent._.bertft_score, 3)] for ent in doc.ents]))
found = {(ent.text, ent.label_) for ent in doc.ents}
assert {("drew barrymore", "ACTOR"), ("1980s", "YEAR")} <= found, found
"""
TEXT = "show me films with drew barrymore from the 1980s"


def run(*command: str | Path, **settings: object) -> None:
    subprocess.run([str(part) for part in command], check=True, **settings)  # type: ignore[call-overload]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist_dir", type=Path, help="folder with the wheel of the pipeline")
    parser.add_argument("--constraints", type=Path, help="constraints file for pip")
    arguments = parser.parse_args()
    [wheel] = arguments.dist_dir.glob("*.whl")
    constraints = ["-c", arguments.constraints.resolve()] if arguments.constraints else []
    with tempfile.TemporaryDirectory() as folder:
        environment, wheels = Path(folder) / "environment", Path(folder) / "wheels"
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        install = ["-m", "pip", "install", "--quiet", "--no-compile", *constraints]
        run(python, *install, *wheels.glob("*.whl"), wheel.resolve())
        pipeline = wheel.name.split("-")[0]
        home = Path(folder) / "home"
        home.mkdir(mode=0o555)  # nothing can be fetched into a cache, and nothing has to be
        settings = {"cwd": folder, "env": {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(home)}}
        run(python, "-I", "-W", "error::UserWarning", "-c", USE, ROOT, pipeline, TEXT, **settings)
        if written := list(home.iterdir()):  # who is root may write all the same
            sys.exit(f"Loading the pipeline wrote {written} to the home folder.")


if __name__ == "__main__":
    main()

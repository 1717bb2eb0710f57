"""What an installation of a checkout tells Python and spaCy, without installing anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # mypy and pytest bring it

ROOT = Path(__file__).parent.parent


def write_metadata(folder: Path) -> None:
    """Write the metadata of this package to a folder that is to be on the path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    blocks = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [
        f"[{group}]\n" + "\n".join(f"{key} = {target}" for key, target in points.items())
        for group, points in blocks.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with a folder before all others on its path, then the checkout."""
    paths = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)

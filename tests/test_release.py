"""The metadata of this package, as a package index would show it, and what a release refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reliability.release import PLACEHOLDER, CheckError, check_addresses

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


def make_metadata(owner: str) -> str:
    """Make what is shown of the package: its addresses, and the README as the build changes it."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8").replace(PLACEHOLDER, owner))
    [fragment] = content["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]
    readme = (ROOT / fragment["path"]).read_text(encoding="utf-8")
    for each in content["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(each["pattern"], each["replacement"], readme)
    urls = [f"Project-URL: {name}, {url}" for name, url in content["project"]["urls"].items()]
    return "\n".join([*urls, "", readme])


def test_every_link_of_the_readme_becomes_absolute():
    metadata = make_metadata("someone")
    check_addresses(metadata)
    home = "https://github.com/someone/spacy-bertft"
    assert f"({home}/raw/HEAD/assets/demo.png)" in metadata
    assert f"({home}/blob/HEAD/docs/how-to/install.md)" in metadata
    assert f"Project-URL: Issues, {home}/issues" in metadata


def test_a_release_without_an_owner_is_refused():
    with pytest.raises(CheckError, match=r"placeholder OWNER\. Replace it in pyproject\.toml"):
        check_addresses(make_metadata(PLACEHOLDER))


@pytest.mark.parametrize("link", ["assets/demo.png", "#install", "http://example.org"])
def test_other_links_are_refused(link):
    with pytest.raises(CheckError, match=re.escape(link)):
        check_addresses(f"Name: spacy-bertft\n\n![a picture]({link})")


@pytest.mark.process
def test_an_extra_is_that_of_what_is_installed():
    """So what errors advise works after `pip install .` too: pip does not ask an index for a package that is there."""
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "spacy-bertft[plot]"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"already satisfied: matplotlib.*\(from spacy-bertft\[plot\]\)", done.stdout)

"""What a release promises, checked on the last commit and told in one table.

    python reliability/release.py
    python reliability/release.py --audit-service osv --osv-url https://osv.example.org/v1/query

The sdist and the wheel are built again and again, in other folders and at other times, and have to be the same bytes.
The wheel is installed into an empty environment next to the pinned set, and used there without a network. Known
vulnerabilities are asked of a service: where none can be reached, that check fails, since nothing is known then.

What is to be published lies in `dist/` afterwards, the bill of materials (SBOM, CycloneDX) in `build/`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PINS = ROOT / "constraints" / "default.txt"
DIST, BOM = ROOT / "dist", ROOT / "build" / "spacy-bertft.cdx.json"
# In addition to the package; the rest of the repository is for those who work on it.
SDIST_FILES = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "SECURITY.md", "pyproject.toml", "top_level.txt"}
SDIST_FILES |= {".gitignore", "PKG-INFO"}  # what hatchling adds
# What `init-config` and `init-project` write; in the wheel they are part of the package.
PROJECT = ("project.yml", "configs", "assets/movie/train.bio", "assets/movie/test.bio", "assets/messages/spam.csv")
# The owner of the repository in the addresses of pyproject.toml, until there is one.
PLACEHOLDER = "OWNER"
# What is in an environment before anything is installed.
TOOLS = {"pip", "setuptools"}
# How far apart two builds are at least: the clock in a zip file counts in steps of two seconds.
SECONDS_APART = 3

# What the empty environment runs: four heads are trained, stored, loaded and asked, and every connection is refused.
USE = """
import socket

def refuse(*args, **kwargs):
    raise OSError("no network here")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse

from pathlib import Path
import spacy
from small_checkpoints import make_checkpoint
from taught_pipelines import make_taught_pipeline

make_taught_pipeline(str(make_checkpoint(Path("encoder")))).to_disk("pipeline")
doc = spacy.load("pipeline")("show me films with drew barrymore from the 1980s")
found = [(ent.text, ent.label_) for ent in doc.ents]
assert found == [("drew barrymore", "ACTOR"), ("1980s", "YEAR")], found
assert doc.cats["film"] > 0.5 > doc.cats["other"], doc.cats
"""


class CheckError(Exception):
    """A promise that does not hold."""


@dataclass
class Release:
    """What is checked.

    Attributes:
        folder: Where everything happens that leaves nothing behind.
        audit: Options of pip-audit.
        commit: The commit that is released.
        epoch: Its time, in seconds; the time of every file that is built.
        digests: `name of a file → sha256`, one mapping for each build.
    """

    folder: Path
    audit: list[str]
    commit: str = field(init=False)
    epoch: str = field(init=False)
    digests: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit, self.epoch = run("git", "log", "-1", "--format=%h %ct", cwd=ROOT).split()

    @property
    def sdist(self) -> Path:
        """The sdist that is to be published."""
        [path] = DIST.glob("*.tar.gz")
        return path

    @property
    def wheel(self) -> Path:
        """The wheel that is to be published."""
        [path] = DIST.glob("*.whl")
        return path

    @property
    def python(self) -> Path:
        """The interpreter of the empty environment."""
        return self.folder / "environment" / "bin" / "python"

    def check_build(self) -> str:
        """Build from the tree, as is published."""
        shutil.rmtree(DIST, ignore_errors=True)
        build(self, self.folder / "tree", DIST, "--sdist", "--wheel")
        return ", ".join(f"{path.name} ({path.stat().st_size // 1024} KB)" for path in (self.sdist, self.wheel))

    def check_again(self) -> str:
        """Build once more: another folder, another time, other times and modes of the files, another umask."""
        time.sleep(SECONDS_APART)
        tree = self.folder / "a" / "folder that is somewhere else"
        build(self, tree, self.folder / "again", "--sdist", "--wheel", is_disguised=True)
        return compare(self.digests[0], self.digests[-1])

    def check_from_sdist(self) -> str:
        """Build the wheel from the sdist, as who has only that would."""
        build(self, self.folder / "from sdist", self.folder / "from-sdist")
        return compare(self.digests[0], self.digests[-1])

    def check_wheel(self) -> str:
        """See that the wheel has the package, `py.typed` and the licence, and nothing else."""
        with ZipFile(self.wheel) as archive:
            names = set(archive.namelist())
        info = f"{self.wheel.name.rsplit('-', 3)[0]}.dist-info"
        metadata = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt")}
        project = {f"spacy_bertft/project/{name}" for name in list_files(*PROJECT)}
        return check_names(names, list_files("spacy_bertft") | project | metadata | {f"{info}/licenses/LICENSE"})

    def check_sdist(self) -> str:
        """See that the sdist has the package and what tells about it, and nothing else."""
        top = self.sdist.name.removesuffix(".tar.gz")
        with tarfile.open(self.sdist) as archive:
            names = {member.name.removeprefix(f"{top}/") for member in archive if member.isfile()}
        return check_names(names, list_files("spacy_bertft", *PROJECT) | SDIST_FILES)

    def check_metadata(self) -> str:
        """See that a package index takes and shows both, with addresses that lead somewhere."""
        run(sys.executable, "-m", "twine", "check", "--strict", self.sdist, self.wheel)
        with ZipFile(self.wheel) as archive:
            [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            check_addresses(archive.read(name).decode("utf-8"))
        return "no errors, no warnings, all addresses absolute"

    def check_citation(self) -> str:
        """See that the citation file is valid, and that one version stands everywhere."""
        run(Path(sys.executable).with_name("cffconvert"), "--validate", "--infile", ROOT / "CITATION.cff")
        version = self.wheel.name.split("-")[1]
        for name, pattern in (("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)")):
            found = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
            if found is None or found[1] != version:
                raise CheckError(f"{name} has version {found and found[1]}. Expected {version}, as in pyproject.toml.")
        return f"version {version} in all"

    def check_audit(self) -> str:
        """Ask for known vulnerabilities of every pinned package; one that the service does not know is an error."""
        quiet = ("--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off")
        run(sys.executable, "-m", "pip_audit", "--requirement", PINS, *quiet, *self.audit)
        return f"nothing known against {len(read_pins())} pinned packages"

    def check_environment(self) -> str:
        """Install the wheel into an empty environment: it gets along with the pinned set, which has all it needs."""
        venv.create(self.python.parent.parent, with_pip=True)
        run(self.python, "-m", "pip", "install", "--quiet", "-c", PINS, f"{self.wheel}[torch]")
        run(self.python, "-m", "pip", "check")
        listed = json.loads(run(self.python, "-m", "pip", "list", "--format", "json"))
        installed = {canonicalize_name(each["name"]): get_public(each["version"]) for each in listed}
        loose = installed.items() - read_pins().items()
        loose = {name for name, _ in loose} - TOOLS - {"spacy-bertft"}
        if loose:
            raise CheckError(f"not pinned, so not audited: {', '.join(sorted(loose))}. Add them to {PINS.name}.")
        return f"{len(installed.keys() - TOOLS)} packages, all of them pinned"

    def check_use(self) -> str:
        """Use what was installed, without network and far from the checkout."""
        home = self.folder / "home"
        home.mkdir()
        for name in ("small_checkpoints.py", "taught_pipelines.py"):
            shutil.copy(ROOT / "tests" / name, home)
        (home / "texts.txt").write_text("who directed the godfather, and who starred in it?\n", encoding="utf-8")
        settings = {"cwd": home, "env": {"PATH": "/usr/bin:/bin", "HOME": str(home), "HF_HUB_OFFLINE": "1"}}
        command = self.python.with_name("spacy-bertft")
        if "annotate" not in run(command, "--help", **settings):
            raise CheckError("spacy-bertft --help does not show its commands.")
        run(self.python, "-c", USE, **settings)
        run(command, "annotate", "pipeline", "texts.txt", "annotated", **settings)
        [row] = (home / "annotated" / "part-00000-000000.jsonl").read_text(encoding="utf-8").splitlines()
        [ent] = json.loads(row)["ents"]
        if (ent["start"], ent["end"], ent["label"]) != (13, 26, "TITLE"):
            raise CheckError(f"annotate found {ent}.")
        return "spacy-bertft --help; train, save, load, answer; annotate"

    def check_bom(self) -> str:
        """Write what a user gets as a bill of materials, and validate it."""
        BOM.parent.mkdir(exist_ok=True)
        options = ("--validate", "--output-reproducible", "--output-format", "JSON", "--mc-type", "library")
        written = ("--pyproject", ROOT / "pyproject.toml", "--output-file", BOM, self.python)
        run(sys.executable, "-m", "cyclonedx_py", "environment", *options, *written)
        components = json.loads(BOM.read_text(encoding="utf-8"))["components"]
        names = {canonicalize_name(each["name"]) for each in components}
        if missing := {"spacy", "thinc", "torch", "transformers"} - names:
            raise CheckError(f"{BOM.name} lacks {', '.join(sorted(missing))}.")
        return f"{BOM.relative_to(ROOT)}: CycloneDX, {len(components)} components"


def run(*command: str | Path, **settings: object) -> str:
    """Run a command and return what it printed.

    Raises:
        CheckError: It failed; with the last lines that it printed, the very last one first.
    """
    parts = [str(part) for part in command]
    process = subprocess.run(parts, capture_output=True, text=True, **settings)  # type: ignore[call-overload]
    if process.returncode:
        output = [line.strip() for line in (process.stdout + process.stderr).splitlines() if line.strip()]
        raise CheckError("\n".join(output[-4:][::-1]) or f"exit code {process.returncode}")
    return str(process.stdout)


def build(release: Release, tree: Path, out: Path, *kinds: str, is_disguised: bool = False) -> None:
    """Check the commit out into a folder and build it there.

    Args:
        release: What is built; it takes the digests.
        tree: The folder.
        out: Where the results go.
        kinds: What to build; without any, the sdist and from it the wheel.
        is_disguised: Whether files get other times than they have in the commit, and are for their owner only.
    """
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    if is_disguised:
        for path in tree.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
            os.utime(path, (1e9, 1e9))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": release.epoch}
    options = ("--no-isolation", "--outdir", out, *kinds)
    run(sys.executable, "-m", "build", *options, tree, env=environment, umask=0o077 if is_disguised else 0o022)
    release.digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()})


def compare(first: dict[str, str], second: dict[str, str]) -> str:
    """Compare two builds byte by byte."""
    if first != second:
        names = sorted({name for name, _ in first.items() ^ second.items()})
        raise CheckError(f"not the same bytes: {', '.join(names)}.")
    return "; ".join(f"{Path(name).suffix} {digest[:16]}…" for name, digest in sorted(first.items()))


def list_files(*paths: str) -> set[str]:
    """List the files of the commit at and below paths."""
    return set(run("git", "ls-tree", "-r", "--name-only", "HEAD", *paths, cwd=ROOT).splitlines())


def check_addresses(metadata: str) -> None:
    """Raise if metadata has the placeholder of an address, or a relative link in its description."""
    if f"/{PLACEHOLDER}/" in metadata:
        raise CheckError(f"addresses have the placeholder {PLACEHOLDER}. Replace it in pyproject.toml.")
    if relative := re.findall(r"\]\((?!https:)([^)\s]+)", metadata):
        raise CheckError(f"relative links, which a package index cannot follow: {', '.join(relative)}.")


def check_names(found: set[str], expected: set[str]) -> str:
    """Compare what is in an archive with what should be."""
    if "spacy_bertft/py.typed" not in found or found != expected:
        more, less = sorted(found - expected), sorted(expected - found)
        raise CheckError(f"should not be there: {more}. Missing: {less}.")
    return f"{len(found)} files, with py.typed and LICENSE, without tests and caches"


def read_pins() -> dict[str, str]:
    """Read the pinned set: `canonical name → version`."""
    lines = (line.partition("#")[0].strip() for line in PINS.read_text(encoding="utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): get_public(str(each.specifier).removeprefix("==")) for each in requirements}


def get_public(version: str) -> str:
    """Get a version without what only its builder calls it, such as `+cpu`."""
    return Version(version).public


def report(name: str, check: Callable[[], str]) -> bool:
    """Run a check, print its row, and tell whether the promise holds."""
    start = time.perf_counter()
    try:
        found, holds = check(), True
    except CheckError as error:
        found, holds = str(error), False
    seconds = time.perf_counter() - start
    first, *others = found.splitlines()
    print(f"{name:<40} {'ok' if holds else 'FAILED':<6} {seconds:4.0f} s  {first}", flush=True)
    for line in others:
        print(f"{'':<56}{line}", flush=True)
    return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit-service", choices=("pypi", "osv"), default="pypi", help="who knows of vulnerabilities")
    parser.add_argument("--osv-url", help="another service that speaks OSV's language")
    arguments = parser.parse_args()
    audit = ["--vulnerability-service", arguments.audit_service]
    audit += ["--osv-url", arguments.osv_url] if arguments.osv_url else []
    with tempfile.TemporaryDirectory() as folder:
        release = Release(Path(folder), audit)
        has_changes = bool(run("git", "status", "--porcelain", cwd=ROOT))
        print(f"commit {release.commit}{', without what is changed in the checkout' if has_changes else ''}\n")
        if not report("sdist and wheel are built", release.check_build):
            sys.exit(1)
        checks = {
            "the same bytes, elsewhere and later": release.check_again,
            "the same wheel, from the sdist": release.check_from_sdist,
            "contents of the wheel": release.check_wheel,
            "contents of the sdist": release.check_sdist,
            "metadata (twine check --strict)": release.check_metadata,
            "CITATION.cff (cffconvert), versions": release.check_citation,
            "installed into an empty environment": release.check_environment,
            "used there, without network": release.check_use,
            "bill of materials (cyclonedx-py)": release.check_bom,
            "known vulnerabilities (pip-audit)": release.check_audit,
        }
        n_failed = sum(not report(name, check) for name, check in checks.items())
    if n_failed:
        sys.exit(f"\n{n_failed} of {len(checks) + 1} checks failed.")


if __name__ == "__main__":
    main()

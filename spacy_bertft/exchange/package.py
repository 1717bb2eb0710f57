"""A trained pipeline → an installable package, by spaCy's own `package`; with half-size weights if asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import srsly
import torch
from spacy.cli.package import package as package_folder
from spacy.language import Language

from spacy_bertft.components.pipelines import copy_pipeline_dir, find_pipeline_dir, load_pipeline
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.errors import DataError, SettingError, check_setting
from spacy_bertft.exchange.graphs import check_runtime, has_graphs, write_graphs
from spacy_bertft.exchange.scores import read_scores
from spacy_bertft.models.encoder.build import PretrainedModel
from spacy_bertft.models.encoder.trainable import keep_adapter_apart
from spacy_bertft.models.heads.head import find_own_encoder
from spacy_bertft.models.runtime.devices import find_dtype
from spacy_bertft.models.store.graph import GraphModule
from spacy_bertft.output import make_folder_beside, replace_folder

BUILDS = ("sdist", "wheel", "none")
StoredPrecision = Literal["fp32", "bf16", "fp16"]
Runtime = Literal["torch", "openvino"]


@dataclass(frozen=True)
class PackageReport:
    """What was packaged.

    Attributes:
        pipeline: Where it came from.
        path: The folder of the package.
        files: The archives that were built of it.
        components: The components with an encoder.
        precision: In which format its weights were written; "graphs" where it has no weights.
        bytes_before: Size of the models of these components in the pipeline.
        bytes_after: Their size in the package.
    """

    pipeline: str
    path: Path
    files: tuple[Path, ...]
    components: tuple[str, ...]
    precision: StoredPrecision | Literal["graphs"]
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        names = ", ".join(self.components) or "no component with an encoder of ours"
        sizes = f"{self.bytes_after / 1e6:,.1f} MB in {self.precision}, before {self.bytes_before / 1e6:,.1f} MB"
        built = "".join(f" Built {path.name}." for path in self.files)
        return f"{self.pipeline} → {self.path}: {names}, {sizes}.{built}"


def package(
    pipeline: Path | str,
    output_dir: Path | str,
    *,
    precision: StoredPrecision = "fp32",
    runtime: Runtime = "torch",
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    license: str | None = None,
    scores_path: Path | str | None = None,
    build: str = "sdist",
    force: bool = False,
) -> PackageReport:
    """Make an installable package of a pipeline, as `spacy package` does, at half its size if asked for.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed. It is not changed.
        output_dir: The directory to write the package into.
        precision: Format of the encoders' weights: fp32, bf16 or fp16. The last two halve the package; weights are
            float32 again once they are loaded. With bf16, what an encoder predicts in bfloat16 stays the same to
            the bit.
        runtime: What computes: torch, or openvino, with which the installed package only predicts, and needs neither
            torch nor transformers.
        name: Name of the package; by default that of the pipeline.
        version: Its version; by default that of the pipeline.
        description: What it is, in a sentence; by default that of the pipeline, or the names of its components.
        license: Its licence, such as MIT; by default that of the pipeline.
        scores_path: The file that evaluate --output wrote about a test set; by default the package keeps the scores on
            the development data.
        build: Which archives are built of it: sdist, wheel, both with a comma, or none.
        force: Replace an earlier package of the same name and version.

    Raises:
        SettingError: A setting is outside what is allowed, or a weight is larger than the format can hold.
        UnsupportedError: A component has to have torch.
        MissingExtraError: OpenVINO is wanted and not installed.
        DataError: There is no such pipeline, or an earlier package is there, or spaCy cannot package it; or the file
            holds no scores, or those of another pipeline.
    """
    parse_choice("precision", precision, get_args(StoredPrecision))
    parse_choice("runtime", runtime, get_args(Runtime))
    if runtime != "torch":
        check_setting("precision", precision, precision == "fp32", "fp32, with another runtime than torch")
        check_runtime("openvino")
    builds = [parse_choice("build", each.strip(), BUILDS) for each in build.split(",")]
    check_setting("name", name, name is None or name.isidentifier(), "what can be imported, such as movie_ner")
    output_dir = Path(output_dir)
    nlp = load_pipeline(pipeline)
    scores = None if scores_path is None else read_scores(scores_path, nlp)
    folder = find_pipeline_dir(nlp)
    meta: dict[str, Any] = srsly.read_json(folder / "meta.json")
    prefix = f"{meta['lang']}_"
    # The folder that spaCy will make.
    target = output_dir / f"{prefix}{(name or meta['name']).removeprefix(prefix)}-{version or meta['version']}"
    if target.exists() and not force:
        raise DataError(f"{target} exists already. Pass --force to replace it, or another --version.")
    with make_folder_beside(target) as working:
        copied = working / "pipeline"
        copy_pipeline_dir(folder, copied)
        is_written = runtime == "torch" or has_graphs(nlp)
        components = _write_encoders(nlp, copied, precision) if is_written else write_graphs(nlp, copied)
        generated = f"spaCy pipeline with a fine-tuned BERT: {', '.join(nlp.pipe_names)}" if components else ""
        meta["description"] = description or meta.get("description") or generated
        meta["license"] = license or meta.get("license", "")
        meta["performance"] = scores or meta.get("performance", {})
        meta["requirements"] = srsly.read_json(copied / "meta.json").get("requirements", [])
        srsly.write_json(copied / "meta.json", meta)
        _package_folder(copied, builds, name=name, version=version)
        replace_folder(target, working / target.name)
        after = _count_bytes(copied, components)
    files = tuple(sorted((target / "dist").glob("*")))
    before = _count_bytes(folder, components)
    stored = "graphs" if has_graphs(nlp) else precision
    return PackageReport(str(pipeline), target, files, components, stored, before, after)


def _write_encoders(nlp: Language, folder: Path, precision: StoredPrecision) -> tuple[str, ...]:
    """Write the models that have an encoder again, over those in a copy of the pipeline; graphs stay as they are."""
    components = []
    pipe: Any
    for name, pipe in nlp.components:
        encoder = find_own_encoder(getattr(pipe, "model", None))
        if encoder is None or not encoder.is_initialized:
            continue
        if not isinstance(encoder.module, GraphModule):
            with store_encoder(encoder, precision), keep_adapter_apart(encoder.shim):
                pipe.model.to_disk(folder / name / "model")
        elif precision != "fp32":
            encoder.module.refuse(f"precision = {precision}")
        components.append(name)
    return tuple(components)


def _package_folder(folder: Path, builds: Collection[str], **settings: str | None) -> None:
    printed = StringIO()
    kinds = {f"create_{kind}": kind in builds for kind in ("sdist", "wheel")}
    try:
        with redirect_stdout(printed):
            package_folder(folder, folder.parent, **kinds, **settings, silent=False)  # type: ignore[arg-type]
    except SystemExit as error:
        reason = " ".join(printed.getvalue().split())
        raise DataError(f"spaCy could not make the package: {reason}") from error


def _count_bytes(folder: Path, components: Collection[str]) -> int:
    return sum((folder / name / "model").stat().st_size for name in components)


@contextmanager
def store_encoder(encoder: PretrainedModel[Any], precision: StoredPrecision) -> Iterator[None]:
    """Write the weights of an encoder in a format for a while.

    A head stays in float32: it is small, and computes in float32 always. An encoder that predicts in bfloat16 rounds
    its weights in the same way, so that its states stay the same to the bit.

    Args:
        encoder: An initialized encoder.
        precision: The format.

    Raises:
        SettingError: There is no such format, or weights are larger than it can hold.
    """
    parse_choice("precision", precision, get_args(StoredPrecision))
    dtype = find_dtype(precision, torch.device("cpu"))
    largest = max(float(parameter.detach().abs().max()) for parameter in encoder.module.parameters())
    if largest > torch.finfo(dtype).max:
        raise SettingError("precision", precision, f"bf16 or fp32, since there are weights as large as {largest:g}")
    with encoder.shim.change(stored_dtype=dtype):
        yield

"""A trained spacy-transformers pipeline → the same pipeline, faster."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from spacy.util import load_config, registry

from spacy_bertft.components import pipelines
from spacy_bertft.errors import DataError, MissingExtraError, SettingError
from spacy_bertft.models.runtime.devices import check_precision
from spacy_bertft.output import replace_folder_when_done

_STOCK = "spacy-transformers.TransformerModel."
_OURS = "spacy-bertft.TransformerModel.v1"


@dataclass(frozen=True)
class AccelerationReport:
    """The components that were rewritten.

    Attributes:
        pipeline: Where it came from.
        path: The new pipeline.
        components: The components that have another model now.
    """

    pipeline: str
    path: Path
    components: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.pipeline} → {self.path}: {', '.join(self.components)} with {_OURS} and the same weights."


def accelerate(
    pipeline: Path | str, output_dir: Path | str, *, precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
) -> AccelerationReport:
    """Rewrite a trained spacy-transformers pipeline to run faster, with the same weights.

    Args:
        pipeline: A pipeline of spacy-transformers: its directory, or its name.
        output_dir: The pipeline directory to write. An earlier pipeline there is replaced, anything else is an
            error.
        precision: auto, fp32, bf16 or fp16.

    Raises:
        MissingExtraError: spacy-transformers is not installed.
        DataError: There is no such pipeline, or something else is at `output_dir`.
        SettingError: The pipeline has no stock transformer, or one with settings that have no counterpart.
        UnsupportedError: Its tokenizer is a slow one.
    """
    check_precision(precision)
    if find_spec("spacy_transformers") is None:
        raise MissingExtraError("accelerate", "spacy-transformers")
    from spacy_bertft.models.stock.spacy_transformers import take_weights

    output_dir = Path(output_dir)
    pipelines.check_replaceable_pipeline(output_dir)
    nlp = pipelines.load_pipeline(pipeline)
    folder = pipelines.find_pipeline_dir(nlp)
    if folder.resolve() == output_dir.resolve():
        raise DataError(f"{output_dir} is the pipeline itself. Expected another directory to write to.")
    names = [
        name
        for name in nlp.component_names
        if nlp.get_pipe_meta(name).factory == "transformer"
        and nlp.get_pipe_config(name)["model"]["@architectures"].startswith(_STOCK)
    ]
    if not names:
        raise SettingError("pipeline", str(pipeline), f"a component whose model is {_STOCK}v1, v2 or v3")
    config = load_config(folder / "config.cfg")
    sections = config.interpolate()["components"]
    with replace_folder_when_done(output_dir) as temporary_dir:
        pipelines.copy_pipeline_dir(folder, temporary_dir)
        for name in names:
            changes = {"@architectures": _OURS, "precision": precision}
            config["components"][name]["model"] |= changes
            model = registry.resolve({"model": sections[name]["model"] | changes})["model"]
            component: Any = nlp.get_pipe(name)
            take_weights(model, component.model)
            (temporary_dir / name / "model").write_bytes(model.to_bytes())
        config.to_disk(temporary_dir / "config.cfg")
    return AccelerationReport(str(pipeline), output_dir, tuple(names))

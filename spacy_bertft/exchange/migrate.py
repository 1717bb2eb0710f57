"""A pipeline or config of spacy-transformers or spacy-curated-transformers → one that needs neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import spacy
from spacy.language import Language
from spacy.util import load_config, load_model_from_config, registry
from thinc.api import Config, Model, deserialize_attr
from thinc.shims import Shim

from spacy_bertft.checkpoints.weights import load_weights
from spacy_bertft.components import pipelines
from spacy_bertft.errors import (
    DataError,
    MissingExtraError,
    SettingError,
    check_file,
    check_setting,
    name_source,
    wrap_errors,
)
from spacy_bertft.exchange.foreign_config import (
    FACTORIES,
    MIX_LISTENER,
    STOCK_LISTENER,
    STOCK_MODEL,
    MigratedConfig,
    migrate_config,
)
from spacy_bertft.exchange.foreign_encoders import read_curated_encoder, read_mix, read_stock_encoder
from spacy_bertft.models.encoder.tok2vec import Tok2Vec
from spacy_bertft.models.runtime.devices import check_precision
from spacy_bertft.output import replace_folder_when_done, replace_when_done

_OURS = "spacy-bertft.TransformerModel.v1"
_PACKAGES = ("spacy-transformers", "spacy-curated-transformers")


@dataclass(frozen=True)
class MigrationReport:
    """The components that were rewritten.

    Attributes:
        source: Where it came from.
        path: The new pipeline, or config.
        encoders: The components that have another encoder now.
        listeners: The components that listen to them in another way now.
        architecture: The model that encoders have now.
    """

    source: str
    path: Path
    encoders: tuple[str, ...]
    listeners: tuple[str, ...]
    architecture: str

    def __str__(self) -> str:
        listeners = f"; {', '.join(self.listeners)} with spacy-bertft.Listener.v1" if self.listeners else ""
        return f"{self.source} → {self.path}: {', '.join(self.encoders)} with {self.architecture}{listeners}."


def migrate(
    pipeline: Path | str,
    output_path: Path | str,
    *,
    keep_transformer: bool = False,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
) -> MigrationReport:
    """Rewrite a pipeline or a config of spacy-transformers or spacy-curated-transformers so that it needs neither.

    The encoder becomes a bert_encoder with the same weights, and all other components stay as they were trained. Texts
    of one span get the same annotations. Whatever cannot be migrated is named, and nothing is written then.

    Args:
        pipeline: A trained pipeline, by its directory or its name, or a config to train one, a .cfg file.
        output_path: The pipeline directory to write, or the config. An earlier pipeline there is replaced, anything
            else is an error; so is a config that is there.
        keep_transformer: Only make a pipeline of spacy-transformers faster: its transformer stays, with the weights in
            a model of ours, and needs spacy-transformers as before. All annotations stay the same.
        precision: auto, fp32, bf16 or fp16.

    Raises:
        DataError: There is no such pipeline, something in it cannot be migrated, or something else is at `output_path`.
        CheckpointError: The config, the encoder or another component cannot be read.
        SettingError: With `keep_transformer`: the pipeline has no stock transformer, or one with settings that have no
            counterpart.
        MissingExtraError: With `keep_transformer`: spacy-transformers is not installed.
        UnsupportedError: With `keep_transformer`: its tokenizer is a slow one.
    """
    check_precision(precision)
    output_path = Path(output_path)
    if Path(pipeline).suffix == ".cfg":
        check_setting("keep_transformer", True, not keep_transformer, f"a trained pipeline; in a config, write {_OURS}")
        return _migrate_config_file(Path(pipeline), output_path, precision)
    if keep_transformer and find_spec("spacy_transformers") is None:
        raise MissingExtraError("migrate --keep-transformer", "spacy-transformers")
    pipelines.check_replaceable_pipeline(output_path)
    folder = pipelines.find_pipeline_path(pipeline)
    if folder.resolve() == output_path.resolve():
        raise DataError(f"{output_path} is the pipeline itself. Expected another directory to write to.")
    rewrite = _keep_transformer if keep_transformer else _migrate_pipeline
    return rewrite(pipeline, folder, output_path, precision)


def _migrate_config_file(path: Path, output_path: Path, precision: str) -> MigrationReport:
    if output_path.exists():
        raise DataError(f"{output_path} is there already. Expected a new file for the config.")
    migrated = migrate_config(_read_config(path), str(path), precision=precision, is_trained=False)
    with replace_when_done(output_path) as temporary_path:
        migrated.config.to_disk(temporary_path)
    return _report(path, output_path, migrated)


def _read_config(path: Path) -> Config:
    check_file(path)
    with name_source(str(path), "Expected a config of spaCy."):
        return load_config(path)


def _migrate_pipeline(pipeline: Path | str, folder: Path, output_dir: Path, precision: str) -> MigrationReport:
    config = _read_config(folder / "config.cfg")
    migrated = migrate_config(config, str(pipeline), precision=precision, is_trained=True)
    with wrap_errors(f"{pipeline} cannot be migrated"):
        nlp = load_model_from_config(migrated.config.copy(), meta=spacy.util.get_model_meta(folder))
    for name, section in migrated.encoders.items():
        path = folder / name / "model"
        is_stock = section["@architectures"].startswith(STOCK_MODEL)
        encoder: Any = nlp.get_pipe(name)
        encoder.model.load_checkpoint(
            read_stock_encoder(path, section["name"]) if is_stock else read_curated_encoder(path, name, section)
        )
    with wrap_errors(f"{pipeline} cannot be migrated"):
        _read_other_components(nlp, folder, migrated)
    requirements = nlp.meta.get("requirements", [])
    nlp.meta["requirements"] = [each for each in requirements if not each.startswith(_PACKAGES)]
    with replace_folder_when_done(output_dir) as temporary_dir:
        nlp.to_disk(temporary_dir)
        migrated.config.to_disk(temporary_dir / "config.cfg")
    return _report(pipeline, output_dir, migrated)


def _report(source: Path | str, path: Path, migrated: MigratedConfig) -> MigrationReport:
    encoders, listeners = tuple(migrated.encoders), tuple(migrated.listeners)
    return MigrationReport(str(source), path, encoders, listeners, "spacy-bertft.BertEncoder.v1")


def _read_other_components(nlp: Language, folder: Path, migrated: MigratedConfig) -> None:
    """Read all but the encoders, one after the other, since a ruler runs those before it when it is read."""
    nlp.from_disk(folder, exclude=["config", *nlp.component_names])
    component: Any
    for name, component in nlp.components:
        if name in migrated.encoders or not hasattr(component, "from_disk"):
            continue
        architectures = {section["@architectures"] for section in migrated.listeners.get(name, [])}
        if len(architectures) > 1:
            raise ValueError(f"components.{name} has listeners of several kinds, expected one kind")
        found = [node for node in component.model.walk() if isinstance(node, Tok2Vec)] if architectures else []
        forms = [_build_form(architecture) for architecture in architectures for _ in found]
        # Layers in the form of the old listeners, while the component is read.
        for node, form in zip(found, forms, strict=True):
            component.model.replace_node(node, form)
        component.from_disk(folder / name, exclude=["vocab"])
        for node, form in zip(found, forms, strict=True):
            component.model.replace_node(form, node)
            for content in [shim.content for each in form.walk() for shim in each.shims]:  # type: ignore[attr-defined]
                mix, weights = node.layers[0].mix, read_mix(content)  # type: ignore[attr-defined]
                load_weights(mix.attach({"n_states": len(weights["weights"])}), weights, name)
            node.initialize_encoder()


def _build_form(architecture: str) -> Model[Any, Any]:
    """Build layers that are nested like those of a listener, so that thinc reads what was stored of it."""
    pooling = _Form([_Form()])
    if architecture == STOCK_LISTENER:
        return _Form([_Form(), pooling])
    return _Form([_Form(shims=[_StoredShim(None)]), pooling] if architecture == MIX_LISTENER else [pooling])


class _Form(Model[Any, Any]):
    """A layer that takes over whatever was stored of another one, and computes nothing."""

    def __init__(self, layers: Sequence[Model[Any, Any]] = (), shims: Sequence[Shim] = ()) -> None:
        super().__init__("form", lambda *_: None, layers=layers, shims=shims)  # type: ignore[arg-type]
        self._attrs = _AnyAttributes()

    def set_dim(self, name: str, value: int, *, force: bool = False) -> None:
        self._dims[name] = value


class _AnyAttributes(dict[str, Any]):
    """Attributes whose stored bytes are not read."""

    def get(self, name: str, default: Any = None) -> Any:
        return _StoredAttribute()


class _StoredAttribute:
    """The default of such an attribute; thinc reads by its type."""


@deserialize_attr.register(_StoredAttribute)
def _leave_attribute(_: _StoredAttribute, value: bytes, name: str, model: Any) -> None:
    """Read nothing of an attribute: those of listeners are in the config."""


class _StoredShim(Shim):
    """Keep the bytes of a torch module.

    Attributes:
        content: The bytes.
    """

    content = b""

    def from_bytes(self, bytes_data: bytes) -> _StoredShim:
        self.content = bytes_data
        return self


def _keep_transformer(pipeline: Path | str, folder: Path, output_dir: Path, precision: str) -> MigrationReport:
    from spacy_bertft.models.stock.spacy_transformers import take_weights

    nlp = pipelines.load_pipeline(pipeline)
    names = [
        name
        for name in nlp.component_names
        if nlp.get_pipe_meta(name).factory == FACTORIES[0]
        and nlp.get_pipe_config(name)["model"]["@architectures"].startswith(STOCK_MODEL)
    ]
    if not names:
        raise SettingError("pipeline", str(pipeline), f"a component whose model is {STOCK_MODEL}v1, v2 or v3")
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
    return MigrationReport(str(pipeline), output_dir, tuple(names), (), _OURS)

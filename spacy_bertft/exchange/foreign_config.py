"""A config of spacy-transformers or spacy-curated-transformers → the same pipeline on `bert_encoder`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from thinc.api import Config

from spacy_bertft.errors import DataError, shorten
from spacy_bertft.exchange.foreign_encoders import CURATED, CURATED_MODELS

STOCK = "spacy-transformers."
STOCK_MODEL = f"{STOCK}TransformerModel."
MIX_LISTENER = f"{CURATED}ScalarWeightingListener.v1"
STOCK_LISTENER = f"{STOCK}TransformerListener.v1"
LISTENERS = (STOCK_LISTENER, f"{CURATED}LastTransformerLayerListener.v1", MIX_LISTENER)
FACTORIES = ("transformer", "curated_transformer")
_POOLING = {"reduce_mean.v1": "mean", "reduce_first.v1": "first"}
_SENTENCES = f"{STOCK}sent_spans.v1"
_SPANS = (f"{STOCK}strided_spans.v1", f"{STOCK}doc_spans.v1", f"{CURATED}WithStridedSpans.v1")
_PIECES = ("BertWordpieceEncoder", "ByteBpeEncoder", "XlmrSentencepieceEncoder", "CamembertSentencepieceEncoder")
_PIECE_ENCODERS = tuple(f"{CURATED}{name}.v1" for name in _PIECES)
_ANNOTATES_NOTHING = f"{STOCK}null_annotation_setter.v1"


@dataclass
class MigratedConfig:
    """A config in which encoders and listeners have been replaced.

    Attributes:
        config: The new config, with the variables of the old one.
        has_mix: Whether a listener mixes all layers, so that the encoder has to give them.
        encoders: The sections that the models of encoders had, by component.
        listeners: The sections that listeners had, in order, by component.
        problems: What cannot be migrated, each in a few words.
    """

    config: Config
    has_mix: bool
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    listeners: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def expect(self, is_met: bool, name: str, value: Any, expected: str) -> None:
        """Note a problem, unless an expectation is met."""
        if not is_met:
            self.problems.append(f"{name} = {shorten(repr(value), 80)}, expected {expected}")


def migrate_config(config: Config, source: str, *, precision: str, is_trained: bool) -> MigratedConfig:
    """Replace encoders and listeners.

    Args:
        config: The config, whose variables are not replaced yet. It is not changed.
        source: Where it comes from, for the error.
        precision: What the new encoders compute in.
        is_trained: Whether it is that of a trained pipeline, whose pieces have to stay the same; in a training config
            encoders read the text as a whole.

    Raises:
        DataError: There is no encoder to migrate, or something cannot be migrated; the error names all of that.
    """
    plain = config.interpolate()
    has_mix = any(value == MIX_LISTENER for _, value in _list_strings(plain))
    migrated = MigratedConfig(config.copy(), has_mix)
    components = migrated.config.get("components", {})
    for name, section in components.items():
        if section.get("factory") in FACTORIES:
            loaders = (migrated.config.get("initialize") or {}).get("components", {}).pop(name, {})
            old = plain["components"][name]
            migrated.encoders[name] = old["model"]
            new = _migrate_encoder(migrated, name, section["model"], old, loaders, is_trained)
            layers = {"layers": "all"} if has_mix else {}
            components[name] = {"factory": "bert_encoder", "model": new | layers | {"precision": precision}}
        else:
            model = plain["components"][name].get("model", {})
            _migrate_listeners(migrated, name, f"components.{name}.model", section.get("model", {}), model)
    for where, value in _list_strings(migrated.config):
        is_foreign = value.startswith((STOCK, CURATED)) or (where.endswith(".factory") and value in FACTORIES)
        migrated.expect(not is_foreign, where, value, "a name that has a counterpart here")
    if not migrated.encoders and not migrated.problems:
        raise DataError(f"{source} has no component {' or '.join(FACTORIES)}. Expected one to migrate.")
    if migrated.problems:
        raise DataError(f"{source} cannot be migrated: {'; '.join(migrated.problems)}. Nothing was written.")
    return migrated


def _migrate_encoder(
    migrated: MigratedConfig,
    name: str,
    raw: dict[str, Any],
    old: dict[str, Any],
    loaders: dict[str, Any],
    is_trained: bool,
) -> dict[str, Any]:
    """Write the section of the encoder of a component, whose section was `old`, and that of its model `raw`."""
    model = old["model"]
    architecture = model["@architectures"]
    new: dict[str, Any] = {"@architectures": "spacy-bertft.BertEncoder.v1"}

    def expect(is_met: bool, key: str, value: Any, expected: str) -> None:
        migrated.expect(is_met, f"components.{name}.{key}", value, expected)

    if old["factory"] == "transformer":
        expect(architecture.startswith(STOCK_MODEL), "model", architecture, f"{STOCK_MODEL}v1, v2 or v3")
        spans = model.get("get_spans", {}).get("@span_getters")
        expect(spans in (*_SPANS, _SENTENCES), "model.get_spans", spans, "strided_spans, doc_spans or sent_spans")
        new |= {"windows_over": "sentences"} if spans == _SENTENCES else {}
        setter = old.get("set_extra_annotations", {}).get("@annotation_setters", _ANNOTATES_NOTHING)
        expect(setter == _ANNOTATES_NOTHING, "set_extra_annotations", setter, "none")
        if not is_trained:
            given = model.get("tokenizer_config", {})
            expect(given in ({}, {"use_fast": True}), "model.tokenizer_config", given, "use_fast only")
            given = model.get("transformer_config", {})
            expect(not given, "model.transformer_config", given, "none")
        return new | {"name": raw.get("name", name)}
    expect(architecture in CURATED_MODELS, "model", architecture, "BERT, RoBERTa, XLM-R or CamemBERT")
    pieces = model.get("piece_encoder", {}).get("@architectures", "")
    expect(pieces in _PIECE_ENCODERS, "model.piece_encoder", pieces, " or ".join(_PIECES))
    expect(not model.get("torchscript"), "model.torchscript", True, "false")
    spans = model.get("with_spans", {})
    strided = spans.get("@architectures")
    expect(strided in _SPANS, "model.with_spans", strided, "WithStridedSpans")
    encoder = (loaders.get("encoder_loader") or {}).get("name")
    expected = "HFTransformerEncoderLoader with the name of a checkpoint"
    migrated.expect(
        encoder is not None or is_trained, f"initialize.components.{name}.encoder_loader", encoder, expected
    )
    # Their strides count the two special pieces, which ours leave out: neighbours share as much as before.
    stride = max(spans.get("stride", 96) - 2, 1)
    new |= {"name": encoder or name, "window": spans.get("window", 128), "stride": stride}
    new |= {"tokenize": "tokens"} if is_trained else {}
    return new | ({"frozen_layers": "all"} if old.get("frozen") else {})


def _migrate_listeners(
    migrated: MigratedConfig, component: str, where: str, section: dict[str, Any], plain: dict[str, Any]
) -> None:
    """Replace the listeners in the section of a model, wherever they are in it."""
    for key, raw in section.items():
        if not isinstance(raw, dict):
            continue
        old = plain[key]
        architecture = old.get("@architectures")
        if architecture not in LISTENERS:
            _migrate_listeners(migrated, component, f"{where}.{key}", raw, old)
            continue
        layer = old.get("pooling", {}).get("@layers")
        migrated.expect(layer in _POOLING, f"{where}.{key}.pooling", layer, " or ".join(_POOLING))
        migrated.listeners.setdefault(component, []).append(old)
        section[key] = {
            "@architectures": "spacy-bertft.Listener.v1",
            "pooling": _POOLING.get(layer),
            "upstream": raw.get("upstream", "*"),
            "grad_factor": raw.get("grad_factor", 1.0),
        }
        if migrated.has_mix:
            section[key]["layers"] = "scalar_mix" if architecture == MIX_LISTENER else "last"


def _list_strings(section: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """List all strings of a config, and where they are."""
    for key, value in section.items():
        here = f"{where}.{key}" if where else key
        if isinstance(value, Mapping):
            yield from _list_strings(value, here)
        elif isinstance(value, str):
            yield here, value

"""`spacy-bertft.BertEncoder.v1`: documents → states."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, get_type_hints

import torch
from spacy.tokens import Doc

from spacy_bertft.checkpoints import Checkpoint
from spacy_bertft.errors import CheckpointError
from spacy_bertft.models.encoder.forward import encode_docs
from spacy_bertft.models.encoder.module import BertModule, ScalarMix
from spacy_bertft.models.encoder.pretrained import Encoder, EncoderSettings, PretrainedModel
from spacy_bertft.models.encoder.states import EncodedDocs, EncodedGradient, Output, StateCache
from spacy_bertft.models.store.shim import TorchShim

# The weights of a mix go through a softmax: at the rate of a weight matrix they would hardly move.
_MIX_LR_SCALE = 100.0


def build_bert_encoder(*settings: Any, **named: Any) -> BertEncoder:  # noqa: D417 (those of `EncoderSettings`)
    """Build an encoder with weights of its own. Nothing is read before `initialize` or `from_disk`.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        window: Most pieces of a window, special pieces included. By default as many as the model can number, at
            most 512.
        stride: Pieces from one window of a long text to the next; by default two windows share a quarter of their
            pieces, at most 64.
        max_pieces: Most pieces, padding included, of one forward pass.
        precision: `"auto"` computes in bfloat16 where the hardware multiplies it natively, else in float32; `"fp32"`
            and `"bf16"` insist. `"fp16"` and `"int8"`, 8-bit integers in the dense layers, are for predictions;
            training is then as with `"auto"`.
        backend: What predicts: `"torch"`, or `"onnx"`, ONNX Runtime, in float32 or `"int8"`.
        frozen_layers: What does not learn: `"none"`, `"embeddings"`, a number of layers from the bottom (with the
            embeddings), `"all_but_last"` layer, or `"all"`.
        layer_lr_decay: Factor on the learning rate from each layer to the one below.
        layers: Which hidden states make the features: `"last"`, `"second_to_last"`, `"sum_last_four"`,
            `"concat_last_four"`, or `"scalar_mix"`, a learned mean over all layers and the embeddings.
        cache_mb: Megabytes of states that an encoder of which nothing learns keeps over the epochs of a training run;
            0 keeps none.
        adapter: A low-rank adapter, `@misc = "spacy-bertft.LoRA.v1"`; the weights of the encoder then stay as they are.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: ONNX Runtime is wanted and not installed.
    """
    return BertEncoder(EncoderSettings(*settings, **named))


# What confection reads.
build_bert_encoder.__signature__ = signature(EncoderSettings, eval_str=True)  # type: ignore[attr-defined]
build_bert_encoder.__annotations__ = get_type_hints(EncoderSettings)


class BertEncoder(Encoder, PretrainedModel[EncodedDocs]):
    """An encoder with weights of its own."""

    def __init__(self, settings: EncoderSettings) -> None:
        mix = [TorchShim(_build_mix, _get_mix_lr_scale)] if settings.layers == "scalar_mix" else []
        PretrainedModel.__init__(self, "bert_encoder", BertEncoder.encode, settings, mix, outputs=[])

    @property
    def mix_shim(self) -> TorchShim | None:
        """What owns the mean of all layers, if that is learned."""
        return self.shims[1] if self.settings.layers == "scalar_mix" else None  # type: ignore[return-value]

    @property
    def version(self) -> Hashable:
        """Another value after each change of the weights."""
        return tuple(shim.version for shim in self.shims)  # type: ignore[attr-defined]

    @property
    def keeps_states(self) -> bool:
        """Whether the states of training texts are kept, because nothing of the encoder learns."""
        return self.settings.cache_mb > 0 and self.is_initialized and not self.module.learns

    def find_source(self) -> BertEncoder:
        """Return the encoder itself."""
        return self

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Build the module from a checkpoint in memory; see `PretrainedModel.load_checkpoint`."""
        super().load_checkpoint(checkpoint)
        if self.mix_shim:
            self.mix_shim.attach({"n_states": self.module.n_layers + 1})
            self.set_dim("nO", self.module.width, force=True)

    def check_stored(self) -> None:
        """Raise unless what was read from bytes fits together.

        Raises:
            CheckpointError: It does not.
        """
        super().check_stored()
        if not self.is_initialized:
            return
        module: BertModule = self.module
        width = module.width if self.mix_shim else module.feature_width
        if self.mix_shim and len(self.mix_shim.module.weights) != module.n_layers + 1:
            n_mixed = len(self.mix_shim.module.weights)
            raise CheckpointError(f"It mixes {n_mixed} layers, but has {module.n_layers} and the embeddings.")
        if self.maybe_get_dim("nO") != width:
            raise CheckpointError(f"It says that its states are {self.maybe_get_dim('nO')} wide, but they are {width}.")

    def encode(self, docs: list[Doc], is_train: bool) -> tuple[EncodedDocs, Callable[[EncodedGradient], list[Doc]]]:
        """Compute the states of documents, and what sends a gradient back; thinc's forward function."""
        settings, derived, module = self.settings, self.shim.derived, self.module
        outputs: list[Output] = self.attrs["outputs"] or ["tokens"]
        run = partial(encode_docs, window=module.window, max_pieces=settings.max_pieces, outputs=outputs)
        cache: StateCache | None = None
        if settings.cache_mb and not module.learns:  # a training run keeps the states of its texts
            if is_train and "states" not in derived:
                derived["states"] = StateCache(settings.cache_mb * 2**20)
            cache = derived.get("states")
        if cache is None or not docs:
            encoded = self.run(is_train, partial(run, docs=docs))
        else:
            encoded = self.run(is_train, lambda module: cache.encode(docs, partial(run, module), outputs))
        if settings.layers == "scalar_mix" and self.mix_shim:
            with torch.set_grad_enabled(is_train):
                mixed = {output: self.mix_shim.module(each) for output, each in encoded.vectors.items()}
                encoded = replace(encoded, vectors=mixed)

        def backprop(gradient: EncodedGradient) -> list[Doc]:
            backprop_encoded(encoded, gradient)
            return []

        return encoded, backprop


def backprop_encoded(encoded: EncodedDocs, gradient: EncodedGradient) -> None:
    """Send a gradient back through what made the states, as far as that learns."""
    used = [output for output, each in encoded.vectors.items() if output in gradient and each.requires_grad]
    if used:
        torch.autograd.backward([encoded.vectors[output] for output in used], [gradient[output] for output in used])


def _build_mix(spec: dict[str, Any]) -> ScalarMix:
    return ScalarMix(spec["n_states"])


def _get_mix_lr_scale(module: torch.nn.Module, name: str) -> float:
    return _MIX_LR_SCALE

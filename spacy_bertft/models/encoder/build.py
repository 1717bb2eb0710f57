"""`spacy-bertft.BertEncoder.v1`: documents → states."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model
from thinc.compat import torch
from thinc.shims import Shim

from spacy_bertft.checkpoints import Checkpoint, Weights, read_checkpoint
from spacy_bertft.errors import CheckpointError, SettingError, name_source
from spacy_bertft.models.encoder import trainable
from spacy_bertft.models.encoder.forward import encode_docs
from spacy_bertft.models.encoder.graph import GraphEncoder, build_graph_encoder
from spacy_bertft.models.encoder.settings import EncoderSettings, WindowSize
from spacy_bertft.models.encoder.states import OUTPUTS, EncodedDocs, EncodedGradient, Output, StateCache
from spacy_bertft.models.runtime.devices import find_training_dtype
from spacy_bertft.models.runtime.processes import adapt_to_fork, share_with_forks
from spacy_bertft.models.store.shim import TorchModel, TorchShim, TypedModel
from spacy_bertft.tokens import PieceTokenizer

if TYPE_CHECKING:
    from spacy_bertft.models.encoder.module import BertModule, ScalarMix

Encoded = TypeVar("Encoded")
Output_ = TypeVar("Output_")
# The weights of a mix go through a softmax: at the rate of a weight matrix they would hardly move.
_MIX_LR_SCALE = 100.0


def build_bert_encoder(*settings: Any, **named: Any) -> BertEncoder:
    """Build an encoder with weights of its own. Nothing is read before `initialize` or `from_disk`.

    Args:
        *settings: Those of `EncoderSettings`.
        **named: More of them.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: OpenVINO is wanted and not installed.
    """
    return BertEncoder(EncoderSettings(*settings, **named))


# What confection reads.
build_bert_encoder.__signature__ = signature(EncoderSettings, eval_str=True)  # type: ignore[attr-defined]
build_bert_encoder.__annotations__ = get_type_hints(EncoderSettings)


class Encoder(TypedModel[list[Doc], EncodedDocs]):
    """What a head knows of its encoder, whether that is its own or the one of another component.

    Args:
        name: thinc's name for the kind of model.
        forward: thinc's forward function, from documents to `EncodedDocs`.
        init: What thinc calls to initialize the model.
        width: Width of the states, if it is known already.
        **attrs: What thinc stores with the model.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *,
        init: Callable[..., Any] | None = None,
        width: int | None = None,
        **attrs: Any,
    ) -> None:
        # Not `super()`: a subclass is also a listener of spacy-transformers.
        Model.__init__(self, name, forward, init=init, dims={"nO": width}, attrs={"outputs": [], **attrs})

    @property
    def outputs(self) -> list[Output]:
        """What heads have required; thinc stores it with the model."""
        return self.attrs["outputs"]

    def require(self, output: Output) -> None:
        """Have the encoder yield an output; what nobody requires is not computed."""
        if output not in self.outputs:
            self.outputs.append(output)

    def check_stored(self) -> None:
        """Raise unless the outputs are known.

        Raises:
            CheckpointError: What was stored requires something else.
        """
        if unknown := set(self.outputs) - set(OUTPUTS):
            raise CheckpointError(f"It asks its encoder for {', '.join(sorted(unknown))}, which is not known.")

    def check_link(self, nlp: Language | None = None) -> None:
        """Raise unless there is an encoder: that of another component may be missing.

        Args:
            nlp: The pipeline, if it is known.

        Raises:
            MissingEncoderError: It is missing.
        """

    def find_source(self) -> BertEncoder | None:
        """Return the encoder that computes the states; None if it is not one of ours, or not linked."""
        return None


class PretrainedModel(TorchModel[list[Doc], Output_]):
    """A thinc model around an encoder of transformers.

    Args:
        name: thinc's name for the kind of model.
        forward: thinc's forward function.
        settings: The settings of the encoder.
        shims: Further torch modules.
        **attrs: What thinc stores with the model, or spaCy looks up.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        settings: EncoderSettings,
        shims: Sequence[Shim] = (),
        **attrs: Any,
    ) -> None:
        export = _merge if settings.adapter and settings.adapter.save == "merged" else None
        build, build_graph = partial(_build_module, settings), partial(build_graph_encoder, settings)
        shim = TorchShim(build, partial(_get_lr_scale, settings), export, build_graph)
        init = PretrainedModel.read_checkpoint
        TorchModel.__init__(self, name, forward, init=init, shims=[shim, *shims], dims={"nO": None}, attrs=attrs)
        self.settings = settings
        share_with_forks(self)

    @property
    def tokenizer(self) -> PieceTokenizer:
        """What cuts texts into pieces."""
        return self.module.tokenizer

    @property
    def window(self) -> WindowSize:
        """The windows into which long texts are cut."""
        return self.module.window

    def read_checkpoint(self, X: Any = None, Y: Any = None) -> None:
        """Read the checkpoint that the settings name; thinc calls this to initialize the model.

        Raises:
            CheckpointError: It cannot be read.
        """
        self.load_checkpoint(read_checkpoint(self.settings.name))

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Build the module from a checkpoint in memory.

        Raises:
            CheckpointError: Weights are missing or misshapen, or the configuration is not theirs.
        """
        if self.settings.backend == "graph":
            raise SettingError("backend", "graph", "torch or openvino: a pipeline with graphs only predicts")
        from spacy_bertft.models.encoder.loading import describe_bert, load_bert
        from spacy_bertft.models.store.building import SizeLimit

        adapter = self.settings.adapter
        description = describe_bert(checkpoint, adapter.spec if adapter else None)
        with name_source(checkpoint.name), SizeLimit(checkpoint.weights, checkpoint.name):
            module: BertModule = self.shim.attach(description)
        load_bert(module, checkpoint)
        self.set_dim("nO", module.feature_width, force=True)

    def run(self, is_train: bool, encode: Callable[[Any], Encoded]) -> Encoded:
        """Run the module in the number format that is set, to learn where something learns, else to predict.

        Args:
            is_train: Whether the states are to be learned from.
            encode: Makes states with a module.
        """
        adapt_to_fork()
        module = self.module
        if isinstance(module, GraphEncoder):
            return encode(module) if not is_train else module.refuse("training")
        if is_train and module.learns:
            module.train()
            dtype = find_training_dtype(self.settings.precision, module.device)
            with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                return encode(module)
        # A head that learns over a frozen encoder keeps the states for its backward pass.
        with torch.no_grad() if is_train else torch.inference_mode():
            return encode(self.shim.derive("inference copy", self._make_inference_copy))

    def _make_inference_copy(self, module: Any) -> Any:
        if isinstance(module, GraphEncoder):  # it came while a process was about to fork, and predicts itself
            return module
        from spacy_bertft.models.encoder.inference import make_inference_copy

        return make_inference_copy(module, self.settings.precision, self.settings.backend)

    def prepare_for_forks(self) -> None:
        """Make what predicts, so that forked processes share its memory."""
        if self.is_initialized and not isinstance(self.module, GraphEncoder) and self.module.device.type == "cpu":
            self.shim.derive("inference copy", self._make_inference_copy)


class BertEncoder(Encoder, PretrainedModel[EncodedDocs]):
    """An encoder with weights of its own."""

    def __init__(self, settings: EncoderSettings) -> None:
        mix = [TorchShim(build_mix, get_mix_lr_scale)] if settings.layers == "scalar_mix" else []
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
        module: BertModule | GraphEncoder = self.module
        if isinstance(module, GraphEncoder) != (self.settings.backend == "graph"):
            kind = "a graph" if isinstance(module, GraphEncoder) else "weights"
            raise CheckpointError(f"It holds {kind}, which is not for backend = {self.settings.backend}.")
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
                derived["states"] = StateCache(settings.cache_mb * 2**20, by_sentence=module.tokenizer.by_sentence)
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


def _get_lr_scale(settings: EncoderSettings, module: BertModule, name: str) -> float:
    depth = trainable.find_depth(name, module.n_layers)
    return trainable.find_lr_scale(depth, module.n_layers, settings.layer_lr_decay)


def _build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    from spacy_bertft.models.encoder.loading import build_module  # which needs torch

    return build_module(settings, spec)


def _merge(module: BertModule, spec: dict[str, Any]) -> tuple[dict[str, Any], Weights]:
    return {**spec, "adapter": None}, trainable.merge_adapter(module)


def build_mix(spec: dict[str, Any]) -> ScalarMix:
    """Build the module of a scalar mix from its description."""
    from spacy_bertft.models.encoder.module import ScalarMix

    return ScalarMix(spec["n_states"])


def get_mix_lr_scale(module: torch.nn.Module, name: str) -> float:
    """Return the factor on the learning rate of a scalar mix."""
    return _MIX_LR_SCALE

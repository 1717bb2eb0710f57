"""`spacy-bertft.SharedEncoder.v1`: documents → the states of an encoder earlier in the pipeline."""

from importlib.util import find_spec

from .shared import EncoderModel, SharedEncoder


def build_shared_encoder(upstream: str = "*", grad_factor: float = 1.0) -> EncoderModel:
    """Build a layer that listens to an encoder earlier in the pipeline, so that several heads share one pass.

    Args:
        upstream: Name of the component with the encoder: a `bert_encoder` of ours, or a `transformer` of
            spacy-transformers; `*` for the nearest before the head.
        grad_factor: Factor on the gradient that goes back to the encoder; 0 keeps this head from teaching it.
    """
    make: type[SharedEncoder] = SharedEncoder
    if find_spec("spacy_transformers") is not None:
        from .spacy_transformers import StockListener

        make = StockListener
    model = make(upstream)
    model.attrs["grad_factor"] = grad_factor
    return model

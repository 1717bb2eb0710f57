"""`spacy-bertft train` and `spacy-bertft resume`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.arguments import GpuId

Code = Annotated[
    Path | None, typer.Option("--code", "-c", help="A Python file with registered functions, imported before.")
]


def train_command(
    ctx: typer.Context,
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG", help="A config of spaCy.", exists=True)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    code: Code = None,
    gpu_id: GpuId = -1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where another training was stopped.")
    ] = False,
) -> None:
    """Train as `spacy train` does, so that `resume` can go on where it is killed.

    Settings are overridden as there: --training.max_steps 2000.
    """
    from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
    from spacy.util import load_config

    from spacy_bertft.models.runtime.gpu import use_gpu
    from spacy_bertft.resume import train

    overrides = parse_config_overrides(ctx.args)
    import_code(code)
    use_gpu(gpu_id)
    with show_validation_error(config_path):
        config = load_config(config_path, overrides=overrides, interpolate=False)
        train(config, output, gpu_id=gpu_id, overwrite=overwrite)


def resume_command(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The folder that the training was writing to.")],
    code: Code = None,
    gpu_id: GpuId = -1,
) -> None:
    """Go on with a training that was stopped, to the result that it would have had, bit for bit on the same machine.

    It has to be called where `train` was, if paths in its config are relative.
    """
    from spacy.cli._util import import_code

    from spacy_bertft.models.runtime.gpu import use_gpu
    from spacy_bertft.resume import resume

    import_code(code)
    use_gpu(gpu_id)
    resume(output, gpu_id=gpu_id)

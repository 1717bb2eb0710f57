"""The README.md of a checkpoint that we write."""

from __future__ import annotations

from collections.abc import Sequence

import srsly
from spacy.language import Language

from spacy_bertft.checkpoints import Task

_PIPELINE_TAGS: dict[Task, str] = {"token": "token-classification", "text": "text-classification"}


def format_model_card(nlp: Language, component: str, task: Task, outputs: Sequence[str], notes: Sequence[str]) -> str:
    """Write a model card: what the hub reads in front, and what a reader needs below.

    Args:
        nlp: The pipeline that the checkpoint comes from.
        component: The component.
        task: What it classifies.
        outputs: Its tags or labels.
        notes: What a user has to know.

    Source: Mitchell et al. (2019); the fields in front as the hub defines them.
    """
    tag = _PIPELINE_TAGS[task]
    front = {"language": [nlp.lang], "library_name": "transformers", "pipeline_tag": tag, "tags": ["spacy-bertft"]}
    if nlp.meta.get("license"):
        front["license"] = nlp.meta["license"]
    aggregation = ', aggregation_strategy="first"' if task == "token" else ""
    name = f"{nlp.lang}_{nlp.meta.get('name', 'pipeline')}"
    lines = [
        f"---\n{srsly.yaml_dumps(front).strip()}\n---",
        f"# {name}: {component}",
        nlp.meta.get("description") or f"The component `{component}` of the spaCy pipeline `{name}`.",
        f"Outputs: {', '.join(f'`{output}`' for output in outputs)}.",
        *notes,
        f'```python\nfrom transformers import pipeline\n\nclassify = pipeline("{tag}", model="."{aggregation})\n```',
    ]
    scores = _list_scores(nlp, task)
    if scores:
        rows = [f"| {score} | {100 * value:.2f} % |" for score, value in scores]
        lines.append("\n".join(["Scores of the pipeline on its development data:\n", "| | |", "|---|---:|", *rows]))
    return "\n\n".join(lines) + "\n"


def format_adapted_card(encoder: str, rows: Sequence[Sequence[str]], notes: str) -> str:
    """Write the model card of an encoder that was adapted to texts.

    Args:
        encoder: Name of the checkpoint that it was before.
        rows: Figures of the training, the first row naming the columns.
        notes: What else there is to say.
    """
    front = {"library_name": "transformers", "pipeline_tag": "fill-mask", "tags": ["spacy-bertft"]}
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    lines = [
        f"---\n{srsly.yaml_dumps(front).strip()}\n---",
        f"# {encoder}, adapted",
        "It went on learning to guess hidden pieces, of texts without labels (Devlin et al., 2019, section 3.1).",
        "\n".join(table),
        notes,
        "To fine-tune it, give this folder as `--paths.encoder` to `python -m spacy train`.",
    ]
    return "\n\n".join(lines) + "\n"


def _list_scores(nlp: Language, task: Task) -> list[tuple[str, float]]:
    prefixes = {"token": ("ents_", "tag_"), "text": ("cats_",)}[task]
    performance = nlp.meta.get("performance", {})
    return [
        (name, value)
        for name, value in performance.items()
        if name.startswith(prefixes) and isinstance(value, float) and 0 <= value <= 1
    ]

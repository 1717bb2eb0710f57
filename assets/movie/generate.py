"""Write a BIO corpus of movie queries from the grammar beside this file.

Every template of the grammar is a sentence with three kinds of slots::

    <movie>                 a word choice without a label
    {ACTOR}, {YEAR:decade}  a labelled span; the part after the colon only picks the list of fillers
    a/an                    the article that suits the next word

An ``s`` after a labelled slot, as in ``{DIRECTOR}s``, is the possessive: it joins the span's last word.

Usage::

    python assets/movie/generate.py --n 1000 --seed 0 --output assets/movie/train.bio
"""

import argparse
import json
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

GRAMMAR = Path(__file__).with_name("grammar.json")
SLOT = re.compile(r"<(?P<words>[^>]+)>|\{(?P<key>[A-Z_]+(?::\w+)?)\}(?P<suffix>s?)|(?P<literal>\S+)")
AN_BEFORE = re.compile(r"[aeio]|u(?!ni)|(r|x|nc)$")  # "an r rated film", "a universally praised film"
MAX_MISSES = 1000  # sentences in a row that were seen before


class Token(NamedTuple):
    """One line of a BIO file."""

    tag: str
    word: str


def fix_articles(tokens: list[Token]) -> list[Token]:
    """Replace each ``a/an`` by the article that the next word takes.

    Args:
        tokens: The tokens of one sentence.

    Returns:
        The same tokens with every article settled.
    """
    fixed = list(tokens)
    for i, token in enumerate(tokens[:-1]):
        if token.word == "a/an":
            following = tokens[i + 1].word
            takes_an = AN_BEFORE.match(following) is not None
            fixed[i] = Token(token.tag, "an" if takes_an else "a")
    return fixed


def expand(template: str, grammar: dict[str, Any], rng: random.Random) -> list[Token]:
    """Fill every slot of one template.

    Args:
        template: The template's text.
        grammar: The whole grammar.
        rng: The source of every choice.

    Returns:
        The tagged sentence. No filler stands in it twice.
    """
    tokens: list[Token] = []
    used: set[str] = set()
    for slot in SLOT.finditer(template):
        if slot["literal"]:
            tokens.append(Token("O", slot["literal"]))
        elif slot["words"]:
            words = rng.choice(grammar["words"][slot["words"]]).split()
            tokens.extend(Token("O", word) for word in words)
        else:
            filler = rng.choice([text for text in grammar["fillers"][slot["key"]] if text not in used])
            used.add(filler)
            label = slot["key"].partition(":")[0]
            first, *rest = (filler.removesuffix("s") + "s" if slot["suffix"] else filler).split()
            tokens.append(Token(f"B-{label}", first))
            tokens.extend(Token(f"I-{label}", word) for word in rest)
    return fix_articles(tokens)


def make_sentence(grammar: dict[str, Any], rng: random.Random) -> list[Token]:
    """Draw a group by its weight and one of its templates, fill it, and now and then add spoken noise.

    Args:
        grammar: The whole grammar.
        rng: The source of every choice.

    Returns:
        One tagged sentence.
    """
    groups = grammar["groups"]
    group = rng.choices(groups, weights=[group["weight"] for group in groups])[0]
    tokens = expand(rng.choice(group["templates"]), grammar, rng)
    noise = grammar["noise"]
    if rng.random() < noise["rate"]:
        tokens = [Token("O", word) for word in rng.choice(noise["openers"]).split()] + tokens
    if rng.random() < noise["rate"]:
        tokens = tokens + [Token("O", word) for word in rng.choice(noise["closers"]).split()]
    return tokens


def make_corpus(grammar: dict[str, Any], n: int, seed: int) -> list[list[Token]]:
    """Make ``n`` different sentences.

    Args:
        grammar: The whole grammar.
        n: How many sentences.
        seed: The same seed gives the same sentences.

    Returns:
        The tagged sentences, in the order in which they were drawn.

    Raises:
        ValueError: If the grammar runs out of new sentences.
    """
    rng = random.Random(seed)
    corpus: dict[str, list[Token]] = {}
    misses = 0
    while len(corpus) < n:
        tokens = make_sentence(grammar, rng)
        text = " ".join(token.word for token in tokens)
        misses = misses + 1 if text in corpus else 0
        if misses > MAX_MISSES:
            raise ValueError(f"The grammar gave only {len(corpus)} different sentences, not {n}.")
        corpus.setdefault(text, tokens)
    return list(corpus.values())


def write_bio(corpus: list[list[Token]], path: Path) -> None:
    """Write sentences as ``TAG<TAB>word`` lines with a blank line after each sentence.

    Args:
        corpus: The tagged sentences.
        path: The file. It is complete or untouched: the text goes to a temporary name first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        for tokens in corpus:
            file.writelines(f"{token.tag}\t{token.word}\n" for token in tokens)
            file.write("\n")
    temporary.replace(path)


def main() -> None:
    """Parse the command line and write the corpus."""
    parser = argparse.ArgumentParser(description="Write a BIO corpus of movie queries.")
    parser.add_argument("--n", type=int, default=1000, help="how many sentences (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of every choice (default: 0)")
    parser.add_argument("--output", type=Path, required=True, help="the BIO file to write")
    parser.add_argument("--grammar", type=Path, default=GRAMMAR, help="default: the one beside this file")
    args = parser.parse_args()
    grammar = json.loads(args.grammar.read_text(encoding="utf-8"))
    corpus = make_corpus(grammar, args.n, args.seed)
    write_bio(corpus, args.output)
    print(f"Wrote {len(corpus)} sentences to {args.output}.")


if __name__ == "__main__":
    main()

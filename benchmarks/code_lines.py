"""How large the package is: its lines of code, without docstrings, comments and blank lines, and its files.

python benchmarks/code_lines.py [FOLDER]
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "spacy_bertft"
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def count_code_lines(source: str) -> int:
    """Count the lines with code; each line of a string or an expression over several lines counts."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)


def count_packages(folder: Path) -> dict[str, tuple[int, int]]:
    """Count files and lines of code of each package in a folder; modules of the folder itself are `.`."""
    counts: dict[str, tuple[int, int]] = {}
    for path in sorted(folder.rglob("*.py")):
        first, *rest = path.relative_to(folder).parts
        name = first if rest else "."
        n_files, n_lines = counts.get(name, (0, 0))
        counts[name] = n_files + 1, n_lines + count_code_lines(path.read_text(encoding="utf-8"))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=PACKAGE)
    counts = count_packages(parser.parse_args().folder)
    counts["total"] = sum(n for n, _ in counts.values()), sum(n for _, n in counts.values())
    print(f"{'package':16} {'files':>6} {'code lines':>11}")
    for name, (n_files, n_lines) in counts.items():
        print(f"{name:16} {n_files:6,} {n_lines:11,}")


if __name__ == "__main__":
    main()

"""Run the command line as `python -m spacy_bertft`."""

from spacy_bertft.entry_points.commands import run_commands

if __name__ == "__main__":
    run_commands(prog_name="python -m spacy_bertft")

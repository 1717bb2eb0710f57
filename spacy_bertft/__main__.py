"""Run the command line as `python -m spacy_bertft`."""

from spacy_bertft.cli import app

if __name__ == "__main__":
    app(prog_name="python -m spacy_bertft")

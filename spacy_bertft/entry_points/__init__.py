"""What spaCy, pip's script and `python -m` import first. It imports little, and never fails.

spaCy loads every `spacy_cli` entry point for each of its commands, and every `spacy_factories` entry point for each
pipeline, whether or not it uses them. An exception there would break spaCy for everyone who has installed this package.
If a requirement is missing, too old or broken, our own commands and components say so when they are used.
"""

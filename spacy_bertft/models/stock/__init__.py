"""The encoder of spacy-transformers under our heads. Needs the extra `spacy-transformers`."""

"""spaCy's verbs: documents → `doc.ents`, `token.tag_`, and from gold annotation to a loss. No torch."""

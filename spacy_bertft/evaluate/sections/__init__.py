"""What is measured of each component: entities, categories or tags, on documents that a pipeline has annotated."""

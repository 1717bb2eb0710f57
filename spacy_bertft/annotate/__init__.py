"""Streams of documents through a pipeline, on one machine or on a cluster."""

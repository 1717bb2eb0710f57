"""Annotated rows → shards."""

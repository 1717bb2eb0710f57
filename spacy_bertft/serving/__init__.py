"""Serving pipelines over HTTP, many requests at once.

In: trained pipelines. Out: a server. `schema` says what requests and answers hold, `app` routes them, a `worker` for
each pipeline annotates what waits in batches, `metrics` counts, and `serve` runs all of it in one process or several.
"""

"""Pictures and pages: what all of them share, whatever they show.

In: a function that draws a matplotlib figure in `COLORS`, or a jinja2 template and its values. Out: a PNG, an SVG or a
self-contained HTML page in the one layout of `templates`, for light and dark themes. Knows nothing of documents,
pipelines and measurements.
"""

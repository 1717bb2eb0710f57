"""Pictures as files: what all of them share, whatever they show.

A figure is drawn with matplotlib in `colors`, rendered as an `image`, and written as a `plot`: by itself, or on a
`page` in a `style` for light and dark.
"""

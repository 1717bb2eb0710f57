"""Demo: a local page where a person types a text and sees what pipelines predict, and why.

In: trained pipelines. Out: a page in Gradio, for this machine only. `page` lays it out, `server` runs it.
"""

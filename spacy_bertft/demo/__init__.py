"""Try it: a local page where a person types a text and sees what pipelines answer, and why.

`answers` draws what one pipeline says of a text; `page` lays out the page, in Gradio; `server` runs it on this machine
and for this machine only.
"""

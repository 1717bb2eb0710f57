"""Torch modules go in, safe bytes come out, and back. Nothing is unpickled."""

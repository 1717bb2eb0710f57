"""Where chunks are annotated: in this process and its children, or on Ray."""

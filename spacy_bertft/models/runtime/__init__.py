"""How modules are run: number formats, layers for prediction, ONNX Runtime, processes. Knows no `Doc`."""

"""How modules run: number formats, devices, fast layers for prediction, processes. Knows neither `Doc` nor encoder."""

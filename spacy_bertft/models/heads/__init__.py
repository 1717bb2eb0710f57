"""States go in, scores come out; a loss and its backward pass in training. Knows neither `Doc.ents` nor `Doc.cats`."""

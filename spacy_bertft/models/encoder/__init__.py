"""A Doc goes in, the states of its subword tokens come out. Knows neither labels nor losses."""

"""Fuzzing: random and mutated bytes, guided by which lines of the package they reach.

One file per target, with `fuzz_one(data: bytes) -> None`, which returns whatever the bytes are: an error of the package
is an answer, anything else that is raised is a bug. A target needs atheris only where it is fuzzed, so that the tests
replay its kept inputs, `corpus/TARGET/`, without it.

In addition to `fuzz_one` a target may have:

- `DICTIONARY`, a tuple of bytes that are worth putting into inputs.
- `MAX_BYTES`, the size of the largest input; 4096 if it has none.
- `mutate(data: bytes, max_bytes: int, seed: int) -> bytes`, instead of libFuzzer's own mutations.
"""

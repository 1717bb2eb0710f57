"""Sums of products of numbers that are known by their logarithms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# `exp(-708)` is the smallest normal float. Rows that could come near it are summed the long way.
_DEEPEST = 600.0
# OpenBLAS takes a second thread from 262,144 products on.
_MOST_PRODUCTS = 65_536


@dataclass(frozen=True)
class LogMatrix:
    """A matrix of logarithms, ready for products; minus infinity stands for zero.

    Attributes:
        logs: `(L, L)` the logarithms.
        factors: `(L, L)` the numbers themselves, divided by the largest.
        shift: The logarithm of the largest.
        depth: How far the smallest lies below the largest, zeros left out.
    """

    logs: Floats
    factors: Floats
    shift: float
    depth: float


def build_log_matrix(logs: Floats) -> LogMatrix:
    """Prepare a matrix for products."""
    flat = logs.reshape(1, -1)
    shift = float(finite_max(flat).item()) if logs.size else 0.0
    return LogMatrix(logs, np.exp(logs - shift), shift, float(find_depth(flat).item()) if logs.size else 0.0)


def log_matmul(values: Floats, matrix: LogMatrix) -> Floats:
    """Multiply `exp(values)` by a matrix and take the logarithm, `(n, L)`.

    Source: the log-sum-exp trick with one maximum per row, so that a matrix product does the work. Where numbers lie
    too far apart for that, with one maximum per sum.
    """
    top = finite_max(values)
    below = values - top
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(matmul(np.exp(below), matrix.factors)) + (top + matrix.shift)
    deep = find_deep_rows(find_lowest(below) + matrix.depth)
    if len(deep):
        n_tags = len(matrix.logs)
        pairs = values[deep][:, None, :] + matrix.logs.T
        logs[deep] = log_sum(pairs.reshape(-1, n_tags)).reshape(-1, n_tags)
    return logs


def matmul(left: Floats, right: Floats) -> Floats:
    """Multiply two matrices, `(n, k)` by `(k, m)`, in parts so small that numpy's BLAS takes one thread for each.

    Its other threads would go on spinning for tens of milliseconds after a product, on the cores that torch needs
    next; that made a forward pass after it two to three times as slow.
    """
    n_rows = _MOST_PRODUCTS // max(1, right.size)
    if n_rows == 0:
        product: Floats = np.einsum("ij,jk->ik", left, right)
        return product
    if len(left) <= n_rows:
        product = left @ right
        return product
    return np.concatenate([left[first : first + n_rows] @ right for first in range(0, len(left), n_rows)])


def log_sum(values: Floats) -> Floats:
    """Return the logarithm of the sum of exponentials of each row, `(n,)`."""
    top = finite_max(values)
    with np.errstate(divide="ignore"):
        sums: Floats = np.log(np.exp(values - top).sum(axis=1)) + top[:, 0]
    return sums


def finite_max(values: Floats) -> Floats:
    """Return the maximum of each row, `(n, 1)`; zero where a row holds minus infinity only."""
    top = values.max(axis=1, keepdims=True)
    return np.where(np.isfinite(top), top, 0.0)


def find_depth(values: Floats) -> Floats:
    """Return how far the lowest of each row lies below the highest, minus infinity left out, `(n,)`."""
    return find_lowest(values - finite_max(values))


def find_deep_rows(depth: Floats) -> NDArray[np.intp]:
    """Return the rows in which a product of factors could fall below what a float can hold."""
    return np.flatnonzero(depth > _DEEPEST)


def find_lowest(below: Floats) -> Floats:
    """Return how far the lowest of each row lies below zero, minus infinity left out, `(n,)`."""
    lowest: Floats = np.where(np.isfinite(below), below, 0.0).min(axis=1)
    return -lowest

"""The four on plain lists, right: a loop says which number meets which."""

import math
from collections.abc import Callable


def softmax(x: list[float]) -> list[float]:
    largest = max(x)
    exponentials = [math.exp(number - largest) for number in x]
    total = sum(exponentials)
    return [number / total for number in exponentials]


def attention(q: list[list[float]], k: list[list[float]], v: list[list[float]]) -> list[list[float]]:
    output = []
    for query in q:
        scores = [sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(len(query)) for key in k]
        weights = softmax(scores)
        output.append([sum(w * value[i] for w, value in zip(weights, v, strict=True)) for i in range(len(v[0]))])
    return output


def layer_norm(x: list[float], eps: float) -> list[float]:
    mean = sum(x) / len(x)
    centred = [number - mean for number in x]
    variance = sum(number * number for number in centred) / len(x)
    return [number / math.sqrt(variance + eps) for number in centred]


def residual(x: list[float], f: Callable[[list[float]], list[float]]) -> list[float]:
    return [number + change for number, change in zip(x, f(x), strict=True)]

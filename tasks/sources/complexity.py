"""Lempel-Ziv complexity of binary strings: how many phrases a string has that nothing before them contains.

0000000000000000   constant                  K = log2 16 = 4
0101010101010101   0, 1, 010101...           3 phrases either way, K = 12
0001101001000101   0, 001, 10, 100, 1000, 101, the example of Kaspar and Schuster (1987)
"""

from __future__ import annotations

import math
from functools import lru_cache


def phrases(string: str) -> int:
    """Number of phrases of the exhaustive history of Lempel and Ziv (1976).

    Each phrase is the shortest substring that does not occur earlier, where the earlier occurrence may overlap the
    phrase. The last one may be incomplete, and counts.
    """
    count = start = 0
    while start < len(string):
        end = start + 1
        while end <= len(string) and string[start:end] in string[: end - 1]:
            end += 1
        count, start = count + 1, end
    return count


@lru_cache(maxsize=100_000)  # most random networks are one of a few functions
def complexity(string: str) -> float:
    """K(s) = log2 n for a constant string s of length n, else log2 n times the mean phrases of s and s reversed.

    Dingle, Camargo and Louis, Nature Communications 9:761 (2018), Methods.
    """
    if len(set(string)) < 2:
        return math.log2(len(string))
    return math.log2(len(string)) * (phrases(string) + phrases(string[::-1])) / 2

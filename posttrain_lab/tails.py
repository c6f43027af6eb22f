"""How probable is a value this far out? Tails of the binomial and of Student's t distribution, from one function.

Both are values of the regularized incomplete beta function I_x(a, b), computed here by its continued fraction, so that scipy is not
needed. Left out: discrete distributions other than the binomial, and tails below 1e-300.

Source: Lentz's method as in Press et al., Numerical Recipes (2007), 6.4; Clopper and Pearson (1934).
"""

import math

from posttrain_lab.arguments import check_count

SMALLEST, ENOUGH, ROUNDS = 1e-300, 1e-15, 100_000


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b); it converges fast for x < (a + 1) / (a + b + 2)."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > SMALLEST else SMALLEST)
    value = d
    for m in range(1, ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 + term * d, 1 + term / c
            d = 1 / (d if abs(d) > SMALLEST else SMALLEST)
            c = c if abs(c) > SMALLEST else SMALLEST
            value *= d * c
        if abs(d * c - 1) < ENOUGH:
            break
    return value


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) = B(x; a, b) / B(a, b), the share of the beta distribution below x.

    a, b > 0; x in [0, 1]. Raises ValueError for anything else.

    >>> round(incomplete_beta(2, 3, 0.5), 12)
    0.6875
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"incomplete_beta wants a, b > 0 and x in [0, 1], got a={a!r}, b={b!r}, x={x!r}.")
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(a, b, x) / a


def binomial_tail(count: int, n: int, p: float) -> float:
    """How probable are `count` or more successes in n tries with probability p each? P(X >= count).

    Raises TypeError for counts that are no whole numbers, ValueError unless 0 <= count <= n and p in [0, 1].

    >>> round(binomial_tail(9, 10, 0.5), 6)  # 11 / 1024
    0.010742
    """
    check_count("binomial_tail", "n", n, 0)
    check_count("binomial_tail", "count", count, 0)
    if count > n or not 0 <= p <= 1:
        raise ValueError(f"binomial_tail wants count <= n and p in [0, 1], got count={count}, n={n}, p={p!r}.")
    return 1.0 if count == 0 else incomplete_beta(count, n - count + 1, p)


def lower_bound(count: int, n: int, alpha: float) -> float:
    """Which p is certainly reached, with confidence 1 - alpha, when `count` of n tries succeeded? One-sided Clopper-Pearson.

    The p for which `count` or more successes have probability alpha; 0 for count 0. Raises as `binomial_tail`, and ValueError for
    n = 0 or alpha outside (0, 1). Source: Clopper and Pearson (1934).

    >>> round(lower_bound(100, 100, 0.001), 4)  # 0.001 ** (1 / 100)
    0.9333
    """
    check_count("lower_bound", "n", n)
    if not 0 < alpha < 1:
        raise ValueError(f"lower_bound wants 0 < alpha < 1, got {alpha!r}; 0.001 means an error in a thousand.")
    if binomial_tail(count, n, 0.0) > alpha:  # count is 0
        return 0.0
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if binomial_tail(count, n, middle) < alpha else (low, middle)
    return low


def t_tails(t: float, freedom: float) -> float:
    """How probable is it that |T| is at least |t| under Student's t distribution with `freedom` degrees? Two-sided.

    >>> round(t_tails(12.706, 1), 4)
    0.05
    """
    if math.isinf(t):
        return 0.0
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))

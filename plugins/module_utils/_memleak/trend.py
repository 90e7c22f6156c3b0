# SPDX-License-Identifier: GPL-3.0-or-later
"""Slopes of what is read again and again, and intervals of what is counted: robust, and without a library."""

import math

Z95 = 1.96


def theil_sen(points):
    """Return (slope, least, most) of points [(seconds, value), …]: the median slope of all pairs and its 95 % interval.

    Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, 1968: the interval has the pairs' slopes of rank
    (N -/+ C) / 2, where C is 1.96 standard deviations of Kendall's S. One jump does not make a slope. Fewer than 3 points
    give (0, 0, 0).
    """
    count = len(points)
    slopes = sorted((points[later][1] - points[first][1]) / (points[later][0] - points[first][0])
                    for first in range(count) for later in range(first + 1, count) if points[later][0] > points[first][0])
    if count < 3 or not slopes:
        return 0.0, 0.0, 0.0
    half = Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18.0)
    least = int(math.floor((len(slopes) - half) / 2))
    most = int(math.ceil((len(slopes) + half) / 2))
    middle = len(slopes) // 2
    median = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2.0
    return median, slopes[max(0, least)], slopes[min(len(slopes) - 1, most)]


def poisson_interval(count):
    """Return the 95 % interval of a Poisson mean of which `count` were seen (Byar's approximation, Breslow and Day 1987)."""
    least = count * (1 - 1 / (9.0 * count) - Z95 / (3 * math.sqrt(count))) ** 3 if count else 0.0
    above = count + 1.0
    return least, above * (1 - 1 / (9 * above) + Z95 / (3 * math.sqrt(above))) ** 3


def steps_up(points):
    """Return the share of the growth that came in the second half of points [(seconds, value), …]; 0.5 is steady, 0 ended.

    Values that do not grow give 0.
    """
    if len(points) < 3:
        return 0.0
    grown = points[-1][1] - points[0][1]
    if grown <= 0:
        return 0.0
    return max(0.0, min(1.0, (points[-1][1] - points[len(points) // 2][1]) / float(grown)))


def thinned(points, most=11):
    """Return some of the points of a curve, at most `most` and one, the first and the last among them."""
    step = max(1, -(-(len(points) - 1) // (most - 1)))
    return [point for number, point in enumerate(points) if number % step == 0 or number == len(points) - 1]

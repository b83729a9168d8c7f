"""What a number of replicates can show, from the spread that the pilot found.

    python tests/benchmarks/power.py

`data/reference/pilot.csv` holds the pilot's differences at four development seeds with the half widths of
their 95% t intervals. For each the spread over seeds follows, and from it, for 8, 12 and 24 replicates: the
half width to expect, the difference that is found in four runs of five, and the chance of "level" (a 90%
interval within ±2 points) if the truth is 0. Four seeds know a spread badly: its own 95% interval reaches
from 0.57 to 3.73 times the estimate, so the same is printed for a spread a half larger.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

PILOT = Path(__file__).resolve().parents[2] / "data" / "reference" / "pilot.csv"
SEEDS = 4
REPLICATES = (8, 12, 24)
LEVEL = 2.0  # points


def detectable(sd: float, n: int, power: float = 0.8) -> float:
    """Return the difference whose 95% t interval leaves 0 out with this probability."""
    t = stats.t.ppf(0.975, n - 1)
    grid = np.linspace(0, 10 * sd, 4_001)
    found = stats.nct.sf(t, n - 1, grid / (sd / np.sqrt(n)))
    return float(grid[np.argmax(found >= power)])


def chance_of_level(sd: float, n: int, draws: int = 200_000) -> float:
    """Return how often a 90% t interval lies within ±LEVEL if the truth is 0."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, sd / np.sqrt(n), draws)
    spreads = sd * np.sqrt(rng.chisquare(n - 1, draws) / (n - 1))
    half = stats.t.ppf(0.95, n - 1) * spreads / np.sqrt(n)
    return float(np.mean(np.abs(means) + half < LEVEL))


def table(pilot: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each difference, spread and number of replicates."""
    rows = []
    for line in pilot.itertuples():
        sd = line.half_width * np.sqrt(SEEDS) / stats.t.ppf(0.975, SEEDS - 1)
        for factor in (1.0, 1.5):
            for n in REPLICATES:
                spread = factor * sd
                half = stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n)
                rows.append(
                    {
                        "million tokens": line.tokens_seen / 1e6,
                        "difference": f"{line.arm} - {line.baseline}, {line.measure}",
                        "spread": round(spread, 2),
                        "replicates": n,
                        "half width": round(half, 2),
                        "found in 4 of 5": round(detectable(spread, n), 2),
                        "chance of level": f"{chance_of_level(spread, n):.0%}",
                    }
                )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    pilot = pd.read_csv(PILOT)
    print(table(pilot[pilot["tokens_seen"] == pilot["tokens_seen"].max()]).to_string(index=False))

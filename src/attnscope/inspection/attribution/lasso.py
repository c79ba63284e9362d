"""A sparse linear model of what random subsets of sources do to an answer: LASSO. Needs scikit-learn."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LassoCV

Floats = NDArray[np.float64]
FOLDS, ALPHAS, STEPS = 4, 40, 10_000
RESAMPLES = 50
PAIR = 2  # ablations that are drawn together


def fit_lasso(ablations: NDArray[np.bool_], drops: Floats) -> tuple[Floats, Floats]:
    """Fit a linear model of the drops to the ablated sources, and resample it.

    Parameters
    ----------
    ablations : ndarray of bool, (samples, sources)
        The sources that each sample ablates.
    drops : ndarray of float64, (samples, sentences)
        What each sentence of the answer loses.

    Returns
    -------
    coefficients : ndarray of float64, (sources, sentences)
        What a sentence loses without a source, the mean over the subsets of the others.
    errors : ndarray of float64, (sources,)
        Their standard errors, summed over the sentences: the deviation over samples drawn with replacement.

    Notes
    -----
    The penalty is chosen by cross-validation. Always the same numbers for the same samples.

    References
    ----------
    Tibshirani 1996, "Regression Shrinkage and Selection via the Lasso". Cohen-Wang et al. 2024,
    arXiv:2409.00729, fit it to removals.
    """
    rows = ablations.astype(np.float64)
    penalties = [penalty_of(rows, drop) for drop in drops.T]
    drawn = np.random.default_rng(0)
    pairs = np.arange(len(rows)) // PAIR
    totals = []
    for _ in range(RESAMPLES):
        chosen = drawn.integers(0, pairs[-1] + 1, pairs[-1] + 1)
        sample = np.concatenate([np.flatnonzero(pairs == pair) for pair in chosen])
        totals.append(coefficients_of(rows[sample], drops[sample], penalties).sum(axis=1))
    return coefficients_of(rows, drops, penalties), np.std(totals, axis=0, ddof=1)


def penalty_of(rows: Floats, drop: Floats) -> float | None:
    """The penalty with the least error of prediction; None if no sample differs from another."""
    if np.ptp(drop) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of penalties near 0, which are not chosen
        return float(LassoCV(alphas=ALPHAS, cv=FOLDS, max_iter=STEPS).fit(rows, drop).alpha_)


def coefficients_of(rows: Floats, drops: Floats, penalties: list[float | None]) -> Floats:
    """The coefficients (sources, sentences) with these penalties."""
    found = np.zeros((rows.shape[1], drops.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for number, penalty in enumerate(penalties):
            if penalty is not None:
                found[:, number] = Lasso(alpha=penalty, max_iter=STEPS).fit(rows, drops[:, number]).coef_
    return found

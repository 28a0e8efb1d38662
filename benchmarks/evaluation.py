"""Time of SDR, SIR and SAR: mir_eval in a loop against ``metric=fast``, for one method and for seven.

The original calls mir_eval for one mixture after another. Linear algebra keeps to one thread in each process, as joblib
has it: threads that wait for each other on a busy machine slow mir_eval down several times.
"""

from functools import partial

import joblib
import measure
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from avsep_lib import baselines, bss_eval, evaluation
from avsep_lib.settings import Settings, from_parameters

N_SOURCES = 2
LEVELS_DB = (0, 5, 10, 20, 30)
_Jobs = list[tuple[np.ndarray, list[np.ndarray]]]


def main() -> None:
    """Score the same estimates in every way, and compare both time and decibels."""
    options = measure.arguments("evaluation", __doc__.splitlines()[0])
    settings = from_parameters("smoke" if options.quick else "published")
    one, seven = (2, 1) if options.quick else (100, 20)
    single = [(true, methods[-1:]) for true, methods in made(one, settings)]
    parts = [
        timed("one method", single, ("mir_eval", "fast"), repeats=1 if options.quick else 2),
        timed("seven methods", made(seven, settings), ("fast",), repeats=1),
    ]
    measure.report(
        options,
        pd.concat(parts),
        mixtures=f"{one} for one method, {seven} for seven",
        sources=N_SOURCES,
        samples=settings.clip_samples,
        seven_methods=f"mixture, others and noise at {', '.join(map(str, LEVELS_DB))} dB, ideal ratio mask",
        one_method="ideal ratio mask",
    )


def timed(label: str, jobs: _Jobs, across_cores: tuple[str, ...], repeats: int) -> pd.DataFrame:
    """Seconds of each way to score, and the largest difference of a score from mir_eval's, in dB."""
    scores = {}

    def keep(name: str, call: partial) -> None:
        scores[name] = call()

    ways = {
        "mir_eval, in a loop": partial(loop, jobs),
        "fast, one process": partial(one_process, jobs),
        **{f"{metric}, a process for each core": partial(each_core, jobs, metric) for metric in across_cores},
    }
    with threadpool_limits(1):
        table = measure.interleaved({name: partial(keep, name, call) for name, call in ways.items()}, repeats)
    exact = scores["mir_eval, in a loop"]
    table["largest difference, dB"] = [float(np.abs(scores[name] - exact).max()) for name in table.index]
    return table.rename(index=lambda name: f"{label}: {name}")


def loop(jobs: _Jobs) -> np.ndarray:
    """As the original scores: one call of mir_eval after another."""
    return np.array([[bss_eval.by_mir_eval(true, one) for one in methods] for true, methods in jobs])


def one_process(jobs: _Jobs) -> np.ndarray:
    """By correlations, one mixture after another."""
    return np.array([bss_eval.bss_eval(true, np.stack(methods)).swapaxes(0, 1) for true, methods in jobs])


def each_core(jobs: _Jobs, metric: str) -> np.ndarray:
    """As the study scores, SI-SDR and tables included."""
    work = (joblib.delayed(evaluation.score_methods)(true, methods, metric) for true, methods in jobs)
    tables = joblib.Parallel(n_jobs=-1)(work)  # as evaluation.evaluate does
    return np.array([[table[list(evaluation.METRICS[:3])].to_numpy(float).T for table in of] for of in tables])


def made(count: int, settings: Settings) -> _Jobs:
    """References of seeded mixtures, float32 (N, L), and the estimates of seven methods."""
    jobs = []
    for number in range(count):
        rng = np.random.default_rng(number)
        true = np.stack([tones(rng, settings) for _ in range(N_SOURCES)]) / np.float32(N_SOURCES)
        wrong = 0.7 * np.roll(true, 1, axis=0) + 0.7 * true.std() * rng.standard_normal(true.shape, np.float32)
        spoiled = [true + np.float32(10 ** (-level / 20)) * wrong for level in LEVELS_DB]
        mask = baselines.ideal_mask(true, settings, "ratio")
        jobs.append((true, [baselines.mixture_as_estimate(true), *spoiled, mask]))
    return jobs


def tones(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Notes of a harmonic tone one after another, with attack and decay, over noise at -80 dB: float32 (L,)."""
    wave, at = 1e-4 * rng.standard_normal(settings.clip_samples), 0
    while at < len(wave):
        seconds = np.arange(min(int(rng.integers(2000, 7000)), len(wave) - at)) / settings.sample_rate_hz
        f0_hz = 440 * 2 ** (rng.integers(-24, 12) / 12)
        partials = np.arange(1, int(5000 / f0_hz) + 1)[:, None]
        waves = np.sin(2 * np.pi * f0_hz * partials * seconds + rng.uniform(0, 6.28, partials.shape)) / partials
        wave[at : at + len(seconds)] += waves.sum(0) * np.exp(-4 * seconds) * np.minimum(seconds / 0.01, 1)
        at += len(seconds)
    return (0.1 * wave / wave.std()).astype(np.float32)


if __name__ == "__main__":
    main()

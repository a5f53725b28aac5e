"""Results for people: `summary` for the terminal, `files` for the documentation, a page and its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.experiments import EXPERIMENTS, MICRO, Experiment
from benchmarks.plots import bars, lines, number
from benchmarks.results import MEASURES, Results, Spread

__all__ = ["PAGE", "files", "summary"]

#: The name of the page.
PAGE = "results.rst"
_ORDER = [*EXPERIMENTS, MICRO.name]


def files(directory: Path) -> dict[str, str]:
    """
    Make all that belongs to the results in a directory.

    :return: name of a file -> its text.
    :raises ResultsError: a file has no results.
    """
    everything = [Results.read(path) for path in directory.glob("*.json")]
    everything.sort(key=lambda results: _ORDER.index(results.experiment))
    made: dict[str, str] = {}
    page = [
        ".. Made by: python -m benchmarks page. Do not change it, change what it is made from.",
        "",
        "Results",
        "=======",
        "",
        "Medians of all rounds; in brackets, the least and the most. :doc:`../benchmarks` says how each is measured.",
        "",
    ]
    for results in everything:
        experiment = _experiment(results)
        page += _section(results, experiment)
        made[f"{results.experiment}.svg"] = _picture(results, experiment)
    made[PAGE] = "\n".join(page)
    return made


def summary(results: Results) -> str:
    """Write the medians for a terminal: a line for each case and receiver, with all that is shown of them."""
    experiment = _experiment(results)
    told = [f"{experiment.title}: medians of {results.rounds} rounds"]
    for case in results.cases:
        for server in results.servers:
            figures = [
                text for measure in experiment.shown if (text := _brief(results, experiment, server, case, measure))
            ]
            if figures:
                told.append(f"  {case}: {server}: {', '.join(figures)}")
    told += [f"  WRONG: {row.server}, {row.case}: {row.wrong}" for row in results.rows if row.wrong]
    return "\n".join([*told, ""])


def _experiment(results: Results) -> Experiment:
    return MICRO if results.experiment == MICRO.name else EXPERIMENTS[results.experiment]


def _picture(results: Results, experiment: Experiment) -> str:
    measure = experiment.shown[0]
    title = MEASURES[measure].label
    if experiment.axis:
        return lines(title, experiment.axis.capitalize(), _series(results, measure))
    if experiment.baseline:
        groups = {
            case: {
                server: ratio
                for server in results.servers
                if (ratio := results.ratio(server, experiment.baseline, case, measure)) is not None
            }
            for case in results.cases
        }
        return bars(f"{title}, as ratios to {experiment.baseline}", groups)
    scaled = {
        case: {
            server: _scaled(spread, measure)
            for server in results.servers
            if (spread := results.spread(server, case, measure)) is not None
        }
        for case in results.cases
    }
    return bars(title, {case: group for case, group in scaled.items() if group})


def _series(results: Results, measure: str) -> dict[str, list[tuple[float, Spread]]]:
    xs = {row.case: row.x for row in results.rows}
    return {
        server: [
            (xs[case], _scaled(spread, measure))
            for case in results.cases
            if (spread := results.spread(server, case, measure)) is not None
        ]
        for server in results.servers
    }


def _scaled(spread: Spread, measure: str) -> Spread:
    factor = MEASURES[measure].factor
    return Spread(spread.least * factor, spread.median * factor, spread.most * factor)


def _section(results: Results, experiment: Experiment) -> Iterator[str]:
    yield from (experiment.title, "-" * len(experiment.title), "", experiment.question, "")
    title = MEASURES[experiment.shown[0]].label
    yield from (f".. image:: {results.experiment}.svg", f"   :alt: {title}", "   :width: 100%", "")
    yield from _table(results, experiment)
    yield from (f"Measured {results.began} UTC, {results.rounds} rounds.", "")
    facts = {**results.machine, **{_spaced(name): value for name, value in results.options.items()}, **results.versions}
    facts |= {name: f"not measured: {why}" for name, why in results.skipped.items()}
    for name, value in facts.items():
        yield f"- {name}: ``{value}``"
    wrong = [(s, case, results.wrong(s, case)) for case in results.cases for s in results.servers]
    for server, case, why in wrong:
        if why:
            yield f"- {server}, {case}: not counted, at least once went wrong: ``{why}``"
    yield ""


def _table(results: Results, experiment: Experiment) -> Iterator[str]:
    measured = {row.case: set(row.figures) for row in results.rows if row.figures}
    shown = [measure for measure in experiment.shown if any(measure in names for names in measured.values())]
    if experiment.baseline:
        yield from (f"After each figure stands its ratio to that of {experiment.baseline} in the same round.", "")
    yield from (".. list-table::", "   :header-rows: 1", "", "   * - Case", f"     - {experiment.who}")
    yield from (f"     - {MEASURES[measure].label}" for measure in shown)
    for case in results.cases:
        for server in results.servers:
            yield from (f"   * - {case}", f"     - {server}")
            yield from (f"     - {_cell(results, experiment, server, case, measure)}" for measure in shown)
    yield ""


def _cell(results: Results, experiment: Experiment, server: str, case: str, measure: str) -> str:
    spread = results.spread(server, case, measure)
    if spread is None:
        return "wrong, see below" if results.wrong(server, case) else "-"
    scaled = _scaled(spread, measure)
    told = f"{number(scaled.median)} ({number(scaled.least)} to {number(scaled.most)})"
    ratio = results.ratio(server, experiment.baseline, case, measure) if experiment.baseline else None
    return told if ratio is None else f"{told}, **{number(ratio.median)}**"


def _brief(results: Results, experiment: Experiment, server: str, case: str, measure: str) -> str:
    spread = results.spread(server, case, measure)
    if spread is None:
        return ""
    told = f"{measure} {number(_scaled(spread, measure).median)}"
    ratio = results.ratio(server, experiment.baseline, case, measure) if experiment.baseline else None
    return f"{told} ({number(ratio.median)} of {experiment.baseline})" if ratio else told


def _spaced(name: str) -> str:
    return {"fileSystem": "file system", "seconds": "seconds a load, about"}.get(name, name)

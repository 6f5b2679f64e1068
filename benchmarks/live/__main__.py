"""Learning from clients, measured: `python -m benchmarks.live COMMAND`.

Every command prints a table, or JSON with --json, and ends with code 1 if what it shows does not
hold.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.live import chart, endings, forgers, lag, network, running, soak
from benchmarks.live.players import Misbehaviour
from benchmarks.live.worlds import TASKS, Task, optimum

BAD = Misbehaviour(vanish=0.1, twice=0.05, late=30.0)
LAGS = (0, 1, 4, 16)
KINDS: tuple[lag.Kind, ...] = ("weighted", "clip", "vtrace", "none")
PART = 0.8  # share of the seeds for which a claim must hold
LOST_WITH_CAPS = 0.05  # most of the optimum that may be lost while a tenth of the callers lies
LOST_WITHOUT = 0.2  # least of the optimum that must be lost without caps

Command = Callable[..., Any]


def _options(*wanted: str) -> Callable[[Command], Command]:
    """Options that several commands have."""
    known = {
        "seeds": click.option("--seeds", type=click.IntRange(1), default=5, help="How many runs."),
        "first": click.option("--first-seed", type=click.IntRange(0), default=0, help="Of the first run."),
        "decisions": click.option("--decisions", type=click.IntRange(1), help="[default: the task's]"),
        "set": click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of the job."),
        "picture": click.option("--picture", type=click.Path(path_type=Path), help="Draws it there."),
        "json": click.option("--json", "as_json", is_flag=True, help="Prints JSON."),
    }

    def add(command: Command) -> Command:
        for name in reversed(wanted):
            command = known[name](command)
        return command

    return add


@click.group(context_settings={"show_default": True})
def main() -> None:
    """What a policy learns from its clients, on good and bad networks."""


@main.command("learn")
@click.argument("name", type=click.Choice(sorted(TASKS)))
@click.option("--bad-network", is_flag=True, help="10% vanish, 5% come twice, up to 30 s late.")
@_options("seeds", "first", "decisions", "set", "picture", "json")
def learn(name: str, *, bad_network: bool, **asked: Any) -> None:
    """Learn from 32 clients over gRPC: a server, a trainer and a continuous job."""
    task = _task(name, asked)
    found = []
    for seed in range(asked["first_seed"], asked["first_seed"] + asked["seeds"]):
        with tempfile.TemporaryDirectory(prefix="policyd-live-") as folder:
            one = running.learn(task, seed, Path(folder), BAD if bad_network else Misbehaviour())
        found.append(one)
        click.echo(f"seed {seed}: {one.reached} of {one.decisions}, {one.seconds:.0f} s", err=True)
    title = f"{name} in 32 clients over gRPC" + (", bad network" if bad_network else "")
    _draw(asked, {"seeds": [one.curve for one in found]}, task.target, title)
    columns = ("task", "seed", "target", "reached", "confirmed", "recent", "versions", "vanished", "repeated")
    _end(found, columns, asked, good=_most([one.reached is not None for one in found]))


@main.command("lab")
@click.argument("name", type=click.Choice(sorted(set(TASKS) - {"two-agents"})))
@click.option("--lag", "age", type=click.IntRange(0), default=0, help="Versions behind the newest.")
@click.option("--correction", type=click.Choice(list(KINDS)), default=KINDS[0])
@_options("seeds", "first", "decisions", "set", "picture", "json")
def lab(name: str, *, age: int, correction: lag.Kind, **asked: Any) -> None:
    """Run the learner alone: clients in this process, no server, no files."""
    task = _task(name, asked)
    seeds = range(asked["first_seed"], asked["first_seed"] + asked["seeds"])
    found = [lag.run(task, seed, task.decisions, lag=age, kind=correction) for seed in seeds]
    _draw(asked, {"seeds": [one.curve for one in found]}, task.target, f"{name}: the learner alone")
    columns = ("task", "seed", "lag", "correction", "reached", "final")
    _end(found, columns, asked, good=_most([one.reached is not None for one in found]))


@main.command("lag")
@_options("seeds", "first", "decisions", "set", "picture", "json")
def lags(**asked: Any) -> None:
    """Learn CartPole from versions 0, 1, 4 and 16 updates old, with each correction."""
    task = _task("cartpole", asked)
    found = [
        lag.run(task, seed, task.decisions, lag=age, kind=kind)
        for kind in KINDS
        for age in LAGS
        for seed in range(asked["first_seed"], asked["first_seed"] + asked["seeds"])
    ]
    curves = {
        f"{kind}, {age} old": [one.curve for one in found if (one.correction, one.lag) == (kind, age)]
        for kind in ("weighted", "none")
        for age in LAGS
    }
    _draw(asked, curves, task.target, "CartPole by clients that act with old versions")
    held = [one.reached is not None for one in found if one.correction == "weighted"]
    _end(found, ("lag", "correction", "seed", "reached", "final"), asked, good=_most(held))


@main.command("network")
@click.option("--episodes", type=click.IntRange(1), default=400)
@click.option("--late", type=click.FloatRange(0.1), default=BAD.late, help="Seconds.")
@_options("first", "json")
def networks(*, episodes: int, late: float, **asked: Any) -> None:
    """Compare the batches of the same episodes over a good and a bad network, byte for byte."""
    with tempfile.TemporaryDirectory(prefix="policyd-live-") as folder:
        bad = replace(BAD, late=late)
        found = network.compare(TASKS["cartpole"], asked["first_seed"], Path(folder), bad, episodes)
    columns = ("episodes", "vanished", "repeated", "whole", "cut", "nothing", "different", "same_batch")
    good = found.same_batch and not found.different and found.whole >= episodes - found.vanished
    _end([found], columns, asked, good=good)


@main.command("forgers")
@_options("seeds", "first", "decisions", "set", "json")
def lying(**asked: Any) -> None:
    """Let a tenth of the callers lie about a bandit, with caps on and off."""
    task = _task("bandit", asked)
    seeds = range(asked["first_seed"], asked["first_seed"] + asked["seeds"])
    found = [one for seed in seeds for one in forgers.measure(task, seed, task.decisions)]
    good = all(one.lost <= LOST_WITH_CAPS for one in found if one.case != "liar, caps off")
    good &= all(one.lost >= LOST_WITHOUT for one in found if one.case == "liar, caps off")
    _end(found, ("case", "seed", "value", "lost", "favoured"), asked, good=good)


@main.command("endings")
@_options("json")
def ends(**asked: Any) -> None:
    """Compare the critic's values with the exact ones, for truncated and terminated episodes."""
    found = endings.measure(0)
    _end(found, ("end", "right", "learned", "error"), asked, good=all(one.error < 0.05 for one in found))


@main.command("soak")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=30.0)
@_options("json")
def soaked(*, minutes: float, **asked: Any) -> None:
    """Act, report and learn at full rate: memory, open files and disk must not grow."""
    with tempfile.TemporaryDirectory(prefix="policyd-live-") as folder:
        found = soak.soak(TASKS["bandit"], Path(folder), minutes)
    good = all(one.growth <= soak.MOST_GROWTH for one in found)
    _end(found, ("part", "thirds", "growth", "episodes", "seconds"), asked, good=good)


def _task(name: str, asked: dict[str, Any]) -> Task:
    task = TASKS[name]
    settings = {**task.settings, **dict(item.split("=", 1) for item in asked["settings"])}
    return replace(task, settings=settings, decisions=asked["decisions"] or task.decisions)


def _most(held: Sequence[bool]) -> bool:
    return sum(held) >= PART * len(held)


def _draw(asked: dict[str, Any], curves: dict[str, list[Any]], target: float, title: str) -> None:
    if asked["picture"]:
        chart.draw(curves, target, asked["picture"], title)


def _end(found: Sequence[Any], columns: Sequence[str], asked: dict[str, Any], *, good: bool) -> None:
    """Prints the results, and ends the process."""
    rows = [asdict(one) for one in found if is_dataclass(one) and not isinstance(one, type)]
    if asked["as_json"]:
        click.echo(json.dumps({"holds": good, "optimum": optimum(), "runs": rows}))
    else:
        click.echo(f"| {' | '.join(columns)} |")
        click.echo("|" + "---|" * len(columns))
        for row in rows:
            click.echo(f"| {' | '.join(_cell(row[column]) for column in columns)} |")
    sys.exit(0 if good else 1)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return " ".join(_cell(each) for each in value)
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main()

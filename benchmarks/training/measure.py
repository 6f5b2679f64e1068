"""Runs contestants in turn, one process at a time, and scores what they recorded."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.training.arguments import Run
from benchmarks.training.contestants import CHECKOUT, CONTESTANTS, TASKS, Contestant
from benchmarks.training.limit import env_steps_per_second
from benchmarks.training.recorder import STARTED, Record
from benchmarks.training.results import Point, Results, RunResult
from benchmarks.training.scoring import Scorer

FINAL_EPISODES = 100
PEERS = CHECKOUT / "var/peers-training"


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    contestants: tuple[str, ...]
    env_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: Mapping[str, int]  # step budget of peers, by environment; missing: their full budget
    max_seconds: float  # a run is then stopped
    episodes: int  # episodes that score a snapshot


@dataclass(frozen=True)
class Usage:
    """What a finished process used."""

    cpu_seconds: float
    peak_mb: float


def run(plan: Plan, python_of_peers: Path, folder: Path, environment: dict[str, object]) -> Results:
    """Measures round by round.

    A round runs every contestant once on every task, so that a busy minute affects all of them.
    """
    results = Results(environment)
    for env_id in plan.env_ids:
        for name in (n for n in plan.contestants if not CONTESTANTS[n].peer):
            alone = env_steps_per_second(env_id, CONTESTANTS[name].algorithm)
            results.alone[f"{name}|{env_id}"] = alone
    for seed in plan.seeds:
        for env_id in plan.env_ids:
            for name in plan.contestants:
                if env_id not in (CONTESTANTS[name].env_ids or plan.env_ids):
                    continue
                result = _one(plan, name, env_id, seed, python_of_peers, folder)
                results.runs.append(result)
                print(_line(result), file=sys.stderr, flush=True)
    environment["load average at the end"] = os.getloadavg()
    return results


def _one(plan: Plan, name: str, env_id: str, seed: int, python_of_peers: Path, folder: Path) -> RunResult:
    contestant, task = CONTESTANTS[name], TASKS[env_id]
    steps = plan.steps.get(env_id, 0) if contestant.peer else 0
    out = folder / f"{contestant.algorithm}-{env_id}-{seed}.pickle"
    wanted = Run(contestant.algorithm, env_id, seed, steps, task.gap, task.growth, plan.max_seconds, out)
    python = python_of_peers if contestant.peer else Path(sys.executable)
    usage = _process(contestant, wanted, python)
    record: Record = pickle.loads(out.read_bytes())
    return _scored(plan, name, wanted, record, usage)


def _process(contestant: Contestant, wanted: Run, python: Path) -> Usage:
    environment = {
        **os.environ,
        STARTED: str(time.time()),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONWARNINGS": "ignore",
    }
    command = [str(python), "-m", contestant.module, *wanted.command()]
    process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{contestant.module} on {wanted.env_id} ended with {process.returncode}")
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _scored(plan: Plan, name: str, wanted: Run, record: Record, usage: Usage) -> RunResult:
    scorer = Scorer(wanted.env_id, plan.episodes)
    curve = [
        Point(s.seconds, s.env_steps, scorer.mean_return(s, (wanted.seed, index)))
        for index, s in enumerate(record.snapshots)
    ]
    scorer.close()
    over = (p.seconds for p in curve if p.mean_return >= TASKS[wanted.env_id].threshold)
    final = Scorer(wanted.env_id, FINAL_EPISODES)
    last, seed = record.snapshots[-1], (wanted.seed, len(curve))
    result = RunResult(
        contestant=name,
        env_id=wanted.env_id,
        seed=wanted.seed,
        import_seconds=record.import_seconds,
        seconds=record.end_seconds,
        learning_seconds=record.end_seconds - record.ready_seconds,
        env_steps=record.env_steps,
        cpu_seconds=usage.cpu_seconds,
        peak_mb=usage.peak_mb,
        curve=curve,
        solved_seconds=next(over, None),
        final_greedy=final.mean_return(last, seed, greedy=True),
        final_sampled=final.mean_return(last, seed),
    )
    final.close()
    return result


def _line(result: RunResult) -> str:
    solved = "not solved" if result.solved_seconds is None else f"solved after {result.solved_seconds:.1f} s"
    return (
        f"{result.contestant} on {result.env_id}, seed {result.seed}: {solved}, "
        f"{result.env_steps} steps in {result.seconds:.1f} s, "
        f"at the end {result.final_greedy:.0f} greedy, {result.final_sampled:.0f} sampled"
    )

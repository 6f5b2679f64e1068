"""policyd's own process: the environment's preset and the real loop; nothing is tuned here."""

from __future__ import annotations

from benchmarks.training.arguments import parse
from benchmarks.training.recorder import Recorder, Snapshot
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.networks.mlp import MlpSpec, layer_views


def main() -> None:
    """Trains, and takes snapshots of what would be exported at that moment."""
    run = parse()
    recorder = Recorder(run.gap, run.growth, run.max_seconds)
    recorder.imported()
    settings = {"total_timesteps": str(run.steps)} if run.steps else {}
    config = resolve_config("benchmark", run.env_id, run.algorithm, run.seed, settings)
    info = inspect(config)
    spec = network_specs(config, info.encoder.layout, info.codec.distribution).actor.body
    loop = start(config, info)
    recorder.ready()
    for _ in loop.run():
        if recorder.due():
            recorder.take(_snapshot(loop, spec, recorder.seconds))
        if recorder.over():
            break
    recorder.take(_snapshot(loop, spec, recorder.seconds))
    recorder.save(loop.counters.env_steps, run.out)
    loop.collector.close()


def _snapshot(loop: TrainingLoop, spec: MlpSpec, seconds: float) -> Snapshot:
    views = layer_views(spec, loop.acting.export_parameters())
    scaling = loop.scaling()
    return Snapshot(
        seconds=seconds,
        env_steps=loop.counters.env_steps,
        layers=[(weight.T.copy(), bias.copy()) for weight, bias in views],
        activation=spec.activation,
        mean=None if scaling is None else scaling.mean,
        deviation=None if scaling is None else 1 / scaling.inverse_std,
    )


if __name__ == "__main__":
    main()

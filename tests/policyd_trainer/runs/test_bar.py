"""The bar that people see, on a console that writes to memory."""

import io

from rich.console import Console

from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress
from policyd_trainer.runs.bar import BarReporter


def test_a_message_with_brackets_is_shown_as_it_is() -> None:
    """Text that looks like the console's markup is shown, and raises no error."""
    written = io.StringIO()
    message = "policy: got 'Q', expected a name like [a-z][a-z0-9]{0,62} [/red]"
    with BarReporter(Console(file=written, width=200)) as bar:
        bar.progress(TrainingProgress(phase=TrainingProgress.TRAINING, env_steps=1, total_env_steps=2))
        bar.failure(TrainingFailure(message=message, reason="INVALID_ARGUMENT"))
    assert f"failed: {message} [INVALID_ARGUMENT]" in written.getvalue()

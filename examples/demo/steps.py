"""The steps of the demo; each prints what it did and raises DemoFailure where it did not happen."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from examples.demo.failure import DemoFailure
from examples.stack import Stack
from policyd import PolicyClient
from policyd.errors import NotFound

POLICY = "cartpole"
ENV = "CartPole-v1"
WANTED_RETURN = 475.0
EPISODES = 20
REPORT_SECONDS = 60.0
#: Cart position, cart velocity, pole angle, pole angular velocity.
STATE = np.array([[0.0, 0.0, 0.02, -0.1]], dtype=np.float32)  # [1, 4]: nearly upright


class Demo:
    """Runs the demo against a stack that has no policy yet."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client = PolicyClient(stack.server_address)

    def run(self) -> None:
        """All steps, in order."""
        with self._client:
            self._say_where()
            self._no_policy_yet()
            result = self._retrain()
            self._swapped(result["version"])
            self._play(result["version"])
            self._act()
        self._stack.stop_server()  # while the trainer draws
        self._learning_curve(result["version_path"])

    def _say_where(self) -> None:
        stack = self._stack
        print(f"Two processes run: the trainer (pid {stack.trainer.pid}) at {stack.trainer_address},")
        print(f"the server (pid {stack.server.pid}) at {stack.server_address}.")
        print(f"Models are published in {stack.settings.repository}")

    def _no_policy_yet(self) -> None:
        try:
            self._client.act(STATE, policy=POLICY)
        except NotFound as error:
            print(f"\nThe server runs and has nothing to serve yet: {error.reason}, {error.message}")
        else:
            raise DemoFailure("the server answered although nothing was trained")

    def _retrain(self) -> dict[str, Any]:
        print(f"\nThe server is asked to have {ENV} learned with A2C:")
        outcome = self._policyctl(
            *("retrain", "--policy", POLICY, "--env", ENV, "--algorithm", "a2c"),
            *("--min-return", f"{WANTED_RETURN:g}", "--wait", "--timeout", "5m"),
        )
        result: dict[str, Any] = outcome["job"]["result"]
        evaluation = result["evaluation"]["greedy"]
        print(f"Version {result['version']} is published ({result['digest'][:12]}): mean return")
        print(f"{evaluation['mean']:.1f} over {evaluation['episodes']} greedy episodes.")
        print(f"The gate: {result['promotion_reason']}.")
        return result

    def _swapped(self, version: int) -> None:
        answer = self._client.act(STATE, policy=POLICY)
        if answer.version != version:
            raise DemoFailure(f"the server answers with version {answer.version}, expected {version}")
        print(f"\nHot-swapped: the same server process now answers with version {version}.")

    def _play(self, version: int) -> None:
        print(f"\n{EPISODES} episodes of {ENV}, each step asked of the server:")
        played = self._policyctl("play", "--policy", POLICY, "--env", ENV, "--episodes", str(EPISODES))
        mean, std = played["mean_return"], played["std_return"]
        print(f"Mean return {mean:.1f} ±{std:.1f}, answered by version {played['version']}.")
        if played["version"] != version:
            raise DemoFailure(f"version {played['version']} was played, expected {version}")
        if mean < WANTED_RETURN:
            raise DemoFailure(f"the mean return is {mean:.1f}, expected {WANTED_RETURN:g} or more")

    def _act(self) -> None:
        answer = self._client.act(STATE, policy=POLICY, seed=7)
        left, right = answer.action_probs[0]
        state = ", ".join(f"{number:g}" for number in STATE[0])
        print(f"\nIn the state ({state}) the policy goes left with probability {left:.4f},")
        print(f"right with {right:.4f}; sampled with seed 7: {('left', 'right')[answer.actions[0]]}.")

    def _learning_curve(self, version_path: str) -> None:
        version = self._stack.settings.repository / version_path
        self._report(version)
        print(f"\nThe learning curve: {version / 'learning_curve.png'}")
        print(f"The whole report: {version / 'report.html'}")

    def _report(self, version: Path) -> None:
        """Waits for the report, which the trainer draws in the background.

        Draws it itself if it does not appear.
        """
        ends = time.monotonic() + REPORT_SECONDS
        while not (version / "report.html").exists():
            self._stack.trainer.check()
            if time.monotonic() > ends:
                self._draw(version)
            time.sleep(0.05)  # another process writes the file

    def _draw(self, version: Path) -> None:
        repository = str(self._stack.settings.repository)
        command = [sys.executable, "-m", "policyd_trainer", "report", "--repository", repository]
        command += ["--policy", POLICY, "--version", version.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoFailure(f"there is no report at {version}: {done.stderr.strip()}")

    def _policyctl(self, *arguments: str) -> dict[str, Any]:
        """Runs policyctl with its progress on the terminal. Returns what it printed as JSON."""
        print(f"  $ policyctl --server {self._stack.server_address} {shlex.join(arguments)}", flush=True)
        program = Path(sys.executable).with_name("policyctl")
        command = [str(program), "--server", self._stack.server_address, "--json", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                printed = self._printed(process)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise DemoFailure(f"policyctl ended with exit code {process.returncode}{_detail(printed)}")
        document: dict[str, Any] = json.loads(printed)
        return document

    def _printed(self, process: subprocess.Popen[bytes]) -> bytes:
        """Returns the process's output. Raises ProcessFailure if the trainer or the server ends."""
        while True:
            try:
                return process.communicate(timeout=0.5)[0]
            except subprocess.TimeoutExpired:
                self._stack.check()


def _detail(stdout: bytes) -> str:
    """How the job ended, and the end of its log, if policyctl printed them."""
    if not stdout.strip():
        return ""  # stderr already has its line
    outcome = json.loads(stdout)
    log = outcome["job"].get("failure", {}).get("log_tail", [])
    return "\n".join([f": {outcome['message']}", *(f"  {line}" for line in log)])

"""The configuration file: what it means, and errors with their line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from policyd.cli.config_file import ConfigFile, commit_of
from policyd.cli.exits import Exit
from policyd.cli.retraining import SCHEMA_FILE, json_schema
from policyd.errors import InvalidArgument

GOOD = """\
policy: cartpole
env: CartPole-v1
algorithm: a2c
settings:
  learning_rate: 1e-3
  hidden_sizes: [64, 64]
  device: auto
promotion:
  min_return: 475
"""
ROOT = Path(__file__).parents[3]


def _write(folder: Path, text: str) -> Path:
    path = folder / "retrain.yaml"
    path.write_text(text)
    return path


def test_a_file_is_a_spec(tmp_path: Path) -> None:
    """Each key is in the spec: settings as JSON, and 1e-3 as a number."""
    spec = ConfigFile(_write(tmp_path, GOOD)).retraining({}).to_spec()
    assert (spec.policy, spec.env_id, spec.algorithm, spec.seed) == ("cartpole", "CartPole-v1", "a2c", 0)
    settings = {"learning_rate": "0.001", "hidden_sizes": "[64, 64]", "device": '"auto"'}
    assert dict(spec.settings) == settings
    assert (spec.promotion.promote, spec.promotion.alias, spec.promotion.min_return) == (
        True,
        "champion",
        475,
    )


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """An option replaces one key of the file and keeps the others."""
    overrides = {"seed": 3, "settings": {"device": "cpu"}, "promotion": {"promote": False}}
    plan = ConfigFile(_write(tmp_path, GOOD)).retraining(overrides)
    assert plan.seed == 3
    assert plan.settings == {"learning_rate": 0.001, "hidden_sizes": [64, 64], "device": "cpu"}
    assert (plan.promotion.promote, plan.promotion.min_return) == (False, 475)


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("algorithm: a2c", "algorithm: ppo", 3, "algorithm"),
        ("env: CartPole-v1", "environment: CartPole-v1", 1, "env"),
        ("  min_return: 475", "  min_retrun: 475", 9, "promotion.min_retrun"),
        ("  min_return: 475", "  min_return: high", 9, "promotion.min_return"),
        ("policy: cartpole", "policy: Cart Pole", 1, "policy"),
        ("  device: auto", "  device: auto\n  device: cpu", 8, "settings.device"),
        ("  device: auto", "  device: 2026-11-22", 7, "settings.device"),
        ("  hidden_sizes: [64, 64]", "  hidden_sizes: [64, 64", 7, ""),
    ],
)
def test_an_error_names_line_and_field(tmp_path: Path, old: str, new: str, line: int, field: str) -> None:
    """Wrong values, unknown and duplicate keys, and broken YAML are shown with their lines."""
    with pytest.raises(InvalidArgument) as caught:
        ConfigFile(_write(tmp_path, GOOD.replace(old, new))).retraining({})
    assert f"retrain.yaml:{line}" in caught.value.message
    assert field in caught.value.message


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    """A file that is not a mapping is refused with a readable message."""
    with pytest.raises(InvalidArgument, match="expected a mapping"):
        ConfigFile(_write(tmp_path, text))


def test_what_the_trainer_refuses_is_shown_in_the_file(shell: Any, peer: Any, tmp_path: Path) -> None:
    """A setting that only the trainer can check is an error with its line, too."""
    peer.fail_with = InvalidArgument.of("settings[device]", got="auto", wanted="cpu")
    assert shell("retrain", str(_write(tmp_path, GOOD))) == Exit.BAD_REQUEST
    assert "retrain.yaml:7: settings[device]: got auto, expected cpu" in shell.err


def test_the_same_content_is_the_same_request(tmp_path: Path) -> None:
    """Layout and comments do not change the derived request id. Content and commit do."""
    first = ConfigFile(_write(tmp_path, GOOD)).retraining({})
    same = ConfigFile(_write(tmp_path, "# why\n" + GOOD.replace("1e-3", "0.001"))).retraining({})
    other = ConfigFile(_write(tmp_path, GOOD.replace("475", "480"))).retraining({})
    assert first.request_id("abc") == same.request_id("abc")
    assert len({first.request_id("abc"), first.request_id("def"), other.request_id("abc")}) == 3


def test_the_commit_is_the_checkouts(tmp_path: Path) -> None:
    """The commit in the id is git's. Outside a repository it is empty."""
    assert len(commit_of(ROOT)) == 40
    assert commit_of(tmp_path) == ""


def test_the_schema_is_up_to_date() -> None:
    """`python -m policyd.cli.retraining` has been run since the model changed."""
    assert SCHEMA_FILE.read_text() == json_schema()


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_our_own_files_are_valid(path: Path) -> None:
    """Every file in policies/ passes the editor's schema and the command's check."""
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(SCHEMA_FILE.read_text()))
    assert ConfigFile(path).retraining({}).policy == path.stem


def test_gate_limits_and_start_are_sent(shell: Any, peer: Any, tmp_path: Path) -> None:
    """The gate, the limits, the priority and the initial weights are sent as messages."""
    text = GOOD + "  gate: {criterion: not_worse, margin: 5, mode: greedy}\n"
    text += "init_from: 3\npriority: 7\nlimits: {time_limit: 1h30m, env_steps: 1000}\n"
    assert shell("retrain", str(_write(tmp_path, text))) == Exit.OK
    sent = peer.requests[-1]
    gate = sent.spec.promotion.gate
    assert (gate.criterion, gate.margin, gate.mode) == (gate.NOT_WORSE, 5, gate.GREEDY)
    assert (gate.block_episodes, gate.max_episodes, gate.error_rate) == (0, 0, 0.05)
    assert (sent.spec.init_from, sent.priority) == ("3", 7)
    assert (sent.limits.time_limit.ToSeconds(), sent.limits.env_steps) == (5400, 1000)


def test_numbers_of_episodes_that_equal_the_defaults_are_sent(shell: Any, peer: Any, tmp_path: Path) -> None:
    """The trainer lowers numbers that were not asked for, but not these."""
    text = GOOD + "  gate: {block_episodes: 20, max_episodes: 500}\n"
    assert shell("retrain", str(_write(tmp_path, text))) == Exit.OK
    gate = peer.requests[-1].spec.promotion.gate
    assert (gate.block_episodes, gate.max_episodes) == (20, 500)


def test_a_wrong_length_of_time_is_shown_in_the_file(tmp_path: Path) -> None:
    """A wrong duration is shown with its line, like every other field."""
    with pytest.raises(InvalidArgument, match=r"retrain\.yaml:10: limits\.time_limit: got 'soon'"):
        ConfigFile(_write(tmp_path, GOOD + "limits: {time_limit: soon}\n")).retraining({})

"""`policyctl export`, `policyctl import`, `policyctl report`.

Versions between servers and this machine.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from policy_api.v1 import policy_pb2
from policyd.cli import bundles
from policyd.cli.durations import DURATION
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, json_flag, pass_session, policy_option, version_options
from policyd.client.client import PolicyClient
from policyd.errors import InvalidArgument, NotFound
from policyd.temporary import TemporaryFolder

_PATH = click.Path(path_type=Path)


@click.command("export")
@policy_option
@version_options
@click.option(
    "--output",
    "-o",
    type=_PATH,
    help="A folder, or a file that ends in .tar; it must not exist.  [default: POLICY-VERSION.tar]",
)
@json_flag
@pass_session
def export(
    session: Session, policy: str, version: int | None, alias: str | None, output: Path | None
) -> None:
    """Copy a version from the server to this machine.

    The copy holds its model, metadata, learning curve and report.
    """
    with session.client() as client:
        if output is None:
            found = client.get_policy(policy)
            version = _number(found, version, alias)
            policy, alias, output = found.name, None, Path(f"{found.name}-{version}.tar")
        with bundles.written(output) as folder:
            contents = client.export_version(folder, policy, version=version, alias=alias)
            bundles.write_contents(folder, contents)
    document = {"policy": contents.policy, "version": contents.version, "output": str(output)}
    session.show(document, f"{contents.policy} version {contents.version} is in {output}")


@click.command("report")
@policy_option
@version_options
@click.option("--output", "-o", type=_PATH, help="The HTML file.  [default: POLICY-VERSION.html]")
@click.option("--wait", type=DURATION, help="How long to wait for a report that is being drawn.")
@json_flag
@pass_session
def report(
    session: Session,
    policy: str,
    version: int | None,
    alias: str | None,
    output: Path | None,
    wait: float | None,
) -> None:
    """Fetch the training report of a version.

    It is one HTML page that holds its pictures.
    """
    with session.client() as client, TemporaryFolder("reports") as folder:
        ends = time.monotonic() + (wait or 0.0)
        while (contents := _report(client, folder.path, policy, version, alias, ends)) is None:
            time.sleep(1)
        output = output or Path(f"{contents.policy}-{contents.version}.html")
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes((folder.path / "report.html").read_bytes())
    document = {"policy": contents.policy, "version": contents.version, "output": str(output)}
    session.show(document, f"the report of {contents.policy} version {contents.version} is in {output}")


def _report(
    client: PolicyClient, folder: Path, policy: str, version: int | None, alias: str | None, ends: float
) -> policy_pb2.VersionContents | None:
    """Fetches the report into `folder` and returns the version's contents.

    Returns None if the report is not drawn yet and there is time left until `ends`.
    """
    try:
        return client.export_version(folder, policy, version=version, alias=alias, files=["report.html"])
    except NotFound as error:
        if error.reason != "NO_SUCH_FILE" or time.monotonic() >= ends:
            raise
        return None


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--policy", default="", help="The policy to publish to.  [default: as SOURCE says]")
@click.option("--env", "env_id", help="Of a model without metadata: its environment, EnvId or module:EnvId.")
@click.option("--alias", help="Point this alias at the version afterwards.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="MEANING=NAME",
    help="Of a model without metadata: what an output of its graph means, such as action_logits=y.",
)
@json_flag
@pass_session
def import_(
    session: Session,
    source: Path,
    policy: str,
    env_id: str | None,
    alias: str | None,
    outputs: tuple[str, ...],
) -> None:
    """Publish an exported version, or an ONNX model, as a policy's next version.

    SOURCE is what `policyctl export` wrote, or an ONNX model.

    The server checks the files and computes with the model before it publishes it. The same SOURCE
    again is the same version.
    """
    if source.suffix == ".onnx":
        answer = _import_model(session, source, policy, env_id, outputs)
    else:
        with bundles.opened(source) as (folder, contents), session.client() as client:
            contents.policy = policy or contents.policy
            answer = client.import_version(contents, folder)
    imported = answer.version
    name = imported.metadata.policy
    lines = [
        f"{name} version {imported.version} {'was imported before' if answer.existed else 'is published'}"
    ]
    document = {**as_json(answer), "policy": name}
    if alias is not None:
        with session.client() as client:
            moved = client.set_alias(name, imported.version, alias=alias, reason=f"imported {source.name}")
        lines.append(f"{moved.alias.name} is version {moved.alias.version} (generation {moved.generation})")
        document["alias"] = as_json(moved.alias)
    session.show(document, "\n".join(lines))


def _import_model(
    session: Session, source: Path, policy: str, env_id: str | None, outputs: tuple[str, ...]
) -> policy_pb2.ImportVersionResponse:
    from policyd.cli.onnx_models.prepare import prepared  # noqa: PLC0415 -- needs the packages onnx and gymnasium

    if not policy:
        raise InvalidArgument.of("--policy", got="no name", wanted="the policy to publish to")
    with TemporaryFolder("imports") as folder, session.client() as client:
        contents = prepared(source, folder.path, policy=policy, env_id=env_id, outputs=_pairs(outputs))
        return client.import_version(contents, folder.path)


def _pairs(outputs: tuple[str, ...]) -> dict[str, str]:
    pairs = [output.partition("=") for output in outputs]
    for meaning, equals, name in pairs:
        if not meaning or not equals or not name:
            raise InvalidArgument.of("--output", got=f"{meaning}{equals}{name}", wanted="MEANING=NAME")
    return {meaning: name for meaning, _, name in pairs}


def _number(found: policy_pb2.Policy, version: int | None, alias: str | None) -> int:
    if version is not None:
        return version
    named = {a.name: a.version for a in found.aliases}
    if (alias or "champion") not in named:
        there = ", ".join(sorted(named)) or "none"
        raise InvalidArgument.of("alias", got=repr(alias or "champion"), wanted=f"one of: {there}")
    return named[alias or "champion"]

"""Renders deploy/kubernetes with `kubectl kustomize` and validates it strictly, offline.

python deploy/kubernetes/validate.py      exit code 1 and what is wrong, by folder and release

Kubernetes' own kinds are checked against the schemas of several releases, where unknown fields are
errors. There are no schemas here of kinds that an operator brings (RayCluster, ServiceMonitor). The
pods in them are checked as pods.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).parent
RELEASES = ("1.31", "1.33", "1.35", "1.37")
OPERATORS = ("ray.io/", "monitoring.coreos.com/")  # resources of operators, for which there is no schema here


def kustomizations() -> list[Path]:
    """Returns the base and every overlay."""
    return sorted(file.parent for file in FOLDER.rglob("kustomization.yaml"))


def rendered(folder: Path) -> list[dict[str, Any]]:
    """Returns the resources that would be applied."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:  # kubectl writes a line to stderr for a deprecated field
        raise SystemExit(f"{folder}: {done.stderr.strip()}")
    return list(yaml.safe_load_all(done.stdout))


def problems(resource: dict[str, Any], release: str) -> Iterator[str]:
    """Yields what this release would refuse in a resource."""
    name = f"{resource['kind']} {resource['metadata']['name']}"
    parts = _pods(resource) if resource["apiVersion"].startswith(OPERATORS) else [resource]
    for part in parts:
        try:
            kubernetes_validate.validate(part, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message[:300]}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{name}: Kubernetes {release} has no {part['apiVersion']} {part['kind']}"


def _pods(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the pods that a RayCluster creates."""
    spec = resource["spec"]
    groups = [spec[key] for key in ("headGroupSpec",) if key in spec] + spec.get("workerGroupSpecs", [])
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}} for _ in groups]
    return [pod | {"spec": group["template"]["spec"]} for pod, group in zip(pods, groups, strict=True)]


def main() -> None:
    """Validates everything for every release."""
    found = 0
    for folder in kustomizations():
        resources = rendered(folder)
        for release in RELEASES:
            for problem in (each for resource in resources for each in problems(resource, release)):
                sys.stdout.write(f"{folder.relative_to(FOLDER)}, Kubernetes {release}: {problem}\n")
                found += 1
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

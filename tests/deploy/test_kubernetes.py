"""What deploy/kubernetes promises; `make check` validates all of it against several releases."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
RELEASE = "1.35"
Resources = dict[tuple[str, str], dict[str, Any]]

specification = importlib.util.spec_from_file_location("validate", FOLDER / "validate.py")
assert specification is not None
assert specification.loader is not None
validate = importlib.util.module_from_spec(specification)
specification.loader.exec_module(validate)


def _rendered(folder: str) -> Resources:
    resources = validate.rendered(FOLDER / folder)
    return {(each["kind"], each["metadata"]["name"]): each for each in resources}


@pytest.fixture(scope="module")
def base() -> Resources:
    return _rendered("base")


@pytest.fixture(scope="module")
def on_ray() -> Resources:
    return _rendered("overlays/ray")


@pytest.mark.parametrize("name", ["server", "trainer"])
def test_a_pod_has_no_privileges_and_is_probed_over_grpc(base: Resources, name: str) -> None:
    """Pods are not root, have no capabilities, a read-only root, limits and a gRPC probe."""
    pod = base["Deployment", name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert "grpc" in container["readinessProbe"]


def test_never_two_trainers(base: Resources) -> None:
    """Only one trainer owns the jobs: an update ends the old one before it starts the new one."""
    spec = base["Deployment", "trainer"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_clients_get_the_address_of_every_server(base: Resources) -> None:
    """The service is headless, and only the autoscaler says how many servers there are."""
    assert base["Service", "server"]["spec"]["clusterIP"] == "None"
    assert "replicas" not in base["Deployment", "server"]["spec"]
    assert base["HorizontalPodAutoscaler", "server"]["spec"]["scaleTargetRef"]["name"] == "server"


def test_machines_of_the_cluster_share_object_storage(on_ray: Resources) -> None:
    """Workers have the image, the variables and the secrets of the trainer.

    Checkpoints are beside the versions, and nothing mounts a volume.
    """
    worker = on_ray["RayCluster", "jobs"]["spec"]["workerGroupSpecs"][0]["template"]["spec"]
    trainer = on_ray["Deployment", "trainer"]["spec"]["template"]["spec"]
    assert worker["containers"][0]["envFrom"] == trainer["containers"][0]["envFrom"]
    assert worker["containers"][0]["image"] == trainer["containers"][0]["image"]
    variables = {each["name"]: each.get("value") for each in trainer["containers"][0]["env"]}
    assert variables["POLICYD_RUNS"] == ""
    assert "volumes" not in worker
    assert [each["name"] for each in trainer["volumes"]] == ["temporary"]
    assert [kind for kind, _ in on_ray if kind == "PersistentVolumeClaim"] == []


@pytest.mark.parametrize(("overlay", "tag"), [("ray", "0.2.0-ray"), ("gpu", "0.2.0-cuda")])
def test_an_overlay_keeps_its_image_with_another_registry(tmp_path: Path, overlay: str, tag: str) -> None:
    """The guide's command changes the registry of all images, and only that."""
    root = FOLDER.parents[1]
    shutil.copytree(FOLDER, tmp_path / "deploy" / "kubernetes")
    guide = (root / "docs/guide/more-than-one-machine.md").read_text()
    (command,) = (line.strip() for line in guide.splitlines() if "grep -rl registry" in line)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    rendered = json.dumps(validate.rendered(tmp_path / "deploy/kubernetes/overlays" / overlay))
    images = set(re.findall(r'"image": "([^"]+)"', rendered))
    assert images == {"my.registry/policyd-server:0.2.0", f"my.registry/policyd-trainer:{tag}"}


def test_a_wrong_field_is_found(base: Resources, on_ray: Resources) -> None:
    """A wrong field is found in a kind of Kubernetes, and in a pod inside a kind of an operator."""
    server = copy.deepcopy(base["Deployment", "server"])
    assert list(validate.problems(server, RELEASE)) == []
    server["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in next(validate.problems(server, RELEASE))
    cluster = copy.deepcopy(on_ray["RayCluster", "jobs"])
    assert list(validate.problems(cluster, RELEASE)) == []
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert "volumeMount" in next(validate.problems(cluster, RELEASE))


def test_every_variable_is_a_setting(on_ray: Resources) -> None:
    """Every variable in the manifests is a flag that the guide lists."""
    settings = (FOLDER.parents[1] / "docs/guide/settings.md").read_text()
    names: set[str] = set()
    for (kind, _), resource in on_ray.items():
        if kind == "Deployment":
            (container,) = resource["spec"]["template"]["spec"]["containers"]
            names |= {each["name"] for each in container["env"]}
        elif kind == "ConfigMap" and "POLICYD_REPOSITORY" in resource["data"]:
            names |= set(resource["data"])
    assert names
    flags = {f"`--{name[8:].lower().replace('_', '-')}`" for name in names if name.startswith("POLICYD_")}
    assert {flag for flag in flags if flag not in settings} == set()

"""The peers, each in an environment of its own, never in the project's.

The environments stay in ~/.cache/policyd-bench (POLICYD_BENCH_CACHE).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from benchmarks.serving import processes
from benchmarks.serving.policy import ACTIONS, OBSERVATION_SIZE, POLICY
from benchmarks.serving.processes import Running

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("POLICYD_BENCH_CACHE", "~/.cache/policyd-bench")).expanduser()
REQUIREMENTS = {
    "mlserver": ("mlserver==1.7.1", "onnxruntime==1.32.0"),
    "triton": ("nvidia-pytriton==0.7.0", "onnxruntime==1.32.0"),
}


def install(peer: str) -> Path:
    """The folder of the peer's environment. Makes it if it is missing."""
    folder = CACHE / peer
    done = folder / "installed"
    wanted = "\n".join(REQUIREMENTS[peer])
    if done.exists() and done.read_text() == wanted:
        return folder
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *REQUIREMENTS[peer]], check=True)
    if peer == "triton":
        _place_stub(folder)
    done.write_text(wanted)
    return folder


def start_mlserver(folder: Path, model: Path) -> Running:
    """MLServer with the policy as a custom runtime in its own process (`parallel_workers: 0`)."""
    peer = install("mlserver")
    port, http_port = processes.free_port(), processes.free_port()
    folder.mkdir()
    shutil.copy(HERE / "peer_mlserver.py", folder)
    settings = {
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": http_port,
        "metrics_endpoint": None,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    implementation = {"name": POLICY, "implementation": "peer_mlserver.PolicyRuntime"}
    (folder / "model-settings.json").write_text(json.dumps(implementation))
    running = processes.start(
        [[str(peer / "bin/mlserver"), "start", "."]],
        log=folder / "log",
        env={"BENCHMARK_MODEL": str(model)},
        cwd=folder,
    )
    running.address = f"127.0.0.1:{port}"
    return running


def start_triton(folder: Path, model: Path, *, dynamic_batching: bool) -> Running:
    """Triton's server binary. Its Python backend calls ONNX Runtime."""
    packages = _packages(install("triton"))
    triton = packages / "pytriton/tritonserver"
    port, http = processes.free_port(), processes.free_port()
    version = folder / "models" / POLICY / "1"
    version.mkdir(parents=True)
    shutil.copy(HERE / "peer_triton.py", version / "model.py")
    (version.parent / "config.pbtxt").write_text(_triton_config(dynamic_batching=dynamic_batching))
    libpython = sysconfig.get_config_var("LIBDIR")
    running = processes.start(
        [
            [
                *(str(triton / "bin/tritonserver"), f"--model-repository={folder / 'models'}"),
                *(f"--backend-directory={triton / 'backends'}", "--grpc-address=127.0.0.1"),
                *(f"--grpc-port={port}", "--allow-metrics=false"),
                *("--http-address=127.0.0.1", f"--http-port={http}"),
            ]
        ],
        log=folder / "log",
        env={
            "BENCHMARK_MODEL": str(model),
            "BENCHMARK_PACKAGES": str(packages),
            "LD_LIBRARY_PATH": f"{libpython}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        },
        cwd=folder,
    )
    running.address, running.http = f"127.0.0.1:{port}", f"127.0.0.1:{http}"
    return running


def _triton_config(*, dynamic_batching: bool) -> str:
    return (
        'backend: "python"\nmax_batch_size: 4096\n'
        f'input [ {{ name: "observations" data_type: TYPE_FP32 dims: [ {OBSERVATION_SIZE} ] }} ]\n'
        f'output [ {{ name: "action_probs" data_type: TYPE_FP32 dims: [ {ACTIONS} ] }},\n'
        '  { name: "value" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } } ]\n'
        "instance_group [ { kind: KIND_CPU count: 1 } ]\n"
        + ("dynamic_batching { }\n" if dynamic_batching else "")
    )


def _place_stub(environment: Path) -> None:
    """Puts the stub for this Python version where the backend looks for it, as PyTriton does."""
    triton = _packages(environment) / "pytriton/tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, triton / "backends/python/triton_python_backend_stub")


def _packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python3.*/site-packages"))

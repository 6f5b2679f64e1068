"""A client on gRPC's C++ library, built from the .proto files, is answered as one of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from tests.contract.conftest import Publish, StartServer

ROOT = Path(__file__).parents[2]
PROTOS = [f"policy_api/v1/{name}.proto" for name in ("policy", "artifact", "gate")]
POLICY = "cartpole"


def _has_grpc() -> bool:
    if any(shutil.which(tool) is None for tool in ("g++", "protoc", "grpc_cpp_plugin", "pkg-config")):
        return False
    return not subprocess.run(["pkg-config", "--exists", "grpc++"], check=False).returncode


pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not _has_grpc(),
        reason="no gRPC for C++ (Debian's libgrpc++-dev, protobuf-compiler-grpc, pkg-config, g++)",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client."""
    folder = tmp_path_factory.mktemp("cpp")
    plugin = f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}"
    generate = ["protoc", f"--proto_path={ROOT / 'proto'}", f"--cpp_out={folder}", f"--grpc_out={folder}"]
    subprocess.run([*generate, plugin, *PROTOS], check=True, timeout=60)
    found = ["pkg-config", "--cflags", "--libs", "grpc++", "protobuf"]
    flags = subprocess.run(found, check=True, capture_output=True, text=True).stdout.split()
    sources = [Path(__file__).with_name("foreign_client.cc"), *folder.glob("policy_api/v1/*.cc")]
    built = folder / "client"
    compiling = ["g++", "-O0", "-std=c++17", f"-I{folder}", "-o", str(built), *map(str, sources), *flags]
    subprocess.run(compiling, check=True, timeout=300)
    return built


def _request(seed: int) -> ActRequest:
    return ActRequest(policy=POLICY, observations=FloatArray(values=[0.1, 0.2, 0.3, 0.4]), seed=seed)


def test_each_answer_is_that_of_our_own_client(
    program: Path, start_server: StartServer, publish: Publish
) -> None:
    """A request, an unknown policy, 64 at once and a stream give our client's results."""
    publish()
    server = start_server()
    done = subprocess.run(
        [str(program), server.address, POLICY], capture_output=True, text=True, timeout=120, check=True
    )
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    told = [
        (line[0], int(line[1]), ActResponse.FromString(bytes.fromhex("".join(line[2:])))) for line in lines
    ]

    def ours(seed: int) -> ActResponse:
        answer: ActResponse = server.policy.Act(_request(seed), timeout=60)
        return answer

    assert told[:2] == [("one", 0, ours(7)), ("unknown", 5, ActResponse())]
    assert told[2:66] == [("many", 0, ours(seed)) for seed in range(64)]
    assert told[66:] == [*(("stream", 0, ours(seed)) for seed in range(5)), ("ended", 0, ActResponse())]

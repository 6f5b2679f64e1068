"""Generates the contract's Python code beside its .proto files, or checks that it is up to date.

python proto/generate.py            writes the code
python proto/generate.py --check    exit code 1 and the names of the files that differ
"""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PROTOS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("policy_api/v1/*.proto"))
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Runs protoc over every .proto file, and writes the code into `target`."""
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={ROOT}",
        f"--proto_path={well_known}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--plugin=protoc-gen-mypy={Path(sys.executable).with_name('protoc-gen-mypy')}",
        f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).with_name('protoc-gen-mypy_grpc')}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *PROTOS,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


def differing() -> list[str]:
    """Returns the names of files whose committed text differs from what protoc writes now."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {p.relative_to(scratch): p.read_text() for p in Path(scratch).rglob("*.py*")}
    committed = {p.relative_to(ROOT) for p in ROOT.rglob("*_pb2*") if p.name.endswith(SUFFIXES)}
    stale = [p for p, text in fresh.items() if p not in committed or (ROOT / p).read_text() != text]
    return sorted(map(str, {*stale, *(committed - fresh.keys())}))


def main() -> int:
    """Runs the command line. Returns its exit code."""
    if "--check" not in sys.argv:
        generate(ROOT)
        return 0
    for name in (stale := differing()):
        sys.stderr.write(f"proto/{name} is not what its .proto file generates: run `make proto`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

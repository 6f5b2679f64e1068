"""Every test of the contract asks a real server process."""

from tests.contract.recording import recording_server, world
from tests.policyd_server.process import Publish, ServerProcess, StartServer

__all__ = ["Publish", "ServerProcess", "StartServer", "recording_server", "world"]

"""Every test of the contract asks a real server process."""

from tests.policyd_server.process import Publish, ServerProcess, StartServer

__all__ = ["Publish", "ServerProcess", "StartServer"]

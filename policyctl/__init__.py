"""The command line and the Python client library.

from policyctl import PolicyClient

with PolicyClient("127.0.0.1:50051") as client:
    answer = client.act([[0.0, 0.1, 0.0, -0.1]], policy="cartpole")
    print(answer.actions[0], answer.action_probs[0], answer.version)
"""

from policyctl.acting import Actions
from policyctl.aio import AsyncPolicyClient
from policyctl.client import PolicyClient
from policyctl.streaming import ActStream, AsyncActStream

__all__ = ["ActStream", "Actions", "AsyncActStream", "AsyncPolicyClient", "PolicyClient"]

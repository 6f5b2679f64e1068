"""PolicyClient: acting, policies, aliases and training jobs of one policyd server."""

from __future__ import annotations

from typing import Unpack

from policyd.client.acting import Actions, ActOptions, Observations
from policyd.client.address import DEFAULT_ADDRESS
from policyd.client.channel import DEFAULT_TIMEOUT
from policyd.client.connection import Closing, Connection
from policyd.client.credentials import ANONYMOUS, Credentials
from policyd.client.services.experience import ExperienceCalls
from policyd.client.services.policies import PolicyCalls
from policyd.client.services.traffic import TrafficCalls
from policyd.client.services.training import TrainingCalls
from policyd.client.streaming import ActStream


class PolicyClient(PolicyCalls, ExperienceCalls, TrafficCalls, TrainingCalls, Closing):
    """A connection to one server. Threads may share it. It reconnects by itself.

    Every method raises the errors of `policyd.errors`, and TypeError for an option that does not
    exist. A `timeout` is in seconds and applies to one call. None means the client's own timeout, 0
    means that no time is left (nothing is sent), and `math.inf` means no limit.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        """`address`: HOST:PORT or unix:PATH. The first call connects."""
        self._connection = Connection(address, timeout, credentials)

    @property
    def address(self) -> str:
        """The server's address."""
        return self._connection.address

    def close(self) -> None:
        """Closes the connection. Calls under way are cancelled."""
        self._connection.close()

    def act(
        self, observations: Observations, *, timeout: float | None = None, **options: Unpack[ActOptions]
    ) -> Actions:
        """Returns one action for each observation of [batch, ...].

        The first axis is the batch. One flat observation [n] is a batch of one. Lists, arrays and
        tensors on the CPU are accepted. `options` are those of ActOptions: policy, version or
        alias, seed, first_row, deterministic, action_mask, temperature, traffic_key, space. With
        `space`, the observations are what the environment returns: dicts, images, whatever the
        space has.

        Raises:
            InvalidArgument: the policy does not accept the observations or an option. The error
                names the field.
            NotFound: no such policy, version or alias.
        """
        return self._connection.act(observations, timeout, options)

    def stream(self, *, pin_version: bool = False, timeout: float | None = None) -> ActStream:
        """Opens a stream for a loop: requests and responses in order, over one call.

        With `pin_version`, the version that chooses the first actions chooses all of them, even if
        another version is promoted meanwhile. `timeout` limits the whole stream, in seconds; None:
        no limit.
        """
        return ActStream(self._connection, pin_version=pin_version, timeout=timeout)

"""PolicyService against a real server: what the others in this folder's package do not cover."""

from __future__ import annotations

import numpy as np
import pytest

from policyd import InvalidArgument, PolicyClient, __version__
from tests.policyd_server.process import Publish, StartServer


def test_the_server_tells_its_version(publish: Publish, start_server: StartServer) -> None:
    """A client can read which release serves, and how large a batch may be."""
    publish()
    with PolicyClient(start_server("--max-batch-rows", "32").address, timeout=60) as client:
        told = client.get_server_info()
    assert (told.version, told.max_batch_rows) == (__version__, 32)


@pytest.mark.parametrize("shape", [(4, 10), (2, 8)])
def test_rows_are_not_regrouped(publish: Publish, start_server: StartServer, shape: tuple[int, ...]) -> None:
    """40 numbers in another shape than 10 rows are refused by name, and the stream goes on."""
    publish()
    with PolicyClient(start_server().address, timeout=60) as client, client.stream() as stream:
        for act in (client.act, stream.act):
            with pytest.raises(InvalidArgument, match="observations: got shape"):
                act(np.zeros(shape, np.float32))
            assert act(np.zeros((2, 4), np.float32)).actions.shape == (2,)

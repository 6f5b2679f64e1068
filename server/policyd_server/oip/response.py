"""Ticket to ModelInferResponse.

Raw contents always, one for each output, in the order of the outputs.
"""

from __future__ import annotations

from tritonclient.grpc import service_pb2 as pb

from policyd_server.acting.ticket import Decision
from policyd_server.oip.request import Wanted
from policyd_server.oip.tensors import COLUMN_OF


def encode(wanted: Wanted, decision: Decision, request_id: str) -> pb.ModelInferResponse:
    """Returns the response, with what is needed to verify it: the seed and the version's digest."""
    ticket = wanted.ticket
    response = pb.ModelInferResponse(
        model_name=ticket.model.policy, model_version=str(ticket.model.version), id=request_id
    )
    response.parameters["seed"].uint64_param = ticket.seed
    response.parameters["digest"].string_param = ticket.model.digest
    for tensor in wanted.outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=(ticket.rows, *tensor.shape))
        response.raw_output_contents.append(decision.columns[COLUMN_OF.get(tensor.name, tensor.name)])
    return response

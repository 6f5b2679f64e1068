"""HTTP and JSON: one process beside the workers, which calls the same services as gRPC does.

`--http HOST:PORT` makes the server start this process (`keeper`). It holds no model. It translates
a request into a call of the services that exist, over the workers' private Unix sockets (`link`,
`calls`), and the answer back. So the guard, the audit log, the metrics and every check of a field
are those of gRPC. One process is enough for several workers: it takes them in turn. It is not one
of them, because what HTTP costs (JSON that is parsed at once, pages, slow readers) would hold up
the threads that answer `Act`.

**To add a group of routes**, write a function and add it to `GROUPS` in `groups.py`:

    GET_POLICY = Method.named("policy_api.v1.PolicyService", "GetPolicy")

    def routes(gateway: Gateway) -> Sequence[BaseRoute]:
        async def show(request: Request) -> Response:
            message = policy_pb2.GetPolicyRequest(policy=request.path_params["policy"])
            answer = await gateway.calls.unary(request, GET_POLICY, message)
            return JSONResponse(to_json(answer))
        return [Route("/mine/{policy}", show)]

- `gateway.calls.unary` and `.stream` (`calls.py`) call a service as the caller of the HTTP request:
  they pass on its token or certificate, its address and its request id. They raise
  `policyd.errors`. Whatever a handler raises becomes the JSON of `errors.py` with the status that
  fits, so handlers need no `try`.
- **Who may do what**: the services decide, by the caller's roles. To know it before (to grey out a
  button), call `gateway.access.may(request, "/policy_api.v1.PolicyService/SetAlias")`. For what no
  service guards (a file of the repository), call `gateway.access.admit(request, METHOD)` first: it
  raises Unauthenticated or PermissionDenied. `gateway.access.caller(request)` is the authenticated
  caller; None: no callers are configured.
- A session of its own sets `request.state.authorization = "Bearer TOKEN"` before it calls. Without
  it the header `Authorization` counts.
- **Server-sent events**: `return await events.stream(gateway, source)`, where `source` is an
  asynchronous iterator of `Event`. It sees to slow readers, readers that are gone, heartbeats,
  shutdown and the number of streams. Pages share their events: `page/live.py`.
- **Bodies**: `await bodies.read(request, limit)` and `bodies.json_of(text)`. Never `request.body()`
  or `request.form()`, which have no bound.
- Requests that change something and come from another web site are refused before any handler
  (`same_site.py`).
- **Hot routes** (`endpoints.py`, `hot.py`): the protocol of the connection answers a small request
  to `:act` or `infer` itself, by the same handler and without ASGI. Its call goes to a worker's
  front over `front_link.py`. A request whose head came before is not even parsed (`quick.py`,
  `quick_protocol.py`). Everything else goes through Starlette and gRPC's own client (`link.py`).
- `gateway.settings` are the server's settings: the repository's place, the address of the metrics.
"""

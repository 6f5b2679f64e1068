"""The project's own services as JSON below /v1, and the OpenAPI document that describes them.

`operations` declares every path once; the routes and the document are both made from it.
"""

"""The gRPC services: each method decodes, calls the domain, encodes."""

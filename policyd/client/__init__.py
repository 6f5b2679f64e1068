"""The client library: acting, streams, policies, aliases and training jobs of one server."""

"""What the server tells Prometheus about calls of models, versions and observations."""

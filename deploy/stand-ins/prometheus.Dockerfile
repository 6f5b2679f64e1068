# Debian's Prometheus, for machines that reach no image registry (tests/e2e/containers).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists /etc/prometheus \
 && install -d -o 10002 -g 10002 /prometheus
USER 10002:10002
ENTRYPOINT ["prometheus"]

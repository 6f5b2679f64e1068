# Debian's Postgres with the features of the official image that the profile uses, for machines
# that reach no image registry (tests/e2e/containers).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql \
 && rm -rf /var/lib/apt/lists /var/lib/postgresql \
 && install -d -o postgres -g postgres /var/lib/postgresql /var/lib/postgresql/data \
 && ln -s /usr/lib/postgresql/*/bin /usr/local/pgsql
COPY postgres-entrypoint /usr/local/bin/
ENV PATH=/usr/local/pgsql:$PATH PGDATA=/var/lib/postgresql/data/pgdata
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entrypoint"]

# The inference server: ONNX Runtime and gRPC, no torch. Build from the top of the checkout:
#   docker build -f deploy/server.Dockerfile -t policyd-server .
# BASE may pin the base image by its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

# Only a change of requirements makes the next stage anew, not every change of pyproject.toml.
FROM ${BASE} AS requirements
COPY pyproject.toml deploy/requirements.py /
RUN python /requirements.py /pyproject.toml server otel > /requirements.txt

FROM ${BASE} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/policyd
# wheel[s]: the folder may be missing; where it holds files, they come first and an air-gapped build needs no index.
COPY constraints.txt wheel[s] /build/
COPY --from=requirements /requirements.txt /build/
RUN python -m pip --python /opt/policyd/bin/python install --find-links /build \
      --constraint /build/constraints.txt --requirement /build/requirements.txt \
 && python -m pip install --find-links /build --constraint /build/constraints.txt hatchling cython setuptools
# What serving never loads: converters, quantisers, tests, headers.
RUN cd /opt/policyd/lib/python3*/site-packages \
 && rm -rf onnxruntime/tools onnxruntime/transformers onnxruntime/quantization onnxruntime/datasets \
           numpy/f2py numpy/_core/include numpy/_core/lib \
 && find . -type d \( -name tests -o -name testing -path '*/sympy/*' \) -prune -exec rm -rf {} +

# server/compiled takes a C compiler and the headers of Python. COMPILED=no does without.
FROM dependencies AS application
ARG COMPILED=yes
RUN set -eu; \
    headers=$(python -c 'import sysconfig; print(sysconfig.get_config_var("INCLUDEPY"))'); \
    missing="$([ -f "$headers/Python.h" ] || echo libpython3-dev) $(command -v gcc >/dev/null || echo gcc libc6-dev)"; \
    if [ "${COMPILED}" != no ] && [ "$missing" != " " ]; then \
      apt-get update; apt-get install --yes --no-install-recommends $missing; \
    fi
COPY pyproject.toml hatch_build.py LICENSE README.md /source/
COPY proto/policy_api /source/proto/policy_api
COPY repository /source/repository
COPY server /source/server
COPY policyctl /source/policyctl
RUN mkdir -p /source/trainer \
 && python -m pip install --no-deps --no-build-isolation --target /app /source \
 && rm -rf /app/trainer /app/bin
RUN [ "${COMPILED}" = no ] || PYTHONPATH=/app /opt/policyd/bin/python -c 'import server.compiled.choice, server.compiled.rows'

# The base without what a running service never needs (pip, package lists, documentation), as one layer.
FROM ${BASE} AS root
RUN groupadd --gid 10001 policyd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/policyd policyd \
 && install -d -o policyd -g policyd /var/lib/policyd /var/lib/policyd/repository \
 && rm -rf /var/cache/apt /var/lib/apt/lists /var/log/* /usr/share/doc /usr/share/man /usr/share/locale \
           /usr/share/python-wheels /usr/lib/python3/dist-packages /usr/local/lib/python3*/ensurepip \
           /usr/local/lib/python3*/site-packages /usr/local/bin/pip* \
           /usr/bin/perl* /usr/lib/*-linux-gnu/perl-base /usr/share/perl5

FROM scratch
COPY --from=root / /
COPY --from=dependencies /opt/policyd /opt/policyd
COPY --from=application /app /app
ENV PATH=/opt/policyd/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    POLICYD_LISTEN=0.0.0.0:50051 \
    POLICYD_METRICS=0.0.0.0:9464 \
    POLICYD_REPOSITORY=/var/lib/policyd/repository
WORKDIR /var/lib/policyd
USER 10001:10001
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="policyd server" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "policy_api.health"]
ENTRYPOINT ["python", "-m", "server"]

# The trainer: PyTorch, Gymnasium, the job table. Build from the top of the checkout:
#   docker build -f deploy/trainer.Dockerfile -t policyd-trainer .                         (CPU)
#   docker build -f deploy/trainer.Dockerfile -t policyd-trainer --build-arg TORCH=cuda .  (NVIDIA)
# A torch wheel in wheels/ (`make wheels`) is taken before any index, whatever TORCH says.
# BASE may pin the base image by its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

# Only a change of requirements makes the next stage anew, not every change of pyproject.toml.
FROM ${BASE} AS requirements
COPY pyproject.toml deploy/requirements.py /
RUN python /requirements.py /pyproject.toml trainer otel postgres > /requirements.txt

FROM ${BASE} AS dependencies
ARG TORCH=cpu
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/policyd
# wheel[s]: the folder may be missing; where it holds files, they come first and an air-gapped build needs no index.
COPY constraints.txt wheel[s] /build/
# torch alone: the largest layer changes only with its pin.
RUN set -eu; \
    pin=$(grep '^torch==' /build/constraints.txt); \
    install="python -m pip --python /opt/policyd/bin/python install $pin"; \
    case "${TORCH}" in \
      cpu)  ls /build/torch-*.whl >/dev/null 2>&1 \
            || $install --retries 1 --index-url "${TORCH_CPU_INDEX}" \
            || echo "${TORCH_CPU_INDEX} is out of reach: torch as the default index has it" >&2 ;; \
      cuda) ;; \
      *)    echo "TORCH: got ${TORCH}, wanted cpu or cuda" >&2; exit 2 ;; \
    esac; \
    $install --find-links /build
COPY --from=requirements /requirements.txt /build/
RUN python -m pip --python /opt/policyd/bin/python install --find-links /build \
      --constraint /build/constraints.txt --requirement /build/requirements.txt \
 && python -m pip install --find-links /build --constraint /build/constraints.txt hatchling \
 && cd /opt/policyd/lib/python3*/site-packages && rm -rf torch/test torch/include sympy/*/tests

FROM dependencies AS application
COPY pyproject.toml hatch_build.py LICENSE README.md /source/
COPY proto/policy_api /source/proto/policy_api
COPY repository /source/repository
COPY trainer /source/trainer
COPY policyctl /source/policyctl
RUN mkdir -p /source/server \
 && python -m pip install --no-deps --no-build-isolation --target /app /source \
 && rm -rf /app/server /app/bin

FROM ${BASE}
RUN groupadd --gid 10001 policyd \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/policyd policyd \
 && install -d -o policyd -g policyd /var/lib/policyd /var/lib/policyd/repository /var/lib/policyd/jobs
COPY --from=dependencies /opt/policyd /opt/policyd
COPY --from=application /app /app
# Caches of matplotlib and torch go to the temporary file system: the root is read-only.
ENV PATH=/opt/policyd/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache SDL_VIDEODRIVER=dummy \
    POLICYD_LISTEN=0.0.0.0:50052 \
    POLICYD_METRICS=0.0.0.0:9465 \
    POLICYD_REPOSITORY=/var/lib/policyd/repository \
    POLICYD_JOBS=sqlite:////var/lib/policyd/jobs/jobs.db \
    POLICYD_RUNS=/var/lib/policyd/jobs/runs
WORKDIR /var/lib/policyd/jobs
USER 10001:10001
EXPOSE 50052 9465
STOPSIGNAL SIGTERM
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="policyd trainer" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "policy_api.health"]
ENTRYPOINT ["python", "-m", "trainer"]
CMD ["serve"]

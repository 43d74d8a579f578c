# Two images from one file:
#
#   docker build --target web .       the web process and the records: no ML framework inside
#   docker build --target worker .    the worker and the training
#
# Uses nothing that the classic builder lacks. That builder makes every stage above its target, so the web
# stages come first. `docker compose up` builds both: see docs/docker.md.

ARG BASE=python:3.11-slim-bookworm


FROM ${BASE} AS base
# Nothing writes bytecode later: all of it is compiled below, and the root file system is read-only.
# The data folder belongs to the user, and a new named volume takes its owner from it.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PITWALL_DATA_DIR=/data \
    HOME=/tmp
RUN groupadd --gid 10001 pitwall \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin pitwall \
 && install --directory --owner=10001 --group=10001 --mode=0750 /data
WORKDIR /srv/pitwall


FROM base AS web-files
# Where packages come from, if not from pip's own index; empty values change nothing.
ARG PIP_INDEX_URL=
ARG PIP_CERT=
COPY requirements-web.txt /tmp/
RUN python -m venv /opt/venv \
 && pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/requirements-web.txt
COPY pyproject.toml ./
COPY app app
COPY migrations migrations
COPY static static
COPY templates templates
COPY trainer trainer
# Readable for the user whatever the umask of the checkout was.
RUN chmod -R a+rX . && python -m compileall -q app migrations trainer


FROM base AS web
COPY --from=web-files /opt/venv /opt/venv
COPY --from=web-files /srv/pitwall /srv/pitwall
ARG COMMIT=
LABEL org.opencontainers.image.title="Pitwall web" \
      org.opencontainers.image.description="Launch and watch training runs: the web process and the records" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${COMMIT}"
# A container's loopback reaches nobody. Beyond loopback the app asks for a login.
ENV PITWALL_HOST=0.0.0.0
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# The first start makes the login token; it goes into its file, not into the log.
CMD ["sh", "-c", "python -m app token >/dev/null && exec python -m app serve"]


FROM base AS worker-files
ARG PIP_INDEX_URL=
ARG PIP_CERT=
# requirements-worker-cpu.txt, or requirements-worker-gpu.txt: the same with NVIDIA's libraries
ARG REQUIREMENTS=requirements-worker-cpu.txt
COPY ${REQUIREMENTS} /tmp/
RUN python -m venv /opt/venv \
 && pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/${REQUIREMENTS}
COPY pyproject.toml ./
COPY trainer trainer
RUN chmod -R a+rX . && python -m compileall -q trainer


FROM base AS worker
COPY --from=worker-files /opt/venv /opt/venv
COPY --from=worker-files /srv/pitwall /srv/pitwall
# What this was made of; a run records it.
ARG COMMIT=
LABEL org.opencontainers.image.title="Pitwall worker" \
      org.opencontainers.image.description="Launch and watch training runs: the worker and the training" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${COMMIT}"
RUN echo "${COMMIT}" >COMMIT
# What the NVIDIA container toolkit puts into the container where a GPU is reserved: CUDA, and nvidia-smi's library.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
# A worker that does its work is always connected to the app: it waits for a run there, or it beats every two
# seconds. Without an established connection (state 01) it is stuck, or the app is away.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import sys; from pathlib import Path; sys.exit(not any(line.split()[3] == '01' \
for file in Path('/proc/net').glob('tcp*') for line in file.open()))"]
CMD ["python", "-m", "trainer.worker", "--server", "http://web:8000"]

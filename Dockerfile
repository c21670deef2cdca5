# The provider's image: the locked dependencies and the provider, and nothing that builds, tests or plays.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" -t alb-provider:0.2.0 .
#
# `docker buildx imagetools inspect python:<tag>` prints the digest of another base.
ARG BASE=python:3.13.11-slim-bookworm@sha256:20080e807bfc404f8450b185cf0fc95d553462673598549613735f70a5b4d5d0

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
# Dependencies first: this layer is built again only when the lock file changes. The lock has no extras (world, dev).
# Wheels only, so that nothing is compiled and no package runs code of its own while it is installed. --without-pip
# keeps the installer out of what is copied below.
RUN python -m venv --without-pip /opt/venv
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --only-binary=:all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY provider/ provider/
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index --find-links=/wheels alb-provider

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="alb-provider" \
      org.opencontainers.image.description="Asks the AWS load balancer whether green is ready, so that Argo Rollouts promotes, waits or aborts by itself" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base image brings pip; a running provider installs nothing.
RUN python -m pip uninstall --yes --root-user-action=ignore pip
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# An empty directory that belongs to root: nothing in it can be imported, and nothing can be written to it.
WORKDIR /srv
# A number, because Kubernetes can prove `runAsNonRoot` only of numbers.
USER 65532:65532
EXPOSE 8080
# For engines without probes of their own; Kubernetes ignores it. http.client, unlike urllib, never asks a proxy.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10s --retries=3 CMD ["python", "-c", "import http.client, os, ssl; tls = 'PROVIDER_TLS_CERT_FILE' in os.environ; more = {'context': ssl._create_unverified_context()} if tls else {}; c = (http.client.HTTPSConnection if tls else http.client.HTTPConnection)('127.0.0.1', int(os.environ.get('PROVIDER_PORT', '8080')), timeout=9, **more); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["alb-provider"]
CMD ["serve"]

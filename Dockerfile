# The daemon's image: an interpreter, the locked dependencies and the package, as nobody. No shell.
# A release builds with BASE=python:...@sha256:..., the digest of the tag below.
ARG BASE=docker.io/library/python:3.13.18-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/probe
COPY requirements.lock ./
RUN ["/opt/probe/bin/pip", "install", "--no-cache-dir", "--no-compile", "--require-hashes", "-r", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY probe ./probe
RUN ["/opt/probe/bin/pip", "install", "--no-cache-dir", "--no-compile", "--no-deps", "--no-build-isolation", "."]
COPY deploy/image/rootfs.py ./
RUN ["/opt/probe/bin/python", "rootfs.py", "/rootfs"]

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="edgeprobe" \
      org.opencontainers.image.description="Dials every Service port and endpoint from every node and says why a connection failed." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs /
USER 65534:65534
EXPOSE 9797
ENTRYPOINT ["/opt/probe/bin/probe"]
CMD ["run"]

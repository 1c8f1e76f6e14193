# One image, run three times by compose.yaml: vault, gate and mind. docs/deploy.md says how to build and pin it.
#
# BASE is a slim Debian with Python 3.11 or newer. For a build that others can repeat to the byte, name it by digest:
#   podman build --timestamp 1 --build-arg BASE=docker.io/library/python:3.12.11-slim-bookworm@sha256:... .
ARG BASE=docker.io/library/python:3.12.11-slim-bookworm

FROM ${BASE} AS packages
# Where pip finds packages is pip's own configuration: --build-arg PIP_FIND_LINKS=..., PIP_NO_INDEX=1 and the like.
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
# The last two: bytecode that holds no time of this build, and no order of this run's hashes.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 SOURCE_DATE_EPOCH=1 PYTHONHASHSEED=0
WORKDIR /source
RUN python3 -m venv /opt/teehee
COPY requirements/run.txt requirements/
RUN /opt/teehee/bin/pip install --require-hashes --only-binary :all: --requirement requirements/run.txt

FROM packages AS builder
COPY pyproject.toml README.md LICENSE ./
COPY agent agent
COPY plugins plugins
COPY characters characters
# What built it is not needed to run it.
RUN /opt/teehee/bin/pip install --no-deps --no-build-isolation --no-index . \
    && /opt/teehee/bin/pip uninstall --yes hatchling editables pip

FROM ${BASE}
COPY --from=builder /opt/teehee /opt/teehee
# The mark makes this an image: keys come from a TEE's guest agent or not at all. A socket's folder is its server's.
RUN install -d -m 0755 /etc/teehee /run/teehee \
    && touch /etc/teehee/image \
    && install -d -m 0700 -o 10001 -g 10001 /data /run/teehee/vault-mind /run/teehee/vault-gate \
       /run/teehee/vault-public /run/teehee/vault-owner /run/teehee/gate /run/teehee/mind /run/teehee/terminal
ENV PATH=/opt/teehee/bin:/usr/local/bin:/usr/bin:/bin
USER 10001:10001
WORKDIR /
ENTRYPOINT ["/opt/teehee/bin/teehee"]
CMD ["--help"]

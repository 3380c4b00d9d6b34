# The environment of `make setup` as an image, from the same lock files; the code and the results stay in the clone that is
# mounted at /work, so nothing is written into the image and whoever runs it needs no rights in it. See docs/operations.md.
FROM python:3.11-slim-bookworm

# A compiler for what PyTorch compiles at run time and for locked packages without a wheel; dot draws the graphs.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ gcc graphviz libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/cxrflow
COPY requirements.lock requirements-nodeps.lock ./
RUN python3.11 -m venv environment \
    && environment/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.lock \
    && environment/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r requirements-nodeps.lock

# Any user id may run it: caches go where everyone may write, and libraries that ask for a name get one.
ENV PATH=/opt/cxrflow/environment/bin:$PATH \
    HOME=/tmp \
    LOGNAME=cxrflow
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["snakemake"]
CMD ["--cores", "all"]

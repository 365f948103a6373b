# Two images: `service` (small, no torch) and `training`.
#   docker build --target service --tag bnserve .
#   docker build --target training --tag bntrain .
# torch comes in the build that pip finds; --build-arg PIP_EXTRA_INDEX_URL=... names the index of another one.

FROM python:3.11-slim AS base
ENV ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# one user in both images: what training publishes the service can read, and a shared volume belongs to both
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin bn && install --directory --owner bn /store
WORKDIR /app

# Dependencies come before the code, so that a change of code does not install them again.
FROM base AS build
ENV PIP_CONSTRAINT=/build/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir folding models service training

FROM build AS build-service
RUN pip --python /opt/venv install '.[service,tracing,postgres]'
COPY models/*.py models/
COPY folding folding
COPY service service
RUN pip --python /opt/venv install --no-deps --force-reinstall .

FROM build AS build-training
ARG PIP_EXTRA_INDEX_URL
RUN pip --python /opt/venv install '.[training,hub]'
COPY models/*.py models/
COPY folding folding
COPY training training
RUN pip --python /opt/venv install --no-deps --force-reinstall .

FROM base AS service
COPY --from=build-service /opt/venv /opt/venv
# a new volume that is mounted here starts with the demo bundle
COPY --chown=bn models/store /store
# the history is not beside the store, which may be read-only
RUN install --directory --owner bn /history
ENV BNSERVE_HOST=0.0.0.0 \
    BNSERVE_PORT=8000 \
    BNSERVE_STORE=/store \
    BNSERVE_HISTORY_URL=sqlite:////history/history.sqlite
USER bn
VOLUME /store /history
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"BNSERVE_PORT\"]}/v2/health/live', timeout=2)"]
ENTRYPOINT ["bnserve"]

FROM base AS training
COPY --from=build-training /opt/venv /opt/venv
# what is published, and what a fit leaves to be continued or has loaded; data and recipes of one's own are only read
RUN install --directory --owner bn /runs
ENV BNTRAIN_STORE=/store \
    BNTRAIN_RUNS=/runs \
    HF_HOME=/runs/.huggingface \
    HOME=/tmp \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /data
USER bn
VOLUME /store /runs
ENTRYPOINT ["bntrain"]
CMD ["--help"]

# docker build -t recsys . && docker run --rm -v "$PWD/work:/work" recsys demo /work/demo
# The explorer from outside of the container: -p 127.0.0.1:8000:8000 ... explore explore.host=0.0.0.0
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 recsys && mkdir /work && chown recsys /work
WORKDIR /opt/recsys
# CPU builds; for a GPU: --build-arg CPU= and a base image with the driver's libraries
ARG CPU=./packaging/cpu
COPY packaging packaging
COPY pyproject.toml README.md ./
COPY configs configs
COPY recsys recsys
COPY pipelines pipelines
# the versions stand in pyproject.toml
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ${CPU} '.[explore,serve]'

USER 1000
WORKDIR /work
ENV OMP_NUM_THREADS=2
ENTRYPOINT ["recsys"]
CMD ["--help"]

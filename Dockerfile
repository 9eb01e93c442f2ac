# minimix with its model inside: nothing is fetched when it runs (docs/docker.md).
#   docker build -t minimix .                        for the CPU
#   docker build -t minimix --build-arg CUDA=1 .     for an NVIDIA GPU; not run on one by us yet
#   docker run -v "$PWD:/data" minimix distill /data/data.jsonl
# make docker-check runs the steps for the CPU without a docker daemon.
ARG CUDA=0

FROM python:3.11-slim-bookworm AS compiler-0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ cmake ninja-build \
    && rm -rf /var/lib/apt/lists/*
# the build of torch without CUDA, several GB smaller
ENV UV_TORCH_BACKEND=cpu UV_OVERRIDE=locks/torch-cpu.txt
# for any x86-64 processor with AVX2, not only the one that builds the image
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF"

FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS compiler-1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ cmake ninja-build python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1
# the driver's library comes with the host that runs the image; until then its stub stands in
ENV LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_CUDA=ON"
ENV UV_CONSTRAINT=locks/cuda.txt

# hadolint ignore=DL3006
FROM compiler-${CUDA} AS build
ENV VIRTUAL_ENV=/opt/minimix UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# what minimix needs changes less often than minimix: llama.cpp is compiled in these layers
COPY locks locks
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r locks/tools.txt \
    && python3 -m venv --without-pip /opt/minimix
RUN /opt/uv/bin/uv pip install --require-hashes -b locks/build.txt -r locks/base.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY minimix minimix
RUN /opt/uv/bin/uv pip install --no-deps -b locks/build.txt .
# the bundled model in the form that is served; whoever runs the image may add to the cache
ENV MINIMIX_CACHE=/home/minimix/.cache/minimix
RUN /opt/minimix/bin/python -c "from minimix.engines.bundled import fast_model; fast_model()" \
    && chmod -R a+rwX /home/minimix

FROM python:3.11-slim-bookworm AS runner-0

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04 AS runner-1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

# hadolint ignore=DL3006
FROM runner-${CUDA}
LABEL org.opencontainers.image.title="minimix" \
    org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/minimix /opt/minimix
COPY --from=build /home/minimix /home/minimix
# a name and a home for any --user, as torch asks for both
ENV PATH="/opt/minimix/bin:$PATH" HOME=/home/minimix USER=minimix \
    MINIMIX_CACHE=/home/minimix/.cache/minimix
# results go to the current folder, so to the one that is mounted
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["minimix"]
CMD ["--help"]

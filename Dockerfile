# The browser client is built first, and only its files go on.
FROM node:20-bookworm-slim AS client
WORKDIR /src/client
COPY client/package.json client/package-lock.json ./
RUN npm ci
COPY client ./
RUN npm run build

FROM debian:bookworm-slim
# With cluster, the image is also a node of a Ray cluster; KubeRay checks its health with wget.
ARG EXTRAS=web
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv wget \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/mien mien
WORKDIR /opt/mien
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
COPY --from=client /src/src/mien/web/static/dist ./src/mien/web/static/dist
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir ".[$EXTRAS]" \
    && rm -rf src
ENV PATH=/opt/venv/bin:$PATH \
    MIEN_DATA_DIR=/var/lib/mien \
    MIEN_HOST=0.0.0.0 \
    PORT=8000 \
    PYTHONUNBUFFERED=1
USER mien
VOLUME /var/lib/mien
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD \
    ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
CMD ["mien", "serve"]

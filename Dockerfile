# One image for every role: gateway, worker, simulator, night jobs. Build from the repository root.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/bianmin
WORKDIR /src
# The lock first: it changes less often than the code, so this layer is kept.
COPY requirements.lock ./
RUN /opt/bianmin/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE ./
COPY contracts/ contracts/
COPY certs/ certs/
COPY adapters/ adapters/
COPY gateway/ gateway/
COPY settlement/ settlement/
RUN /opt/bianmin/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="bianmin-gateway" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 bianmin \
    && useradd --system --uid 10001 --gid bianmin --home-dir /var/lib/bianmin --create-home --shell /usr/sbin/nologin bianmin
COPY --from=build /opt/bianmin /opt/bianmin
ENV PATH=/opt/bianmin/bin:$PATH PYTHONUNBUFFERED=1
USER bianmin
WORKDIR /var/lib/bianmin
# Terminals, partners' notices, and the admin port, which is never published.
EXPOSE 8443 9443 9090
STOPSIGNAL SIGTERM
# The slim image has no curl; urlopen raises, and so the check fails, on anything but a 2xx.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/readyz', timeout=2)"]
ENTRYPOINT ["bianmin"]
CMD ["serve", "--config", "/etc/bianmin/bianmin.toml"]

# syntax=docker/dockerfile:1
#
# An image for each role, and one that migrates:
#   docker build --target ws_gateway -t chat-ws-gateway:0.1.0 .
# Targets: ws_gateway, router, persister, rest_api, migrations, privacy, edge. What each holds is tested
# without Docker by tests/integration/test_images.py, which reads this file.

# The minor version that the tests run on, Debian 12's.
FROM python:3.11-slim-bookworm AS interpreter
# Nothing is written at run time, so that the root file system may be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/app:/packages
WORKDIR /app

# What each role needs and no other package; wheels only, so there is no compiler to be had.
FROM interpreter AS installing
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

FROM installing AS ws_gateway_packages
COPY requirements/ws_gateway.lock /ws_gateway.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/ws_gateway.lock"]

FROM installing AS router_packages
COPY requirements/router.lock /router.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/router.lock"]

FROM installing AS persister_packages
COPY requirements/persister.lock /persister.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/persister.lock"]

FROM installing AS rest_api_packages
COPY requirements/rest_api.lock /rest_api.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/rest_api.lock"]

FROM installing AS migrations_packages
COPY requirements/migrations.lock /migrations.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/migrations.lock"]

FROM installing AS privacy_packages
COPY requirements/privacy.lock /privacy.lock
RUN ["pip", "install", "--require-hashes", "--only-binary", ":all:", "--target", "/packages", "--requirement", "/privacy.lock"]

FROM interpreter AS role
COPY libs/__init__.py /app/libs/__init__.py
COPY libs/common /app/libs/common
COPY services/__init__.py /app/services/__init__.py
ENV CHAT_LISTEN_HOST=0.0.0.0
# 8083 the service's, of the gateway and REST alone; 9090 probes and metrics.
EXPOSE 8083 9090
# Whether to restart it. Whether it can work now says /readyz, which compose.yaml asks for.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["python", "-m", "libs.common.probe", "/livez"]
# No name, no home, nothing that it owns.
USER 10001:10001

FROM role AS ws_gateway
COPY --from=ws_gateway_packages /packages /packages
COPY services/ws_gateway /app/services/ws_gateway
ENTRYPOINT ["python", "-m", "services.ws_gateway"]

FROM role AS router
COPY --from=router_packages /packages /packages
COPY services/router /app/services/router
ENTRYPOINT ["python", "-m", "services.router"]

FROM role AS persister
COPY --from=persister_packages /packages /packages
COPY services/persister /app/services/persister
ENTRYPOINT ["python", "-m", "services.persister"]

FROM role AS rest_api
COPY --from=rest_api_packages /packages /packages
COPY services/rest_api /app/services/rest_api
ENTRYPOINT ["python", "-m", "gunicorn", "-c", "services/rest_api/gunicorn_conf.py", "services.rest_api.wsgi:app"]

# An operator's, for jobs: export USER, erase USER, or as it comes, retain.
FROM interpreter AS privacy
COPY --from=privacy_packages /packages /packages
COPY libs/__init__.py /app/libs/__init__.py
COPY libs/common /app/libs/common
COPY privacy /app/privacy
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "privacy"]
CMD ["retain"]

# Ends by itself. `wait` in place of `upgrade` is what a role's init container runs.
FROM interpreter AS migrations
COPY --from=migrations_packages /packages /packages
COPY migrations /app/migrations
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "migrations"]
CMD ["upgrade"]

# The edge of compose.yaml; in Kubernetes the cluster's gateway is. Its configuration is the one of
# `make run`, written for names in place of ports.
FROM interpreter AS edge_configuration
COPY local /app/local
RUN ["python", "-m", "local.compose_edge", "/nginx.conf"]

FROM nginxinc/nginx-unprivileged:1.29-bookworm AS edge
COPY --from=edge_configuration /nginx.conf /etc/nginx/nginx.conf
# What it writes, its pid and bodies that are large, is below /tmp.
ENTRYPOINT ["nginx", "-p", "/tmp", "-c", "/etc/nginx/nginx.conf", "-e", "stderr"]
USER 101:101

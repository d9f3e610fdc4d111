# The daemon's image: the locked dependencies and the package, compiled to .pyc, as nobody.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY probe ./probe
RUN python -m venv /opt/probe \
    && /opt/probe/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/probe/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/probe/bin/python -m compileall -q /opt/probe/lib

FROM python:3.13-slim
COPY --from=build /opt/probe /opt/probe
USER 65534:65534
EXPOSE 9797
ENTRYPOINT ["/opt/probe/bin/probe"]
CMD ["run"]

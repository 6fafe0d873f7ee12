# The worker alone: no engines, no weights, nothing of the demo.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements/worker.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r worker.lock
COPY plugins plugins
# The plugins' own dependencies are all in the lock.
RUN pip install --no-cache-dir hatchling \
 && pip wheel --no-deps --no-build-isolation --wheel-dir wheels plugins/*/ \
 && /venv/bin/pip install --no-cache-dir --no-deps wheels/*.whl

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home parley
WORKDIR /app
COPY --from=build /venv /venv
COPY agent.py .
COPY agent agent
RUN install -d -o parley /data
ENV PATH=/venv/bin:$PATH AGENT_STORE=/data/store.db PYTHONUNBUFFERED=1
USER parley
EXPOSE 8081
ENTRYPOINT ["python", "agent.py"]
CMD ["start"]

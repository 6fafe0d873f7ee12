# The local gateway with its real engines. piper-tts is GPL-3: this image is not part of the worker.
FROM python:3.11-slim
RUN useradd --uid 10001 --create-home gateway
WORKDIR /app
COPY requirements/all.lock .
RUN pip install --no-cache-dir --require-hashes -r all.lock
COPY gateway gateway
ENV PYTHONUNBUFFERED=1
USER gateway
EXPOSE 8787
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["--host", "0.0.0.0"]

# syntax=docker/dockerfile:1
# The image with an engine. Where no base image can be pulled, `make image` assembles the same one without.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    make static && cp target/dist/bywash /bywash

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.description="A Kubernetes ingress controller that gets requests past a failing upstream and says why when it cannot" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.title="bywash" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /bywash /usr/local/bin/bywash
# The roots by which upstreams with TLS are verified where no ConfigMap says otherwise.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
EXPOSE 8080 8443 9090
USER 65532:65532
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/bywash"]
CMD ["run"]

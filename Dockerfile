# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bywash && cp target/release/bywash /bywash

FROM debian:bookworm-slim
COPY --from=build /bywash /usr/local/bin/bywash
# The roots by which upstreams with TLS are verified where no ConfigMap says otherwise.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
EXPOSE 8080 8443 9090
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/bywash"]
CMD ["run"]

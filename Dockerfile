# syntax=docker/dockerfile:1
#
#   docker build -t postrider .
#
# The image holds the binary and what its C library needs: no shell, no package manager, nobody but `nonroot`.

FROM rust:1.95-bookworm AS build
# librdkafka, OpenSSL and curl are built from source and linked in; they need this beside the compiler that is here.
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches stay on the machine that builds: after a change only what it touches is compiled again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package postrider \
 && install -D target/release/postrider /image/usr/local/bin/postrider \
 && install -d -o 65532 -g 65532 /image/var/lib/postrider

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/ /
# Where an embedded broker's `path: ./data` is, if there is one: mount a volume there to keep it.
WORKDIR /var/lib/postrider
USER nonroot
# Publish, operate, probe. The first two listen on loopback unless told otherwise, which a shared network namespace is for.
EXPOSE 3500 3580 3581
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/postrider", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/postrider"]
CMD ["run", "--config", "/etc/postrider/postrider.yaml"]

# The image of buildkitd-autoscaler, for linux/amd64 and linux/arm64, compiled on the builder's own platform:
#
#     docker buildx build --platform linux/amd64,linux/arm64 --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .
#
# The default is the program and the few files of glibc that it needs on an empty image. `--target distroless` has the
# same program with CA certificates, time zones, /etc/passwd and /tmp beside it, for those whose policies want them.
ARG DENO_VERSION=2.9.6

FROM --platform=$BUILDPLATFORM denoland/deno:${DENO_VERSION} AS build
WORKDIR /src
COPY deno.json deno.lock ./
RUN ["deno", "install", "--frozen"]
COPY main.ts ./
COPY lib lib
COPY .ci/*.ts .ci/
# Only from here on the platforms differ.
ARG TARGETARCH
ARG COMMIT=unknown
RUN deno task compile --commit="$COMMIT" "linux-$TARGETARCH" \
 && mv "dist/buildkitd-autoscaler-linux-$TARGETARCH" /buildkitd-autoscaler

# Of the target's platform, unlike the stage above.
FROM gcr.io/distroless/cc-debian12:nonroot AS glibc

FROM scratch AS libraries-amd64
COPY --from=glibc /lib64/ld-linux-x86-64.so.2 /lib64/
COPY --from=glibc /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libdl.so.2 \
  /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libm.so.6 \
  /lib/x86_64-linux-gnu/libpthread.so.0 /lib/x86_64-linux-gnu/librt.so.1 /lib/x86_64-linux-gnu/

FROM scratch AS libraries-arm64
COPY --from=glibc /lib/ld-linux-aarch64.so.1 /lib/
COPY --from=glibc /lib/aarch64-linux-gnu/libc.so.6 /lib/aarch64-linux-gnu/libdl.so.2 \
  /lib/aarch64-linux-gnu/libgcc_s.so.1 /lib/aarch64-linux-gnu/libm.so.6 \
  /lib/aarch64-linux-gnu/libpthread.so.0 /lib/aarch64-linux-gnu/librt.so.1 /lib/aarch64-linux-gnu/

FROM glibc AS distroless
ARG COMMIT=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="buildkitd-autoscaler" \
  org.opencontainers.image.description="Scale-to-zero proxy in front of a buildkitd StatefulSet" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.source="https://github.com/EarthBuild/buildkitd-autoscaler" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$COMMIT"
COPY LICENSE /LICENSE
COPY --from=build /buildkitd-autoscaler /buildkitd-autoscaler
ENV DENO_USE_CGROUPS=1 DENO_TOKIO_EVENT_INTERVAL=1
USER 65532:65532
WORKDIR /
EXPOSE 8080 8081
ENTRYPOINT ["/buildkitd-autoscaler"]

FROM libraries-${TARGETARCH} AS image
ARG COMMIT=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="buildkitd-autoscaler" \
  org.opencontainers.image.description="Scale-to-zero proxy in front of a buildkitd StatefulSet" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.source="https://github.com/EarthBuild/buildkitd-autoscaler" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$COMMIT"
COPY LICENSE /LICENSE
COPY --from=build /buildkitd-autoscaler /buildkitd-autoscaler
# The heap's limit follows the container's memory limit, and busy streams do not delay new connections.
ENV DENO_USE_CGROUPS=1 DENO_TOKIO_EVENT_INTERVAL=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/buildkitd-autoscaler"]

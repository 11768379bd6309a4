# One static program, no shell, no root. `docker build --build-arg VERSION=1.2.3 -t seckill:1.2.3 .`
FROM --platform=$BUILDPLATFORM golang:1.26.10-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X seckill/cmd/seckill/internal/app.version=$VERSION" -o /out/seckill ./cmd/seckill

# Has the certificates of public authorities, for MySQL and Redis over TLS.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/seckill /seckill
USER nonroot:nonroot
# 8080 shoppers, 8081 health checks and metrics
EXPOSE 8080 8081
ENTRYPOINT ["/seckill"]

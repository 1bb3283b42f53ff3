# For builders that take a Dockerfile; `make image` needs none, and is what the
# tests use. One program an image:
#
#   docker build --build-arg PROGRAM=manager -t registry.example.com/sallyport-manager:v0.1.0 .
#
# This file is untested: where the tests run, no base image can be pulled.
FROM golang:1.26 AS build
ARG PROGRAM
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Names come from DNS alone: a pod's hosts file is not consulted.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/program ./cmd/${PROGRAM} && echo 'hosts: dns' >/out/nsswitch.conf

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/nsswitch.conf /etc/nsswitch.conf
COPY --from=build /out/program /program
USER 65532:65532
ENTRYPOINT ["/program"]

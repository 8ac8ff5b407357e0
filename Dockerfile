# syntax=docker/dockerfile:1
# The command line `zkrecipes` in a small image: docker build -t zkrecipes . && docker run --rm zkrecipes --help
# With the commands `demo` and `server`: docker build --target demo -t zkrecipes-demo .

FROM swift:6.3.1-bookworm AS build
WORKDIR /package
# Before the sources, so that a change of them does not install the packages again.
COPY .ci/bootstrap .ci/install-help .ci/
RUN .ci/bootstrap --build
COPY Package.swift Makefile ./
COPY Sources Sources
COPY Recipes Recipes
# The manifest lists them, so that they must exist; they are not compiled.
COPY Examples Examples
COPY Tests Tests
COPY integration integration
RUN make install DESTDIR=/installed PROGRAMS="zkrecipes zkrecipes-dev"

FROM debian:12-slim AS runtime
RUN --mount=type=bind,source=.ci,target=/package/.ci --mount=type=tmpfs,target=/var/lib/apt/lists \
    /package/.ci/bootstrap --runtime
# Debian's user `nobody`, as a number, so that an orchestrator can see that it is not root.
USER 65534:65534
ENTRYPOINT ["zkrecipes"]
CMD ["--help"]

FROM runtime AS demo
COPY --from=build /installed/usr/local/bin/ /usr/local/bin/

FROM runtime AS zkrecipes
COPY --from=build /installed/usr/local/bin/zkrecipes /usr/local/bin/

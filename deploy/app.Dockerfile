# An app on top of the platform. Build it in the folder of the app, where app.ts lies:
#   docker build -f app.Dockerfile --build-arg TANDEM_IMAGE=registry.example/tandem:0.1.0 -t registry.example/fraud:1.0.0 .
# The app finds the platform by its name, 'tandem'. Give the folder a .dockerignore with what is not the app's.
ARG TANDEM_IMAGE=tandem:0.1.0

FROM ${TANDEM_IMAGE}
COPY . app
ENV TANDEM_APP=/app/app/app.ts

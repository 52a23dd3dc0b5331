import { defineDeployment } from 'tandem';

/** Shares of a small stream: several processes of each service and a training run fit on two cores. */
export default defineDeployment({
  services: {
    ingest: { cpu: 0.1 },
    features: { cpu: 0.1 },
    serve: { cpu: 0.1 },
    gateway: { cpu: 0.1 },
  },
});

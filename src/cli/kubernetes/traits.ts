import type { ServiceName } from '../../contract/index.ts';
import type { ReplicaRange } from '../../define/index.ts';

/** What a cluster must know of a service that the service itself does not say. */
export interface ServiceTraits {
  /** Pods, unless the deployment says otherwise: two at least of what answers requests, so that a node may fail. */
  readonly replicas: ReplicaRange;
  /** Cores of one pod, unless the deployment says otherwise; it may use twice as much for a while. */
  readonly cpu: number;
  /** Memory of one pod in MiB, unless the deployment says otherwise. */
  readonly memory: number;
  /** Its folder for snapshots on their way, spilled queries and the like, in MiB. */
  readonly scratchMi: number;
  /** Whether it runs queries over Parquet, which get half of its memory. */
  readonly hasWarehouse: boolean;
  /** Services that it calls: the network lets it reach no other. */
  readonly calls: readonly ServiceName[];
}

/** In the order in which they are rendered. */
export const TRAITS: Readonly<Record<ServiceName, ServiceTraits>> = {
  gateway: {
    replicas: { min: 2, max: 10 },
    cpu: 0.25,
    memory: 512,
    scratchMi: 256,
    hasWarehouse: false,
    calls: ['ingest', 'features', 'registry', 'serve', 'train'],
  },
  ingest: {
    replicas: { min: 2, max: 10 },
    cpu: 0.5,
    memory: 1_024,
    // Room for two bodies of Parquet.
    scratchMi: 3_072,
    hasWarehouse: true,
    // It tells how far online features are behind a source.
    calls: ['features'],
  },
  features: {
    replicas: { min: 2, max: 8 },
    cpu: 1,
    memory: 4_096,
    scratchMi: 10_240,
    hasWarehouse: true,
    // Owners of partitions gather from one another; a verification reads the ledger.
    calls: ['features', 'serve'],
  },
  registry: {
    replicas: { min: 2, max: 4 },
    cpu: 0.25,
    memory: 512,
    scratchMi: 256,
    hasWarehouse: false,
    // A decision may ask for features that were verified.
    calls: ['features'],
  },
  serve: {
    replicas: { min: 2, max: 20 },
    cpu: 1,
    memory: 1_024,
    scratchMi: 1_024,
    hasWarehouse: false,
    // The answer to a review becomes an outcome.
    calls: ['ingest', 'features', 'registry'],
  },
  train: {
    replicas: { min: 1, max: 4 },
    cpu: 1,
    memory: 4_096,
    scratchMi: 20_480,
    hasWarehouse: true,
    calls: ['features', 'registry'],
  },
};

/** Every service of a cluster. */
export const DEPLOYED: readonly ServiceName[] = Object.keys(TRAITS) as ServiceName[];

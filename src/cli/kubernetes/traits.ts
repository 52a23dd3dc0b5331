import type { ServiceName } from '../../contract/index.ts';

/** A service as a cluster runs it. */
export type DeployedName = ServiceName | 'gateway';

/** What a cluster must know of a service that the service itself does not say. */
export interface ServiceTraits {
  /** How many run when no deployment is described: two of each that answers requests, so that a node may fail. */
  readonly replicas: number;
  /** How many may run at most when the deployment does not say. */
  readonly replicasMax: number;
  /** Processor of one process, in thousandths of a core; it may use twice as much for a while. */
  readonly cpuMilli: number;
  /** Memory of one process, in MiB: asked for and limited alike, so that no neighbour is killed for it. */
  readonly memoryMi: number;
  /** Its folder for snapshots on their way, spilled queries and the like, in MiB. */
  readonly scratchMi: number;
  /** Whether it runs queries over Parquet, which get half of its memory. */
  readonly hasWarehouse: boolean;
  /** Services that it calls: the network lets it reach no other. */
  readonly calls: readonly DeployedName[];
}

/** In the order in which they are rendered. */
export const TRAITS: Readonly<Record<DeployedName, ServiceTraits>> = {
  gateway: {
    replicas: 2,
    replicasMax: 10,
    cpuMilli: 250,
    memoryMi: 512,
    scratchMi: 256,
    hasWarehouse: false,
    calls: ['ingest', 'features', 'registry', 'serve', 'train'],
  },
  ingest: {
    replicas: 2,
    replicasMax: 10,
    cpuMilli: 500,
    memoryMi: 1_024,
    scratchMi: 256,
    hasWarehouse: false,
    // It tells how far online features are behind a source.
    calls: ['features'],
  },
  features: {
    replicas: 2,
    replicasMax: 8,
    cpuMilli: 1_000,
    memoryMi: 4_096,
    scratchMi: 10_240,
    hasWarehouse: true,
    // Owners of partitions gather from one another.
    calls: ['features'],
  },
  registry: {
    replicas: 2,
    replicasMax: 4,
    cpuMilli: 250,
    memoryMi: 512,
    scratchMi: 256,
    hasWarehouse: false,
    calls: [],
  },
  serve: {
    replicas: 2,
    replicasMax: 20,
    cpuMilli: 1_000,
    memoryMi: 1_024,
    scratchMi: 1_024,
    hasWarehouse: false,
    calls: ['features', 'registry'],
  },
  train: {
    replicas: 1,
    replicasMax: 4,
    cpuMilli: 1_000,
    memoryMi: 4_096,
    scratchMi: 20_480,
    hasWarehouse: true,
    calls: ['features', 'registry'],
  },
};

/** Every service of a cluster. */
export const DEPLOYED: readonly DeployedName[] = Object.keys(TRAITS) as DeployedName[];

import {
  buildDataset,
  getDataset,
  getFeaturesStatus,
  readVector,
  readVectorParts,
  replayVector,
} from './features.ts';
import { createKey, listKeys, revokeKey, whoAmI } from './gateway.ts';
import {
  correctQuarantined,
  describeSource,
  dismissQuarantined,
  getQuarantined,
  ingestEvents,
  listQuarantine,
  replayQuarantine,
} from './ingest.ts';
import {
  createRelease,
  getCurrentReleases,
  getRelease,
  getVersion,
  listModels,
  listReleases,
  listVersions,
  registerVersion,
} from './registry.ts';
import { decide, getLedgerEntry, readLedger, replayDecision, sampleLedger } from './serve.ts';
import { cancelRun, getRun, listRuns, startRun } from './train.ts';
import { getVerification, listVerifications, startVerification } from './verify.ts';

/** Every route of every service. */
export const routes = {
  ingestEvents,
  describeSource,
  listQuarantine,
  getQuarantined,
  correctQuarantined,
  dismissQuarantined,
  replayQuarantine,
  readVector,
  readVectorParts,
  replayVector,
  buildDataset,
  getDataset,
  getFeaturesStatus,
  startVerification,
  listVerifications,
  getVerification,
  startRun,
  getRun,
  listRuns,
  cancelRun,
  registerVersion,
  listVersions,
  getVersion,
  listModels,
  createRelease,
  listReleases,
  getRelease,
  getCurrentReleases,
  decide,
  getLedgerEntry,
  replayDecision,
  sampleLedger,
  readLedger,
  listKeys,
  createKey,
  revokeKey,
  whoAmI,
} as const;

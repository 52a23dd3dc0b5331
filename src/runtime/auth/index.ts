export { type AccessOptions, makeAccess } from './access.ts';
export { hashSecret, makeApiKey, readApiKey } from './api-key.ts';
export { type Gate, openGate } from './gate.ts';
export type { JwtOptions } from './jwt-verifier.ts';

export { isLoopback, refuseOpenAddress } from './guard.ts';
export { httpLimits, type HttpLimits } from './limits.ts';
export { openApiDocument, type OpenApiInfo } from './openapi.ts';
export type { TlsIdentity, TlsPeers } from './tls.ts';
export { type HttpOptions, type HttpServer, mountHttp } from './server.ts';

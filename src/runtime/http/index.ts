export { isLoopback } from './guard.ts';
export { httpLimits, type HttpLimits } from './limits.ts';
export { openApiDocument, type OpenApiInfo } from './openapi.ts';
export { type HttpOptions, type HttpServer, mountHttp } from './server.ts';

import { z } from 'zod';
import { type AnyRoute, type Caste, ERROR_CODES } from '../../contract/index.ts';
import { TRACE_ROUTES } from '../trace/routes.ts';
import { takesRawBody } from './body.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

export interface OpenApiInfo {
  readonly title: string;
  readonly version: string;
}

/** A route of the server itself. */
export interface OperationalRoute {
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly mediaType: string;
  /** Who may call it, besides admins; `undefined`: anybody, without credentials. */
  readonly roles: readonly Caste[] | undefined;
}

/** Who is told by `/readyz` which service waits for what; everybody else hears yes or no. */
export const DETAIL_ROLES: readonly Caste[] = ['reader', 'scientist', 'operator', 'service'];

/** The routes that every server has beside those of its services. */
export const OPERATIONAL_ROUTES: readonly OperationalRoute[] = [
  {
    path: '/livez',
    name: 'getLiveness',
    summary: 'Whether the process answers',
    mediaType: 'application/json',
    roles: undefined,
  },
  {
    path: '/readyz',
    name: 'getReadiness',
    summary: 'Whether every service can do its job, with reasons for who may know them',
    mediaType: 'application/json',
    roles: undefined,
  },
  {
    path: '/metrics',
    name: 'getMetrics',
    summary: 'Metrics in the format of Prometheus',
    mediaType: 'text/plain',
    roles: ['reader', 'operator'],
  },
  {
    path: '/openapi.json',
    name: 'getOpenApi',
    summary: 'This document',
    mediaType: 'application/json',
    roles: ['reader', 'producer', 'scientist', 'reviewer', 'operator'],
  },
  ...TRACE_ROUTES,
];

/** Describes the routes as an OpenAPI 3.1 document, from the schemas that validate them. */
export function openApiDocument(routes: readonly AnyRoute[], info: OpenApiInfo): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  for (const { path, name, summary, mediaType, roles } of OPERATIONAL_ROUTES) {
    const ok = { description: summary, content: { [mediaType]: { schema: {} } } };
    paths[path] = {
      get: {
        operationId: name,
        summary,
        tags: ['operations'],
        ...accessOf(roles),
        ...(path.includes('{') ? { parameters: pathParameters(path) } : {}),
        responses: { 200: ok, default: problemAnswer },
      },
    };
  }
  return {
    openapi: '3.1.0',
    info,
    paths,
    components: {
      schemas: { Problem: problemSchema },
      responses: { Problem: problemResponse },
      securitySchemes: { credentials: { type: 'http', scheme: 'bearer' } },
    },
  };
}

function pathParameters(path: string): JsonSchema[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

const problemAnswer: JsonSchema = { $ref: '#/components/responses/Problem' };

const problemResponse: JsonSchema = {
  description: 'A problem document (RFC 9457); `code` says what is wrong',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const problemSchema: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { enum: Object.keys(ERROR_CODES) },
    detail: { type: 'string' },
    details: { type: 'object' },
    requestId: { type: 'string' },
  },
};

/** Who may call a route: the standard says that credentials are needed, `x-roles` says whose. */
function accessOf(roles: readonly Caste[] | undefined): JsonSchema {
  if (roles === undefined) return { security: [] };
  return { security: [{ credentials: [] }], 'x-roles': [...new Set([...roles, 'admin'])] };
}

function operation(route: AnyRoute): JsonSchema {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')];
  return {
    operationId: route.name,
    summary: route.summary,
    tags: [route.service],
    ...accessOf(route.roles),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.method === 'GET' ? {} : { requestBody: bodyOf(route) }),
    responses: {
      200: {
        description: 'Done',
        content: { 'application/json': { schema: schemaOf(route.result as z.ZodType, 'output') } },
      },
      default: problemAnswer,
    },
  };
}

function parametersOf(schema: unknown, place: 'path' | 'query'): JsonSchema[] {
  const { properties = {}, required = [] } = schemaOf(schema as z.ZodType, 'input') as {
    readonly properties?: Readonly<Record<string, JsonSchema>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }));
}

function bodyOf(route: AnyRoute): JsonSchema {
  if (takesRawBody(route)) {
    const mediaTypes = ['application/json', 'application/x-ndjson', 'text/csv'];
    return {
      required: true,
      content: Object.fromEntries(mediaTypes.map((mediaType) => [mediaType, { schema: {} }])),
    };
  }
  const schema = schemaOf(route.body as z.ZodType, 'input');
  const { required } = schema as { readonly required?: readonly string[] };
  return { required: (required ?? []).length > 0, content: { 'application/json': { schema } } };
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

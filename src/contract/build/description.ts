import { z } from 'zod';
import { type App, definitionHash, type FeatureGroup, pick, type Vector } from '../../define/index.ts';
import type { AnyRoute, ServiceName } from '../route.ts';

/** A JSON Schema, as it stands in a description. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** The form of descriptions that this version writes and reads. */
const FORMAT = 1;

const schema: z.ZodType<JsonSchema> = z.union([z.boolean(), z.record(z.string(), z.unknown())]);

const routeContract = z.object({
  service: z.string(),
  method: z.string(),
  path: z.string(),
  params: schema,
  query: schema,
  /** `true` when the body is bytes of any form. */
  body: schema,
  result: schema,
  idempotent: z.boolean(),
  timeoutMs: z.number(),
  bodyBytesMax: z.number(),
});

const field = z.object({
  kind: z.string(),
  optional: z.boolean(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  currency: z.string().optional(),
  decimals: z.number().optional(),
  /** Of an embedding. */
  length: z.number().optional(),
});

const sourceContract = z.object({
  hash: z.string(),
  id: z.string(),
  time: z.string(),
  key: z.string(),
  fields: z.record(z.string(), field),
  /** Present, and true, when records may correct and delete events. */
  corrections: z.boolean().optional(),
});

const groupContract = z.object({
  /** Hash of all but the features: key, source, filter, how windows are cut. */
  shape: z.string(),
  /** Hashes by name. */
  features: z.record(z.string(), z.string()),
});

const use = z.object({ group: z.string(), features: z.array(z.string()) });

const recommendationContract = z.object({
  recommender: z.string(),
  /** Names of the vectors of the user's history, and of the ranker. */
  history: z.string(),
  ranking: z.string().nullable(),
});

const step = z.object({
  number: z.number().int(),
  name: z.string(),
  checksum: z.string(),
  /** Whether a build that does not know the step works on a database that has it. */
  additive: z.boolean(),
});

const buildContract = z.object({
  format: z.literal(FORMAT),
  /** Version of the platform. */
  platform: z.string(),
  /** By name; a newer build may have more services than are known here. */
  services: z.record(
    z.string(),
    z.object({
      /** Routes that it answers, by name. */
      provides: z.record(z.string(), routeContract),
      /** Routes of other services that it calls, by name, as it knows them. */
      calls: z.record(z.string(), routeContract),
    }),
  ),
  app: z.object({
    name: z.string(),
    sources: z.record(z.string(), sourceContract),
    /** Hashes by name. */
    vectors: z.record(z.string(), z.string()),
    /** Feature groups, so that a difference between vectors can be named; builds of before say nothing of them. */
    groups: z.record(z.string(), groupContract).optional(),
    /** What vectors take of groups. */
    uses: z.record(z.string(), z.array(use)).optional(),
    labels: z.record(z.string(), z.string()),
    models: z.record(z.string(), z.object({ vector: z.string(), label: z.string() })),
    decisions: z.record(z.string(), z.object({ model: z.string() })),
    /** Builds of before there were any say nothing of them. */
    recommendations: z.record(z.string(), recommendationContract).optional(),
  }),
  /** Steps of the schema by owner, in order. */
  migrations: z.record(z.string(), z.array(step)),
});

/** What a build says to its neighbours and expects of them. */
export type BuildContract = z.infer<typeof buildContract>;
type ServiceContract = NonNullable<BuildContract['services'][string]>;
/** One route as a build knows it. */
export type RouteContract = z.infer<typeof routeContract>;
/** The contract of a source as a build knows it. */
export type SourceContract = z.infer<typeof sourceContract>;
/** One field of it. */
export type FieldContract = z.infer<typeof field>;
/** One step of a schema as a build knows it. */
export type StepContract = z.infer<typeof step>;

/** A service as one build of it runs, or is to run. */
export interface Party {
  readonly service: ServiceName;
  /** How people call the build: its label and id. */
  readonly build: string;
  readonly contract: BuildContract;
}

export interface DescribedService {
  readonly name: ServiceName;
  readonly provides: readonly AnyRoute[];
  readonly calls: readonly AnyRoute[];
}

export interface DescribedBuild {
  /** Version of the platform. */
  readonly platform: string;
  readonly services: readonly DescribedService[];
  readonly app: App;
  readonly migrations: Readonly<Record<string, readonly StepContract[]>>;
}

/** Describes a build by its routes, its app and its schema. Equal builds give equal descriptions. */
export function describeBuild(build: DescribedBuild): BuildContract {
  const services = build.services.map(({ name, provides, calls }): [string, ServiceContract] => [
    name,
    { provides: describeRoutes(provides), calls: describeRoutes(calls) },
  ]);
  return {
    format: FORMAT,
    platform: build.platform,
    services: Object.fromEntries(services),
    app: describeApp(build.app),
    migrations: Object.fromEntries(
      Object.entries(build.migrations).map(([owner, steps]) => [owner, [...steps]]),
    ),
  };
}

/** Reads what a build says of itself; `undefined` when it is no description of a form that is known here. */
export function readBuildContract(value: unknown): BuildContract | undefined {
  return buildContract.safeParse(value).data;
}

/** The version of a contract. */
export function contractHash(contract: BuildContract): string {
  return definitionHash(contract);
}

function describeRoutes(routes: readonly AnyRoute[]): Record<string, RouteContract> {
  return Object.fromEntries(routes.map((route) => [route.name, describeRoute(route)]));
}

/** Describes a route: what it takes before defaults are filled in, and what it answers. */
export function describeRoute(route: AnyRoute): RouteContract {
  const { service, method, path, idempotent, timeoutMs, bodyBytesMax } = route;
  return {
    service,
    method,
    path,
    params: schemaOf(route.params as z.ZodType, 'input'),
    query: schemaOf(route.query as z.ZodType, 'input'),
    body: schemaOf(route.body as z.ZodType, 'input'),
    result: schemaOf(route.result as z.ZodType, 'output'),
    idempotent,
    timeoutMs,
    bodyBytesMax,
  };
}

function schemaOf(of: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(of, { io, unrepresentable: 'any' });
  return Object.keys(rest).length === 0 ? true : rest;
}

function describeApp(app: App): BuildContract['app'] {
  const hashes = (items: ReadonlyMap<string, { readonly hash: string }>): Record<string, string> =>
    Object.fromEntries([...items].map(([name, { hash }]) => [name, hash]));
  return {
    name: app.name,
    sources: Object.fromEntries(
      [...app.sources].map(([name, { hash, id, time, key, fields, corrections }]) => [
        name,
        {
          hash,
          id,
          time,
          key,
          fields: describeFields(fields),
          ...(corrections === true ? { corrections } : {}),
        },
      ]),
    ),
    vectors: hashes(app.vectors),
    groups: Object.fromEntries([...app.groups].map(([name, group]) => [name, describeGroup(group)])),
    uses: Object.fromEntries([...app.vectors].map(([name, vector]) => [name, describeUses(vector)])),
    labels: hashes(app.labels),
    models: Object.fromEntries(
      [...app.models].map(([name, { vector, label }]) => [name, { vector: vector.name, label: label.name }]),
    ),
    decisions: Object.fromEntries(
      [...app.decisions].map(([name, { model }]) => [name, { model: model.name }]),
    ),
    // Absent without any: the contract of an app of before stays what it was.
    ...(app.recommendations.size === 0 ? {} : { recommendations: describeRecommendations(app) }),
  };
}

function describeRecommendations({
  recommendations,
}: App): Record<string, z.infer<typeof recommendationContract>> {
  return Object.fromEntries(
    [...recommendations].map(([name, { candidates, history, rank }]) => [
      name,
      {
        recommender: candidates.name,
        history: history.name,
        ranking: rank === undefined ? null : rank.model.vector.name,
      },
    ]),
  );
}

function describeGroup(group: FeatureGroup): z.infer<typeof groupContract> {
  const { features, from, hash: _, parts: __, ...shape } = group;
  return {
    shape: definitionHash({ ...shape, source: from.source.hash, matured: from.matured?.hash }),
    // Of a group that has it alone: an expression is what its aggregates are, wherever they stand in the group.
    features: Object.fromEntries(features.map(({ name }) => [name, pick(group, name).hash])),
  };
}

function describeUses({ groups, values }: Vector): z.infer<typeof use>[] {
  return groups.map(({ name, features }) => ({
    group: name,
    features: values.flatMap((value) =>
      value.from === 'group' && value.group === name ? (features[value.index]?.name ?? []) : [],
    ),
  }));
}

/** Whom a field is about says nothing about its values. */
function describeFields(fields: Readonly<Record<string, FieldContract>>): Record<string, FieldContract> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, field.parse(value)]));
}

import { z } from 'zod';
import { decisionReason } from './serve.ts';
import { name, record, route, time } from './shared.ts';

/** Most reviews on one page. */
const PAGE_MAX = 100;
/** Longest note of an answer, in UTF-16 units. */
const NOTE_LENGTH_MAX = 2_000;
/** Most fields that come with an answer. */
const FIELDS_MAX = 100;

/** What a person answered. */
const reviewAnswer = z.object({
  positive: z.boolean(),
  /** Fields of the outcome that came with the answer. */
  fields: record,
  note: z.string().nullable(),
  /** Who answered. */
  by: z.string(),
  at: time,
  /** The outcome event that the answer became; null: none, because the label takes an event without one for negative. */
  event: z
    .object({
      source: name,
      id: z.string(),
      /** Whether it has been made durable. It is sent until it is. */
      sent: z.boolean(),
    })
    .nullable(),
  /** Whether it came too late to count as a label: the event had matured. */
  late: z.boolean(),
});
export type ReviewAnswer = z.infer<typeof reviewAnswer>;

const review = z.object({
  decisionId: z.string(),
  decision: name,
  subject: z.string(),
  outcome: z.string(),
  score: z.number(),
  release: z.string(),
  /** When it was decided. */
  at: time,
  /** How long ago, in milliseconds. */
  ageMs: z.number().int(),
  /** The event as it came. */
  request: record,
  /** The strongest first; null where the version cannot be explained, or not now. */
  reasons: z.array(decisionReason).nullable(),
  base: z.number().nullable(),
  /** Why there are no reasons; null when there are. */
  notExplained: z.string().nullable(),
  /** What an answer becomes. */
  label: z.object({
    name,
    /** The source of outcomes. */
    source: name,
    /** Fields of an outcome that an answer must give. */
    fields: z.array(z.object({ name: z.string(), kind: z.string(), optional: z.boolean() })),
    /** An answer counts as a label up to here, by the clock of the features: then the event matures. */
    countsUntil: time,
  }),
  /** Null: it waits for one. */
  answer: reviewAnswer.nullable(),
});
export type Review = z.infer<typeof review>;

export const listReviews = route('serve', 'listReviews', 'GET /v1/reviews', {
  summary: 'Decisions that were not answered and wait for a person, oldest first',
  roles: ['operator', 'reviewer'],
  query: z
    .object({
      decision: name.optional(),
      state: z.enum(['waiting', 'answered']).default('waiting'),
      /** Id of the last decision of the page before. */
      after: z.string().max(128).optional(),
      limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(20),
    })
    .strict(),
  result: z.object({
    /** How many wait, of the decision or of all. */
    waiting: z.number().int(),
    reviews: z.array(review),
    next: z.string().nullable(),
  }),
  timeoutMs: 30_000,
});

export const answerReview = route('serve', 'answerReview', 'POST /v1/reviews/{decisionId}', {
  summary:
    'Answer for a decision that waits: the answer becomes an outcome of its event, and it waits no longer',
  roles: ['operator', 'reviewer'],
  params: z.object({ decisionId: z.string().max(128) }).strict(),
  body: z
    .object({
      /** Whether the label is true of the event. */
      positive: z.boolean(),
      /** Further fields of the outcome event. */
      fields: record.refine((fields) => Object.keys(fields).length <= FIELDS_MAX).optional(),
      note: z.string().max(NOTE_LENGTH_MAX).optional(),
    })
    .strict(),
  result: reviewAnswer.extend({ decisionId: z.string() }),
  idempotent: true,
  timeoutMs: 30_000,
});

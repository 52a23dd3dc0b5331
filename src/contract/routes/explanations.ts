import { z } from 'zod';
import { decisionAnswer, decisionReason, ledgerParams, marginScale } from './serve.ts';
import { name, route } from './shared.ts';

/** Where a value stands among those that the version learnt from. */
const reference = z.object({
  /** Share of the training rows without a value. */
  missing: z.number(),
  /** Share of those with a value that are lower than this one, at least; null when this one is missing. */
  above: z.number().nullable(),
  /** Share that are higher, at least. */
  below: z.number().nullable(),
  /** The same in words: `higher than 95 % of training rows`. */
  text: z.string(),
});
export type InputReference = z.infer<typeof reference>;

const explanation = decisionAnswer.extend({
  model: name,
  version: z.number().int(),
  scale: marginScale,
  base: z.number(),
  /** Base and all contributions: what the score is made of. */
  margin: z.number(),
  /** Every input, the strongest first. */
  inputs: z.array(decisionReason.extend({ reference: reference.nullable() })),
});
export type DecisionExplanation = z.infer<typeof explanation>;

export const explainDecision = route('serve', 'explainDecision', 'GET /v1/ledger/{decisionId}/explanation', {
  summary: 'What each input added to the score of a decision, by the version that made it',
  roles: ['scientist', 'operator', 'reviewer'],
  params: ledgerParams,
  result: explanation,
  timeoutMs: 60_000,
});

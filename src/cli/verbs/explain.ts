import { type DecisionExplanation, type DecisionReason, routes } from '../../contract/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { amount, type Output, table } from '../output.ts';

/** `tandem explain <decisionId>`: what each input added to the score of a decision. */
export async function explain(decisionId: string, options: ClientOptions, output: Output): Promise<void> {
  await using client = await openClient(options);
  const found = await client.call(routes.explainDecision, { params: { decisionId }, query: {}, body: {} });
  output.result(found, () => describe(found));
}

function describe({ inputs, scale, base, margin, ...decision }: DecisionExplanation): string {
  const { outcome, score, release, model, version } = decision;
  const rows = inputs.map(({ contribution, reference, ...reason }) => [
    reason.input,
    valueText(reason),
    signed(contribution),
    reference?.text ?? '',
  ]);
  return [
    `${decision.decision}: ${outcome}, score ${String(score)}, by ${release} (${model} version ${String(version)})`,
    '',
    table(['INPUT', 'VALUE', 'ADDS', 'WHERE THE VALUE STANDS'], rows),
    '',
    `${amount(base)} when nothing is known, with all that the inputs add ${amount(margin)}: the ${scale}`,
  ].join('\n');
}

/** A value of an input for people. */
export function valueText({ value, category }: Pick<DecisionReason, 'value' | 'category'>): string {
  return value === null ? 'missing' : (category ?? amount(value));
}

/** A number that shows its sign. */
export function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${amount(value)}`;
}

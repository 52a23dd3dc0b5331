import { PlatformError, type Review, routes } from '../../contract/index.ts';
import { type ClientOptions, openClient } from '../client.ts';
import { amount, type Output, table, when } from '../output.ts';
import { signed, valueText } from './explain.ts';

/** Most reviews that one call shows. */
const LINES_MAX = 100;
/** Reasons that a line has room for. */
const REASONS_SHOWN = 3;

export interface ReviewsVerbOptions extends ClientOptions {
  readonly decision?: string | undefined;
  readonly answered?: boolean | undefined;
  readonly lines: string;
  readonly after?: string | undefined;
}

/** `tandem reviews`: decisions that wait for a person, oldest first. */
export async function listReviews(options: ReviewsVerbOptions, output: Output): Promise<void> {
  const limit = Number(options.lines);
  if (!Number.isInteger(limit) || limit < 1 || limit > LINES_MAX) {
    throw new PlatformError(
      'CONFIGURATION',
      `--lines: expected 1 to ${String(LINES_MAX)}, got '${options.lines}'`,
    );
  }
  await using client = await openClient(options);
  const { decision, after } = options;
  const query = {
    state: options.answered === true ? ('answered' as const) : ('waiting' as const),
    limit,
    ...(decision === undefined ? {} : { decision }),
    ...(after === undefined ? {} : { after }),
  };
  const page = await client.call(routes.listReviews, { params: {}, query, body: {} });
  output.result(page, () => {
    const count = `${amount(page.waiting)} wait`;
    if (page.reviews.length === 0)
      return query.state === 'waiting' ? 'No decision waits for a person' : count;
    return query.state === 'waiting'
      ? table(['DECISION', 'SUBJECT', 'SCORE', 'WAITS', 'REASONS'], page.reviews.map(waitingRow))
      : table(
          ['DECISION', 'SUBJECT', 'SCORE', 'ANSWER', 'BY', 'AT', 'OUTCOME'],
          page.reviews.map(answeredRow),
        );
  });
  if (output.json) return;
  if (page.next !== null) output.note(`${amount(page.waiting)} wait. More: --after ${page.next}`);
  const [first] = page.reviews;
  if (first !== undefined && first.answer === null) output.note(howToAnswer(first));
}

function waitingRow(review: Review): string[] {
  const { decisionId, subject, score, ageMs, reasons, notExplained } = review;
  const said = (reasons ?? [])
    .slice(0, REASONS_SHOWN)
    .map((reason) => `${reason.input} ${valueText(reason)} (${signed(reason.contribution)})`)
    .join(', ');
  return [
    decisionId,
    subject,
    amount(score),
    age(ageMs),
    reasons === null ? `none: ${notExplained ?? ''}` : said,
  ];
}

function answeredRow({ decisionId, subject, score, answer }: Review): string[] {
  const { positive, by, at, event, late } = answer ?? {
    positive: false,
    by: '',
    at: 0,
    event: null,
    late: false,
  };
  const outcome = event === null ? 'none is needed' : `${event.id}${event.sent ? '' : ', not sent yet'}`;
  return [
    decisionId,
    subject,
    amount(score),
    positive ? 'positive' : 'negative',
    by,
    when(at),
    late ? `${outcome}, too late to count` : outcome,
  ];
}

function howToAnswer({ decisionId, label }: Review): string {
  const fields = label.fields.filter(({ optional }) => !optional).map(({ name }) => ` --field ${name}=...`);
  return `Answer one: tandem review ${decisionId} --positive|--negative${fields.join('')}`;
}

/** A span of time for people. */
function age(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${String(Math.floor(ms / 1_000))} s`;
  if (minutes < 120) return `${String(minutes)} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${String(hours)} h` : `${String(Math.floor(hours / 24))} d`;
}

export interface ReviewVerbOptions extends ClientOptions {
  readonly positive?: boolean | undefined;
  readonly negative?: boolean | undefined;
  readonly field: readonly string[];
  readonly note?: string | undefined;
}

/** `tandem review <decisionId>`: answers for a decision that waits. */
export async function answerReview(
  decisionId: string,
  options: ReviewVerbOptions,
  output: Output,
): Promise<void> {
  const { positive = false, negative = false, note } = options;
  if (positive === negative) throw new PlatformError('CONFIGURATION', 'Say --positive or --negative');
  const fields = readFields(options.field);
  await using client = await openClient(options);
  const answer = await client.call(routes.answerReview, {
    params: { decisionId },
    query: {},
    body: {
      positive,
      ...(Object.keys(fields).length === 0 ? {} : { fields }),
      ...(note === undefined ? {} : { note }),
    },
  });
  output.result(answer, () => {
    const { event, late } = answer;
    if (event === null) return 'Kept. An event without an outcome is negative: nothing had to be sent';
    const sent = event.sent ? 'was sent' : 'is kept, and will be sent';
    return `Kept. The outcome ${event.id} ${sent} to ${event.source}${late ? ', too late to count as a label' : ''}`;
  });
}

/**
 * Reads `name=value`: what is a JSON number, text in quotes, `true`, `false` or `null` counts as that, anything else as text. Throws
 * CONFIGURATION.
 */
export function readFields(given: readonly string[]): Record<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const text of given) {
    const end = text.indexOf('=');
    const name = text.slice(0, end);
    if (end < 1) throw new PlatformError('CONFIGURATION', `--field: expected name=value, got '${text}'`);
    if (fields.has(name)) throw new PlatformError('CONFIGURATION', `--field: '${name}' comes twice`);
    fields.set(name, readValue(text.slice(end + 1)));
  }
  return Object.fromEntries(fields);
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

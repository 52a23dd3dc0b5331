import {
  PlatformError,
  type Verification,
  type VerificationRequest,
  type VerificationSummary,
} from '../../../contract/index.ts';
import { definitionHash } from '../../../define/index.ts';
import type { JobAttempt } from '../../../runtime/index.ts';
import {
  claimVerification,
  findVerification,
  findVerificationByKey,
  finishVerification,
  insertVerification,
  listOpenVerifications,
  listSummaries,
  publicVerification,
  type StoredVerification,
} from './verification-store.ts';
import { isPassing, verifyDecisions, type VerifyParts } from './verify-decisions.ts';

const QUEUE = 'features-verify';
/** A job whose process is silent for this long goes to another one, in seconds. */
const HEARTBEAT_SECONDS = 10;
const RETRIES = 2;
/** Longest time of one attempt, in seconds. */
const EXPIRE_SECONDS = 3_600;
/** What a verification looks back on unless it is told, in milliseconds. */
const LOOK_BACK_MS = 86_400_000;
/** How often it is looked whether one is due or lost, in milliseconds. */
const LOOK_MS = 30_000;
/** Seeds are whole numbers below this. */
const SEED_MAX = 2 ** 31;

interface VerifyJob {
  readonly verification: string;
}

/** Verifications of served vectors: asked for or due by the schedule, worked by one replica, kept with what they found. */
export class Verifications {
  readonly #parts: VerifyParts;
  readonly #stopping = new AbortController();
  #stopWork: ((graceMs: number) => Promise<void>) | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: VerifyParts) {
    this.#parts = parts;
  }

  /** Takes part in the work and in the schedule. */
  async start(): Promise<void> {
    const { jobs } = this.#parts.host;
    await jobs.createQueue(QUEUE, {
      heartbeatSeconds: HEARTBEAT_SECONDS,
      retries: RETRIES,
      expireSeconds: EXPIRE_SECONDS,
    });
    this.#stopWork = await jobs.work<VerifyJob>(QUEUE, 1, (job) => this.#work(job));
    this.#loop = this.#follow();
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#stopWork?.(graceMs);
  }

  /** Asks for one; it and its job are one transaction. Rejects with BAD_REQUEST and CONFLICT. */
  async ask(request: VerificationRequest): Promise<Verification> {
    const { host } = this.#parts;
    const { idempotencyKey, ...asked } = request;
    const now = host.clock.now();
    const { since = (asked.until ?? now) - LOOK_BACK_MS, until = now, sample } = asked;
    if (since >= until) {
      throw new PlatformError(
        'BAD_REQUEST',
        `'since' is before 'until'; got ${String(since)}, ${String(until)}`,
      );
    }
    if (idempotencyKey !== undefined && (idempotencyKey.includes('\0') || !idempotencyKey.isWellFormed()))
      throw new PlatformError('BAD_REQUEST', `'idempotencyKey' must be Unicode text without NUL characters`);
    const id = host.random.id();
    const requestHash = definitionHash(asked);
    const seed = Math.floor(host.random.float() * SEED_MAX);
    const made = await host.tables.transaction(async (tx) => {
      const facts = { id, createdAt: now, since, until, sample, seed, idempotencyKey, requestHash };
      const stored = await insertVerification(tx, facts);
      if (stored !== undefined)
        await host.jobs.send(QUEUE, { verification: id } satisfies VerifyJob, { id, tx });
      return stored;
    });
    if (made !== undefined) return publicVerification(made);
    const known = await findVerificationByKey(host.tables, idempotencyKey ?? '');
    if (known === undefined)
      throw new PlatformError('INTERNAL', 'A verification was neither stored nor found');
    if (known.requestHash === requestHash) return publicVerification(known);
    throw new PlatformError(
      'CONFLICT',
      `The idempotency key came before with another request, for verification ${known.id}`,
      { details: { verification: known.id } },
    );
  }

  /** Rejects with VERIFICATION_NOT_FOUND. */
  async get(id: string): Promise<Verification> {
    const found = await findVerification(this.#parts.host.tables, id);
    if (found !== undefined) return publicVerification(found);
    throw new PlatformError('VERIFICATION_NOT_FOUND', `There is no verification '${id}'`, {
      details: { verification: id },
    });
  }

  /** One page, newest first. */
  async list(page: {
    readonly after?: string | undefined;
    readonly valuesMin?: number | undefined;
    readonly limit: number;
  }): Promise<{ verifications: VerificationSummary[]; next: string | null }> {
    const { limit, valuesMin = null } = page;
    const after = page.after?.replaceAll('\0', '') ?? null;
    const found = await listSummaries(this.#parts.host.tables, { after, valuesMin, limit: limit + 1 });
    const verifications = found.slice(0, limit);
    return { verifications, next: found.length > limit ? (verifications.at(-1)?.id ?? null) : null };
  }

  /** Resolves when it has ended, whatever its end, or is somebody else's; rejects when it is to be tried again. */
  async #work(job: JobAttempt<VerifyJob>): Promise<void> {
    const { host } = this.#parts;
    const claimed = await claimVerification(host.tables, job.payload.verification);
    if (claimed === undefined) return;
    try {
      const findings = await verifyDecisions(this.#parts, claimed, job.signal);
      const isEnded = await finishVerification(host.tables, claimed, { at: host.clock.now(), findings });
      if (isEnded) this.#count({ ...claimed, ...findings });
    } catch (error) {
      if (job.signal.aborted || (isPassing(error) && job.attempt < RETRIES)) {
        host.logger.warn('A verification was interrupted', { verification: claimed.id, error });
        throw error;
      }
      host.logger.error('A verification failed', { verification: claimed.id, error });
      // Other errors than coded ones tell nothing: they may hold data.
      const text = PlatformError.is(error)
        ? `${error.code}: ${error.message}`
        : 'INTERNAL: An unexpected error happened; the log of the service has the details';
      await finishVerification(host.tables, claimed, { at: host.clock.now(), error: text });
    }
  }

  #count(verification: StoredVerification): void {
    const { metrics, logger } = this.#parts.host;
    const values = metrics.counter('verified_values_total', 'Served values that were recomputed', ['vector']);
    const mismatches = metrics.counter(
      'mismatches_total',
      'Served values that came out different when they were recomputed',
      ['vector'],
    );
    for (const feature of verification.features) {
      values.add(feature.values, { vector: feature.vector });
      mismatches.add(feature.mismatches, { vector: feature.vector });
    }
    const left = metrics.counter('not_recomputable_total', 'Decisions that could not be recomputed', [
      'reason',
    ]);
    for (const { reason, rows } of verification.reasons) left.add(rows, { reason });
    const { id, rows, mismatches: found } = verification;
    if (found > 0)
      logger.error('Served values differ from what is recomputed', { verification: id, rows, found });
  }

  async #follow(): Promise<void> {
    const { host } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#endLost();
        await this.#askIfDue();
      } catch (error) {
        host.logger.warn('Verifications could not be looked at', { error: String(error) });
      }
      await host.clock.sleep(LOOK_MS, signal);
    }
  }

  /** The schedule cuts time into pieces and verifies each once: the key is the piece, whoever asks first. */
  async #askIfDue(): Promise<void> {
    const { clock, options } = this.#parts.host;
    const { verifyMs, verifySample: sample } = options;
    if (verifyMs === 0) return;
    const piece = Math.floor(clock.now() / verifyMs);
    const [since, until] = [(piece - 1) * verifyMs, piece * verifyMs];
    const idempotencyKey = `scheduled ${String(verifyMs)} ${String(piece)}`;
    try {
      await this.ask({ sample, since, until, idempotencyKey });
    } catch (error) {
      // The sample was another one when the piece began.
      if (!PlatformError.is(error) || error.code !== 'CONFLICT') throw error;
    }
  }

  /** Ends those whose job was given up: its processes died too often, it expired, or it is gone. */
  async #endLost(): Promise<void> {
    const { tables, jobs, clock } = this.#parts.host;
    for (const open of await listOpenVerifications(tables)) {
      const job = await jobs.status(QUEUE, open.id);
      if (job !== undefined && job.state !== 'failed' && job.state !== 'cancelled') continue;
      const reason = job === undefined ? 'the job is gone' : (job.error ?? 'no reason known');
      const error = `INTERNAL: It was given up after ${String(open.epoch)} attempts: ${reason}`;
      await finishVerification(tables, open, { at: clock.now(), error });
    }
  }
}

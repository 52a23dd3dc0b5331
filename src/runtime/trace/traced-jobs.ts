import { currentScope, withScope } from '../call.ts';
import type { Jobs, WorkLimits } from '../ports/index.ts';
import { readTraceparent, writeTraceparent } from './context.ts';
import type { Tracer } from './tracer.ts';

/** Where the context of whoever sent a job lies in its payload. */
const KEY = 'traceparent';

/** Jobs that carry the trace of whoever sends them, and each of whose attempts is a trace of its own that names it. */
export function tracedJobs(jobs: Jobs, tracer: Tracer, service: string): Jobs {
  return {
    createQueue: (queue, options) => jobs.createQueue(queue, options),
    send(queue, payload, options) {
      const span = currentScope()?.span;
      return jobs.send(
        queue,
        span === undefined ? payload : { ...payload, [KEY]: writeTraceparent(span) },
        options,
      );
    },
    work: <TPayload extends object>(
      queue: string,
      limits: number | WorkLimits,
      handle: Parameters<typeof jobs.work<TPayload>>[2],
    ) =>
      jobs.work<TPayload>(queue, limits, async (job) => {
        const { [KEY]: sender, ...payload } = job.payload as TPayload & { readonly [KEY]?: unknown };
        const span = tracer.begin(`process ${queue}`, 'consumer', service);
        span.attributes = {
          'messaging.system': 'tandem',
          'messaging.operation.type': 'process',
          'messaging.destination.name': queue,
          'messaging.message.id': job.id,
          'tandem.job.attempt': job.attempt,
        };
        const link = readTraceparent(sender);
        if (link !== undefined) span.links = [{ traceId: link.traceId, spanId: link.spanId }];
        try {
          await withScope({ span }, () => handle({ ...job, payload: payload as unknown as TPayload }));
          tracer.end(span);
        } catch (error) {
          tracer.end(span, error ?? 'unknown');
          throw error;
        }
      }),
    status: (queue, id) => jobs.status(queue, id),
    cancel: (queue, id) => jobs.cancel(queue, id),
    retry: (queue, id, options) => jobs.retry(queue, id, options),
    backlog: (queue) => jobs.backlog(queue),
  };
}

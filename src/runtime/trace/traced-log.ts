import type { EventLog } from '../ports/index.ts';
import { currentScope } from '../call.ts';
import { writeTraceparent } from './context.ts';
import type { Tracer } from './tracer.ts';

/**
 * An event log whose appends are measured when they belong to a trace. Those of a trace that is exported carry its context into
 * the log, so that whoever applies the records can name it; the others cost nothing there.
 */
export function tracedLog(log: EventLog, tracer: Tracer, service: string): EventLog {
  return {
    get limits() {
      return log.limits;
    },
    createTopic: (name, options) => log.createTopic(name, options),
    topic: (name) => log.topic(name),
    append(topic, partition, records, options) {
      if (currentScope()?.span === undefined) return log.append(topic, partition, records, options);
      const span = tracer.begin(`send ${topic}`, 'producer', service);
      span.attributes = {
        'messaging.system': 'tandem',
        'messaging.operation.type': 'send',
        'messaging.destination.name': topic,
        'messaging.destination.partition.id': String(partition),
        'messaging.batch.message_count': records.length,
      };
      const appended = log.append(
        topic,
        partition,
        records,
        span.sampled ? { ...options, traceparent: writeTraceparent(span) } : options,
      );
      return appended.then(
        (offset) => {
          tracer.end(span);
          return offset;
        },
        (error: unknown) => {
          tracer.end(span, error ?? 'unknown');
          throw error;
        },
      );
    },
    read: (topic, partition, offset, options) => log.read(topic, partition, offset, options),
    ranges: (topic) => log.ranges(topic),
    retain: (topic, before, keepFrom) => log.retain(topic, before, keepFrom),
  };
}

import { isAscii, isUtf8 } from 'node:buffer';
import {
  compileRecordReader,
  type EventResult,
  partitionOf,
  type Rejection,
  SOURCE_PARTITIONS,
  sourceTopic,
} from '../../contract/index.ts';
import type { Source } from '../../define/index.ts';
import { textOf } from './body.ts';
import { isDeeper } from './json.ts';

/** What reading records of a source needs, made once. */
export interface SourceContract {
  readonly source: Source;
  readonly topic: string;
  readonly partitions: number;
  /** The rejection of a record that is larger than the limit. */
  readonly tooLarge: Rejection;
  /** The rejection of a record that is nested deeper than the limit. */
  readonly tooDeep: Rejection;
  /** Checks a parsed record, at `now` in milliseconds since 1970. */
  readValue(value: unknown, now: number): EventResult;
  /** Checks a record in JSON. `ascii`: whether all bytes are known to be ASCII. */
  readJson(bytes: Buffer, ascii: boolean, now: number): EventResult;
  partitionOf(key: string): number;
}

export interface RecordLimits {
  readonly recordBytesMax: number;
  readonly jsonDepthMax: number;
}

/** Compiles how records of the source are read. */
export function compileContract(source: Source, limits: RecordLimits): SourceContract {
  const read = compileRecordReader(source);
  const { maxSkewMs } = source;
  const { recordBytesMax, jsonDepthMax } = limits;
  const tooLarge: Rejection = {
    code: 'TOO_LARGE',
    reason: `a record has at most ${String(recordBytesMax)} bytes`,
  };
  const tooDeep: Rejection = {
    code: 'TOO_DEEP',
    reason: `a record is nested at most ${String(jsonDepthMax)} deep`,
  };
  const readValue = (value: unknown, now: number): EventResult => {
    const result = read(value);
    if ('rejection' in result) return result;
    const aheadMs = result.event.time - now;
    return aheadMs <= maxSkewMs ? result : { rejection: inFuture(source, aheadMs) };
  };
  return {
    source,
    topic: sourceTopic(source.name),
    partitions: SOURCE_PARTITIONS,
    tooLarge,
    tooDeep,
    readValue,
    readJson(bytes, ascii, now) {
      if (bytes.length > recordBytesMax) return { rejection: tooLarge };
      const plain = ascii || isAscii(bytes);
      if (!plain && !isUtf8(bytes)) return { rejection: NOT_UTF8 };
      if (isDeeper(bytes, jsonDepthMax)) return { rejection: tooDeep };
      let value: unknown;
      try {
        value = JSON.parse(textOf(bytes, plain));
      } catch {
        // The engine's own words quote the record, which may hold personal data.
        return { rejection: NOT_JSON };
      }
      return readValue(value, now);
    },
    partitionOf: (key) => partitionOf(key, SOURCE_PARTITIONS),
  };
}

export const NOT_UTF8: Rejection = { code: 'NOT_UTF8', reason: 'expected UTF-8; got bytes that are not' };

export const NOT_JSON: Rejection = {
  code: 'NOT_JSON',
  reason: 'expected one value in JSON (which has no NaN or Infinity)',
};

function inFuture(source: Source, aheadMs: number): Rejection {
  const { time, maxSkewMs } = source;
  const reason = `'${time}' is ${String(aheadMs)} ms ahead of the clock; at most ${String(maxSkewMs)} ms are allowed`;
  return { code: 'TIME_IN_FUTURE', field: time, reason };
}

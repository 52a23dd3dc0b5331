import { randomFillSync } from 'node:crypto';
import type { Random } from '../../runtime/ports/index.ts';

/** Random bytes fetched at a time: one call to the operating system serves many ids. */
const POOL_BYTES = 8_192;
/** Random bytes in one id, after its time and counter. */
const ID_BYTES = 8;
/** The counter has 12 bits; it starts in the lower half so that it rarely runs over within a millisecond. */
const COUNTER_MAX = 0xfff;
const COUNTER_START_MAX = 0x7ff;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Chance of this machine. Ids come from the cryptographic generator, `float` does not: it is for jitter and sampling. */
export function systemRandom(): Random {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  let lastMs = 0;
  let counter = 0;

  const take = (count: number): number => {
    if (used + count > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    used += count;
    return used - count;
  };
  const byte = (index: number): number => pool[index] ?? 0;

  return {
    float: () => Math.random(),
    id() {
      const start = take(ID_BYTES + 2);
      const now = Date.now();
      // A clock that stands still or goes back must not make ids sort backwards: the counter goes on instead.
      if (now > lastMs) {
        lastMs = now;
        counter = ((byte(start + 8) << 8) | byte(start + 9)) & COUNTER_START_MAX;
      } else if (counter === COUNTER_MAX) {
        lastMs += 1;
        counter = 0;
      } else {
        counter += 1;
      }
      return format(lastMs, counter, pool, start);
    },
  };
}

/** Writes the fields of RFC 9562, section 5.7: 48 bits of time, version, 12 bits of counter, variant, 62 random bits. */
function format(ms: number, counter: number, pool: Uint8Array, start: number): string {
  const hex = (value: number): string => HEX[value & 0xff] ?? '';
  const random = (index: number): number => pool[start + index] ?? 0;
  const high = Math.floor(ms / 0x1_0000);
  return (
    `${hex(high >>> 24)}${hex(high >>> 16)}${hex(high >>> 8)}${hex(high)}-${hex(ms >>> 8)}${hex(ms)}-` +
    `${hex(0x70 | (counter >>> 8))}${hex(counter)}-${hex(0x80 | (random(0) & 0x3f))}${hex(random(1))}-` +
    `${hex(random(2))}${hex(random(3))}${hex(random(4))}${hex(random(5))}${hex(random(6))}${hex(random(7))}`
  );
}

import { describe, expect, it } from 'vitest';
import { ArmedFailPoints, type ArmedPoint, noFailPoints, parseFailPoints } from './fail-points.ts';

interface Armed {
  readonly points: ArmedFailPoints;
  /** What happened, in order. */
  readonly happened: string[];
}

function armed(text: string, floats: readonly number[] = []): Armed {
  const happened: string[] = [];
  const left = [...floats];
  const points = new ArmedFailPoints({
    clock: {
      sleep: (ms) => {
        happened.push(`slept ${String(ms)}`);
        return Promise.resolve();
      },
    },
    random: { float: () => left.shift() ?? 1 },
    die: () => happened.push('died'),
    fired: ({ name }: ArmedPoint) => happened.push(`fired ${name}`),
  });
  points.arm(parseFailPoints(text));
  return { points, happened };
}

describe('fail-points', () => {
  it('cost nothing and do nothing when none is armed', () => {
    expect(noFailPoints.pass('log.append.before')).toBeUndefined();
    expect(Object.isFrozen(noFailPoints)).toBe(true);
  });

  it('kill at the passage that was said and at no other, after telling', async () => {
    const { points, happened } = armed('log.append.committed=kill@3');
    for (let passage = 1; passage <= 5; passage += 1) {
      await points.pass('log.append.committed');
      await points.pass('log.append.before');
      expect(happened).toEqual(passage < 3 ? [] : ['fired log.append.committed', 'died']);
    }
  });

  it('pause, and reject with a code, one by one or by chance', async () => {
    const { points, happened } = armed(
      'serve.ledger.before=pause:200, objects.put.written=error:STORAGE_FULL@p0.5',
      [0.7, 0.3],
    );
    await points.pass('serve.ledger.before');
    expect(happened).toEqual(['fired serve.ledger.before', 'slept 200']);
    await points.pass('objects.put.written');
    await expect(points.pass('objects.put.written')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  });

  it('count anew when they are armed anew', async () => {
    const { points, happened } = armed('log.append.before=kill@2');
    await points.pass('log.append.before');
    points.arm(parseFailPoints('log.append.before=kill@2'));
    await points.pass('log.append.before');
    expect(happened).toEqual([]);
    points.arm([]);
    await points.pass('log.append.before');
    expect(happened).toEqual([]);
  });

  it.each([
    ['log.append.after=kill', "no fail-point 'log.append.after'"],
    ['log.append.before', 'expected NAME=kill'],
    ['log.append.before=kill@0', 'expected NAME=kill'],
    ['log.append.before=kill@p2', 'expected NAME=kill'],
    ['log.append.before=error:NOPE', 'expected NAME=kill'],
    ['log.append.before=pause', 'expected NAME=kill'],
  ])('refuse %s', (text, message) => {
    expect(() => parseFailPoints(text)).toThrow(message);
  });
});

import { describe, expect, it } from 'vitest';
import { Timeline } from './timeline.ts';

describe('Timeline', () => {
  it('writes lines with seconds and adds up phases', async () => {
    const lines: string[] = [];
    const timeline = new Timeline((text) => lines.push(text));
    timeline.say('start', 'hello');
    expect(lines[0]).toMatch(/^ +\d+\.\d s {2}start {5}hello\n$/);
    expect(await timeline.phase('work', () => Promise.resolve(3))).toBe(3);
    timeline.add('work', 2);
    await expect(timeline.phase('work', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(timeline.seconds['work']).toBeGreaterThanOrEqual(2);
    expect(Object.keys(timeline.seconds)).toEqual(['work', 'total']);
  });
});

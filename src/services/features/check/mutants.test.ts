import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { Accumulator } from '../online/accumulate.ts';
import { Core } from '../online/core.ts';
import { ExpiringIndex } from '../online/expiring-index.ts';
import { OnlineState } from '../online/online-state.ts';
import type { SectionWriter } from '../online/sections.ts';
import { Shard } from '../online/shard.ts';
import { Superseded } from '../online/superseded.ts';
import { TiledGroup } from '../online/tiled-group.ts';
import { altering } from './altering.ts';
import { checkSubject } from './check.ts';
import { explain } from './explain.ts';
import app from './fixtures/corpus.ts';
import { groupSubject } from './subject.ts';
import { originalOf } from './test-original.ts';

/** A wrong rule, planted in the statements or in the online state. */
interface Mutant {
  /** A group of the corpus that it concerns. */
  readonly group: string;
  /** The rule that the case must name. */
  readonly rule: number;
  /** How long the case may be. Default 8 rows: more is needed where state must have been saved and lost. */
  readonly rowsMax?: number;
  readonly sql?: (sql: string) => string;
  readonly online?: () => void;
}

const HOP = / - \(\(\(\(_as_of - \d+\) % \d+\) \+ \d+\) % \d+\)/g;
const KNOWN = /\s+and e\._offset < q\."positions_\w+"\[e\._partition \+ 1\]/g;

const UNTIL = /\s+and \(e\._until is null or e\._until >= q\."positions_\w+"\[e\._partition \+ 1\]\)/g;

/** A test that no wrong rule fails proves nothing: each of these must be found out. */
const MUTANTS: Readonly<Record<string, Mutant>> = {
  'SQL: an event at exactly asOf counts (<= for <)': {
    group: 'tiled_count',
    rule: 4,
    sql: (sql) => sql.replaceAll('e._at < q.as_of', 'e._at <= q.as_of'),
  },
  'SQL: tiles slide with asOf': { group: 'tiled_count', rule: 4, sql: (sql) => sql.replaceAll(HOP, '') },
  'SQL: tiles of whole windows slide with asOf, found by every aggregate': {
    group: 'tiled_last',
    rule: 4,
    sql: (sql) => sql.replaceAll(HOP, ''),
  },
  'SQL: the left edge is open': {
    group: 'exact_left',
    rule: 4,
    sql: (sql) => sql.replaceAll('_at >= (_as_of', '_at > (_as_of'),
  },
  'SQL: the left edge of a right-closed window is closed': {
    group: 'exact_right',
    rule: 4,
    sql: (sql) => sql.replaceAll('_at > (_as_of', '_at >= (_as_of'),
  },
  'SQL: the right edge of a right-closed window is open': {
    group: 'exact_right',
    rule: 4,
    sql: (sql) => sql.replaceAll(' or (e._at = q.as_of and', ' or (false and'),
  },
  'SQL: of a tie with the candidate all count': {
    group: 'exact_right',
    rule: 4,
    sql: (sql) => sql.replaceAll('e._place < q.place', 'true'),
  },
  'SQL: a stored candidate counts twice': {
    group: 'exact_right',
    rule: 4,
    sql: (sql) => sql.replaceAll('e._place is distinct from q.place', 'true'),
  },
  'SQL: a stored candidate is merged into its tile again': {
    group: 'tiled_sum',
    rule: 4,
    sql: (sql) => sql.replaceAll('where q.place is null or q.stored_at >= q.as_of', ''),
  },
  'SQL: the filter is forgotten': {
    group: 'where_money',
    rule: 4,
    sql: (sql) => sql.replaceAll(/coalesce\(\([^\n]*?\), false\) as _passes/g, 'true as _passes'),
  },
  'SQL: the knowledge of the read is ignored': {
    group: 'tiled_sum',
    rule: 5,
    sql: (sql) => sql.replaceAll(KNOWN, ''),
  },
  'SQL: the knowledge of outcomes is ignored': {
    group: 'matured_right',
    rule: 5,
    sql: (sql) => sql.replaceAll(/ and x\.o < q\."positions_\w+"\[x\.p \+ 1\]/g, ''),
  },
  'SQL: duplicates count': {
    group: 'exact_left',
    rule: 3,
    sql: (sql) => sql.replace(/where \(_newest is null or [^)]*\)/, 'where true'),
  },
  'SQL: the last event of an id wins': {
    group: 'exact_left',
    rule: 3,
    sql: (sql) => sql.replace(' order by _offset\n', ' order by _offset desc\n'),
  },
  'SQL: an id is looked for in all partitions': {
    group: 'exact_by_shop',
    rule: 3,
    sql: (sql) => sql.replace('partition by _partition, ', 'partition by '),
  },
  'SQL: an id is remembered for ever': {
    group: 'exact_left',
    rule: 3,
    sql: (sql) => sql.replace(/\(_newest is null or [^)]*\)/, '(_newest is null)'),
  },
  'SQL: an id is forgotten at the horizon': {
    group: 'exact_left',
    rule: 3,
    sql: (sql) => sql.replace('" > _newest + ', '" >= _newest + '),
  },
  'SQL: a repetition does not renew an id': {
    group: 'exact_left',
    rule: 3,
    sql: (sql) => sql.replace(/max\(("\w+")\) over/, 'first_value($1) over'),
  },
  'SQL: of a tie the first is the latest': {
    group: 'tiled_last',
    rule: 7,
    sql: (sql) => sql.replaceAll('+ _place::hugeint)', '- _place::hugeint)'),
  },
  'SQL: a sum over nothing is null': {
    group: 'exact_left_ignore',
    rule: 7,
    sql: (sql) => sql.replaceAll('= 0 then 0::double', '= 0 then null::double'),
  },
  'SQL: the latest value may be a null': {
    group: 'tiled_last',
    rule: 7,
    sql: (sql) =>
      sql
        .replaceAll(/arg_max\((input_\d+), /g, 'arg_max_null($1, ')
        .replaceAll(/ and input_\d+ is not null\)/g, ')'),
  },
  'SQL: an outcome after maturity counts': {
    group: 'matured_right',
    rule: 10,
    sql: (sql) => sql.replaceAll('x.t < e._at', 'true'),
  },
  'SQL: the condition of a label is not looked at': {
    group: 'matured_dear',
    rule: 10,
    sql: (sql) => sql.replace(/(from "events_returns") where [^\n]* group by/, '$1 group by'),
  },
  'SQL: whoever looked found something': {
    group: 'looked',
    rule: 10,
    sql: (sql) => sql.replaceAll(' and x.w', ''),
  },
  'SQL: who was not looked at is negative': {
    group: 'looked',
    rule: 10,
    sql: (sql) => sql.replaceAll(' and _known_outcome', ''),
  },
  'online: an outcome that finds nothing is none': {
    group: 'looked',
    rule: 10,
    online: () => {
      const mark = originalOf(Shard.prototype, 'mark');
      vi.spyOn(Shard.prototype, 'mark').mockImplementation(function (this: Shard, ...given) {
        if (given[3] === 'positive') mark.apply(this, given);
      });
    },
  },
  'SQL: what is true or unknown is true': {
    group: 'answers',
    rule: 7,
    sql: (sql) =>
      sql.replaceAll(/case when \S+ is not null and \S+ is not null then/g, 'case when true then'),
  },
  'SQL: a time to live holds online only': {
    group: 'lives',
    rule: 7,
    sql: (sql) => sql.replaceAll(/ or q\.as_of - \w+ >= \d+/g, ''),
  },
  'SQL: a time to live ends one millisecond later': {
    group: 'lives',
    rule: 7,
    sql: (sql) => sql.replaceAll(/(q\.as_of - \w+) >= (\d+)/g, '$1 > $2'),
  },
  'SQL: the filter of an aggregate is not looked at': {
    group: 'gift_filters',
    rule: 7,
    sql: (sql) => sql.replaceAll(/\(case when "gift" then /g, '(case when true then '),
  },
  'SQL: a code begins one digit later': {
    group: 'texts',
    rule: 7,
    sql: (sql) => sql.replaceAll(/(sha256\([^\n]*?\)), 1, 13\)/g, '$1, 2, 13)'),
  },
  'SQL: a text that is no category is the first': {
    group: 'tiled_texts',
    rule: 7,
    sql: (sql) => sql.replaceAll(/ end\)::double/g, ' else 0 end)::double'),
  },
  'SQL: the earliest are the latest': {
    group: 'tiled_ends',
    rule: 7,
    sql: (sql) => sql.replaceAll('arg_min(', 'arg_max('),
  },
  'SQL: a bound of a histogram belongs to the bucket below': {
    group: 'tiled_spread',
    rule: 7,
    sql: (sql) => sql.replaceAll(/(input_\d+) >= (-?\d+::bigint)/g, '$1 > $2'),
  },
  'SQL: a variance is divided by one less': {
    group: 'tiled_spread',
    rule: 7,
    sql: (sql) => sql.replaceAll(/\) \/ (coalesce\(\w+, 0\))\)\[1\]/g, ') / ($1 - 1))[1]'),
  },
  'SQL: the candidate is left out': {
    group: 'exact_left',
    rule: 4,
    sql: (sql) => sql.replace(/union all[\s\S]*?\),\ntotals/, '),\ntotals'),
  },
  'SQL: a correction counts as one more event': {
    group: 'corrected_exact',
    rule: 3,
    sql: (sql) => sql.replaceAll(UNTIL, ''),
  },
  'SQL: a deletion is not looked at': {
    group: 'corrected_hops',
    rule: 3,
    sql: (sql) =>
      sql.replace(
        /(from \(select \* from read_parquet\([^\n]*?) where (_offset < )/,
        '$1 where _deleted is not true and $2',
      ),
  },
  'SQL: an older revision wins that comes later': {
    group: 'corrected_right',
    rule: 3,
    sql: (sql) => sql.replace(' or coalesce(_revision, 0) > _best', ' or true'),
  },
  'SQL: the first record of an id wins, as without corrections': {
    group: 'corrected_where',
    rule: 3,
    sql: (sql) => sql.replace('_best is null or coalesce(_revision, 0) > _best', '_best is null'),
  },
  'SQL: the same revision again takes the place of the first': {
    group: 'corrected_exact',
    rule: 3,
    sql: (sql) => sql.replace('coalesce(_revision, 0) > _best', 'coalesce(_revision, 0) >= _best'),
  },
  'SQL: as served sees corrections that came later': {
    group: 'corrected_hops',
    rule: 5,
    sql: (sql) => sql.replaceAll(UNTIL, ' and e._until is null'),
  },
  'SQL: a correction at exactly the position is known': {
    group: 'corrected_exact',
    rule: 5,
    sql: (sql) => sql.replaceAll('e._until >= ', 'e._until > '),
  },
  'SQL: a candidate that was corrected counts as stored where it was': {
    group: 'corrected_right',
    rule: 4,
    sql: (sql) =>
      sql.includes('from q_rows join')
        ? sql.replaceAll(/e\._until >= r\."positions_\w+"\[[^\]]+\]/g, 'true')
        : sql,
  },
  'SQL: what is corrected lies in tiles that a stored candidate is not left out of': {
    group: 'corrected_hops',
    rule: 4,
    sql: (sql) => sql.replaceAll('e._place is distinct from q.place', 'true'),
  },
  'replay: corrections are not known to the lanes': {
    group: 'corrected_sketches',
    rule: 3,
    // What feeds the replay of a group.
    sql: (sql) => sql.replace(/^select \* from ("events_bookings")/, 'select * exclude (_until) from $1'),
  },
  'online: a correction is one more event': {
    group: 'corrected_exact',
    rule: 3,
    online: () => {
      vi.spyOn(Shard.prototype, 'remove').mockReturnValue();
    },
  },
  'online: an older revision wins that comes later': {
    group: 'corrected_hops',
    rule: 3,
    online: () => {
      const admit = originalOf(Core.prototype, 'admit');
      let revision = 0;
      vi.spyOn(Core.prototype, 'admit').mockImplementation(function (
        this: Core,
        source,
        partition,
        offset,
        event,
      ) {
        revision += 1;
        const isRevised = this.source(source).source.corrections === true;
        return admit.call(this, source, partition, offset, isRevised ? { ...event, revision } : event);
      });
    },
  },
  'online: corrections do nothing': {
    group: 'corrected_right',
    rule: 3,
    online: () => {
      const admit = originalOf(Core.prototype, 'admit');
      vi.spyOn(Core.prototype, 'admit').mockImplementation(function (
        this: Core,
        source,
        partition,
        offset,
        event,
      ) {
        return admit.call(this, source, partition, offset, { ...event, revision: 0 });
      });
    },
  },
  'online: what was replaced comes back from a snapshot': {
    group: 'corrected_exact',
    rule: 11,
    online: () => {
      vi.spyOn(Core.prototype, 'visitReplaced').mockReturnValue();
    },
  },
  'online: what was replaced is not saved': {
    group: 'corrected_exact',
    rule: 11,
    online: () => {
      vi.spyOn(Superseded.prototype, 'load').mockImplementation(function (this: Superseded, reader) {
        reader.numbers();
        reader.numbers();
      });
    },
  },
  'replay: what a row could know is ignored': {
    group: 'sketches',
    rule: 5,
    // The reads of the replay are queries.
    sql: (sql) => sql.replaceAll(/"positions_\w+"::varchar as _known/g, "'[99,99,99]' as _known"),
  },
  'online: a time to live is not looked at': {
    group: 'lives',
    rule: 7,
    online: () => {
      const add = originalOf(Accumulator.prototype, 'add');
      vi.spyOn(Accumulator.prototype, 'add').mockImplementation(function (
        this: Accumulator,
        value,
        ...others
      ) {
        add.call(this, value, ...others);
        if (this.count > 0) this.latestTime = Number.POSITIVE_INFINITY;
      });
    },
  },
  'online: late events are dropped': {
    group: 'tiled_count',
    rule: 6,
    online: () => {
      const apply = originalOf(OnlineState.prototype, 'apply');
      vi.spyOn(OnlineState.prototype, 'apply').mockImplementation(function (
        this: OnlineState,
        source,
        partition,
        offset,
        event,
      ) {
        if (event.time >= this.clock - 1_000) return apply.call(this, source, partition, offset, event);
        this.skip(source, partition, offset);
        return 'seen';
      });
    },
  },
  'online: events ahead of the clock are not held': {
    group: 'tiled_sum',
    rule: 6,
    online: () => {
      const add = originalOf(TiledGroup.prototype, 'add');
      vi.spyOn(TiledGroup.prototype, 'add').mockImplementation(function (
        this: TiledGroup,
        key,
        time,
        sequence,
        values,
      ) {
        add.call(this, key, time, sequence, values, Math.max(time + 1, 0));
      });
    },
  },
  'online: held events are not saved': {
    group: 'tiled_sum',
    rule: 11,
    online: () => {
      const save = originalOf(TiledGroup.prototype, 'save');
      vi.spyOn(TiledGroup.prototype, 'save').mockImplementation(function (
        this: TiledGroup,
        writer: SectionWriter,
      ) {
        let isFirst = true;
        const forgetful = {
          // The held events come first.
          json: (value: unknown) => {
            writer.json(isFirst ? [] : value);
            isFirst = false;
          },
          numbers: (values: Float64Array) => writer.numbers(values),
          bytes: (bytes: Uint8Array) => writer.bytes(bytes),
        } as unknown as SectionWriter;
        save.call(this, forgetful);
      });
    },
  },
  'online: duplicates count': {
    group: 'exact_left',
    rule: 3,
    online: () => {
      const admit = originalOf(Core.prototype, 'admit');
      vi.spyOn(Core.prototype, 'admit').mockImplementation(function (this: Core, ...record) {
        const applied = admit.apply(this, record);
        return applied === 'duplicate' ? 'applied' : applied;
      });
    },
  },
  'online: an id is remembered for ever': {
    group: 'exact_left',
    rule: 3,
    online: () => {
      const get = originalOf(ExpiringIndex.prototype, 'get');
      // The newest time of an id's records.
      vi.spyOn(ExpiringIndex.prototype, 'get').mockImplementation(function (this: ExpiringIndex, column) {
        return column === 2 ? Number.MAX_SAFE_INTEGER / 2 : get.call(this, column);
      });
    },
  },
  'online: ids are forgotten as soon as windows have passed their events': {
    group: 'exact_left',
    rule: 3,
    rowsMax: 16,
    online: () => {
      const sweep = originalOf(ExpiringIndex.prototype, 'sweep');
      vi.spyOn(ExpiringIndex.prototype, 'sweep').mockImplementation(function (
        this: ExpiringIndex,
        time,
        entries,
      ) {
        return sweep.call(this, time + 90_000_000, entries);
      });
    },
  },
  'online: tiles are read behind their clock': {
    group: 'tiled_count',
    rule: 9,
    online: () => {
      vi.spyOn(OnlineState.prototype, 'readableAt').mockReturnValue(Number.NEGATIVE_INFINITY);
    },
  },
  'online: what windows still see is forgotten': {
    group: 'tiled_sum',
    rule: 4,
    online: () => {
      const sweep = originalOf(Shard.prototype, 'sweep');
      vi.spyOn(Shard.prototype, 'sweep').mockImplementation(function (
        this: Shard,
        readableFrom,
        clock,
        keys,
      ) {
        sweep.call(this, readableFrom + 3_600_000, clock + 3_600_000, keys);
      });
    },
  },
  'online: ids are forgotten while they matter': {
    group: 'exact_left',
    rule: 3,
    online: () => {
      const sweep = originalOf(ExpiringIndex.prototype, 'sweep');
      vi.spyOn(ExpiringIndex.prototype, 'sweep').mockImplementation(function (
        this: ExpiringIndex,
        _time,
        entries,
      ) {
        return sweep.call(this, Number.POSITIVE_INFINITY, entries);
      });
    },
  },
  'online: a snapshot covers nothing': {
    group: 'exact_left',
    rule: 11,
    online: () => {
      const load = originalOf(Shard.prototype, 'load');
      vi.spyOn(Shard.prototype, 'load').mockImplementation(function (this: Shard, bytes) {
        const isLoaded = load.call(this, bytes);
        this.covered = new Map();
        return isLoaded;
      });
    },
  },
  'online: the tail of the log is not replayed': {
    group: 'tiled_sum',
    rule: 11,
    online: () => {
      vi.spyOn(OnlineState.prototype, 'catchUp').mockReturnValue();
    },
  },
};

describe('wrong rules', () => {
  let directory: string;
  let warehouse: Warehouse;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-mutants-'));
    warehouse = duckdbWarehouse({ directory, threads: 1 });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it.each(Object.entries(MUTANTS))('%s: is found out, in a case that says which rule', async (_, mutant) => {
    const group = app.groups.get(mutant.group);
    if (group === undefined) throw new Error(mutant.group);
    let altered = 0;
    const planted =
      mutant.sql === undefined
        ? warehouse
        : altering(warehouse, (sql) => {
            const other = mutant.sql?.(sql) ?? sql;
            if (other !== sql) altered += 1;
            return other;
          });
    mutant.online?.();
    const { failure } = await checkSubject(groupSubject(app, group), {
      warehouse: planted,
      runs: 512,
      seed: 7,
    });
    if (mutant.sql !== undefined) expect(altered).toBeGreaterThan(0);
    if (failure === undefined) throw new Error('nobody noticed');
    const found = explain(failure.mismatch);
    expect(found.rules.map(({ rule }) => rule)).toContain(mutant.rule);
    if (mutant.sql !== undefined) expect(found.apart).toBe('sql');
    expect(found.rows.length).toBeLessThanOrEqual(mutant.rowsMax ?? 8);
  });
});

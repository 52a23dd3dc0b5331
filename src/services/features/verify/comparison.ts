import {
  type Difference,
  DIFFERENCES_MAX,
  type LedgerEntry,
  type NotRecomputable,
} from '../../../contract/index.ts';
import type { Findings } from './verification-store.ts';

interface FeatureCount {
  readonly vector: string;
  readonly vectorHash: string;
  readonly feature: string;
  values: number;
  mismatches: number;
}

/** Counts what came out equal, what did not, and what could not be recomputed: no row is in two of them. */
export class Comparison {
  readonly #features = new Map<string, FeatureCount>();
  readonly #reasons = new Map<NotRecomputable, number>();
  readonly #differences: Difference[] = [];
  #rows = 0;

  /** A row that was recomputed. Values are compared bit for bit, as the ledger would have recorded them. */
  add(entry: LedgerEntry, recomputed: readonly (number | null)[]): void {
    this.#rows += 1;
    // A value more or less is a difference of that value.
    const count = Math.max(entry.names.length, recomputed.length);
    for (let index = 0; index < count; index += 1) {
      const feature = entry.names[index] ?? `value ${String(index)}`;
      const counted = this.#feature(entry, feature);
      const served = entry.values[index] ?? null;
      const again = recordable(recomputed[index] ?? null);
      counted.values += 1;
      if (Object.is(served, again) && index < entry.values.length && index < recomputed.length) continue;
      counted.mismatches += 1;
      const { decisionId, at, vector } = entry;
      this.#differences.push({ decisionId, at, vector, feature, served, recomputed: again });
      this.#keepFirst();
    }
  }

  /** A row that nothing can be said about. */
  leaveOut(reason: NotRecomputable): void {
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  findings(decisions: number): Findings {
    const features = [...this.#features.values()].sort(
      (left, right) =>
        right.mismatches - left.mismatches ||
        (`${left.vector} ${left.feature}` < `${right.vector} ${right.feature}` ? -1 : 1),
    );
    const total = (of: 'values' | 'mismatches'): number =>
      features.reduce((sum, feature) => sum + feature[of], 0);
    const reasons = [...this.#reasons].map(([reason, rows]) => ({ reason, rows }));
    return {
      decisions,
      rows: this.#rows,
      values: total('values'),
      mismatches: total('mismatches'),
      notRecomputable: reasons.reduce((sum, { rows }) => sum + rows, 0),
      features,
      reasons,
      differences: this.#differences.sort(byDecision).slice(0, DIFFERENCES_MAX),
    };
  }

  #feature({ vector, vectorHash }: LedgerEntry, feature: string): FeatureCount {
    const key = `${vectorHash} ${feature}`;
    const known = this.#features.get(key) ?? { vector, vectorHash, feature, values: 0, mismatches: 0 };
    this.#features.set(key, known);
    return known;
  }

  /** Rows come by vector; the first of all decisions are wanted, and no more are kept than that needs. */
  #keepFirst(): void {
    if (this.#differences.length < 4 * DIFFERENCES_MAX) return;
    this.#differences.sort(byDecision).splice(DIFFERENCES_MAX);
  }
}

/** Ids of decisions begin with their time. */
function byDecision(left: Difference, right: Difference): number {
  return left.decisionId < right.decisionId ? -1 : left.decisionId > right.decisionId ? 1 : 0;
}

/** A value as the ledger records it: not finite is missing, and zero has no sign. */
function recordable(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value + 0 : null;
}

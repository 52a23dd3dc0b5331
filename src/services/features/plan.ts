import { compileEventReader, type EventReader } from '../../contract/index.ts';
import {
  type App,
  compileExpression,
  type Evaluator,
  type Feature,
  type FeatureGroup,
  type LabelDefinition,
  type Source,
  type Values,
  type Vector,
} from '../../define/index.ts';

/** A feature of a group with what the engines need at hand. */
export interface FeaturePlan {
  readonly feature: Feature;
  /** Index into the group's inputs; -1 for `count`, which has none. */
  readonly input: number;
  /** Results are divided by it: 100 for money in cents. */
  readonly unit: number;
  /** Whether inputs are whole numbers, whose sums are exact. */
  readonly whole: boolean;
}

/** A group compiled: distinct inputs, filter, features. */
export interface GroupPlan {
  readonly group: FeatureGroup;
  /** Index of the group in {@link Plan.groups}. */
  readonly index: number;
  readonly features: readonly FeaturePlan[];
  readonly inputs: readonly Evaluator[];
  /** Whether an event takes part; always true without a `where`. */
  readonly passes: (values: Values) => boolean;
  readonly windowMsMax: number;
  /** Added to the event time: 0, or the label's maturity. */
  readonly delayMs: number;
  /** Name of the label among the values of a matured stream. */
  readonly labelName: string | undefined;
}

export interface LabelPlan {
  readonly label: LabelDefinition;
  /** Groups over the matured label, by index. */
  readonly groups: readonly number[];
}

export interface SourcePlan {
  readonly source: Source;
  readonly index: number;
  readonly read: EventReader;
  /** Groups fed by the source's events. */
  readonly groups: readonly GroupPlan[];
  /** Labels whose labelled events this source holds. */
  readonly labelled: readonly LabelPlan[];
  /** Labels whose outcomes this source holds. */
  readonly outcomes: readonly LabelPlan[];
}

export interface VectorPlan {
  readonly vector: Vector;
  readonly candidate: SourcePlan;
  readonly groups: readonly GroupPlan[];
  /** Sources whose positions decide the values, by name. */
  readonly sources: readonly SourcePlan[];
  /**
   * How far back an event can matter to a value, in milliseconds. A candidate whose record lies further back counts as not
   * stored, in both engines: the online state may have forgotten its id by then, and values must not depend on when.
   */
  readonly horizonMs: number;
  /** Whether every group is exact, so that it can be read at any instant that is still kept. */
  readonly exact: boolean;
  /** How each value is found: in the group's result, or by an expression over the candidate. */
  readonly values: readonly (
    | { readonly from: 'group'; readonly group: number; readonly index: number }
    | { readonly from: 'candidate'; readonly evaluate: Evaluator }
  )[];
  readonly names: readonly string[];
}

/** Everything the engines of an app need, compiled once. */
export interface Plan {
  readonly groups: readonly GroupPlan[];
  readonly labels: readonly LabelPlan[];
  readonly sources: ReadonlyMap<string, SourcePlan>;
  readonly vectors: ReadonlyMap<string, VectorPlan>;
  /** The longest an event can matter, in milliseconds: the longest window and the longest maturity together. */
  readonly horizonMs: number;
  /** Hashes of all groups, labels and sources: state of another plan cannot be used. */
  readonly hashes: readonly string[];
}

/** Compiles an app. */
export function compilePlan(app: App): Plan {
  const groups = [...app.groups.values()].map(compileGroup);
  const labels: LabelPlan[] = [...app.labels.values()].map((label) => ({
    label,
    groups: groups.filter((plan) => plan.group.from.matured?.name === label.name).map((plan) => plan.index),
  }));
  const sources = new Map<string, SourcePlan>();
  for (const source of app.sources.values()) {
    sources.set(source.name, {
      source,
      index: sources.size,
      read: compileEventReader(source),
      groups: groups.filter((plan) => plan.group.from.source.name === source.name),
      labelled: labels.filter((plan) => plan.label.of.name === source.name),
      outcomes: labels.filter((plan) => plan.label.from.name === source.name),
    });
  }
  const vectors = new Map<string, VectorPlan>();
  for (const vector of app.vectors.values()) vectors.set(vector.name, compileVector(vector, groups, sources));
  const windowMsMax = Math.max(0, ...groups.map((plan) => plan.windowMsMax));
  const maturityMsMax = Math.max(0, ...labels.map((plan) => plan.label.maturesAfterMs));
  return {
    groups,
    labels,
    sources,
    vectors,
    horizonMs: windowMsMax + maturityMsMax,
    hashes: [...app.groups.values(), ...app.labels.values(), ...app.sources.values()].map(
      (item) => item.hash,
    ),
  };
}

function compileGroup(group: FeatureGroup, index: number): GroupPlan {
  const inputs: Evaluator[] = [];
  const known = new Map<string, number>();
  const features = group.features.map((feature): FeaturePlan => {
    if (feature.input === undefined) return { feature, input: -1, unit: 1, whole: true };
    const text = JSON.stringify(feature.input);
    let input = known.get(text);
    if (input === undefined) {
      input = inputs.push(compileExpression(feature.input)) - 1;
      known.set(text, input);
    }
    return { feature, input, unit: 10 ** feature.decimals, whole: feature.inputType !== 'number' };
  });
  const where = group.where === undefined ? undefined : compileExpression(group.where);
  return {
    group,
    index,
    features,
    inputs,
    passes: where === undefined ? () => true : (values) => where(values) === true,
    windowMsMax: Math.max(...group.features.map((feature) => feature.windowMs + feature.hopMs)),
    delayMs: group.from.matured?.maturesAfterMs ?? 0,
    labelName: group.from.matured?.name,
  };
}

function compileVector(
  vector: Vector,
  groups: readonly GroupPlan[],
  sources: ReadonlyMap<string, SourcePlan>,
): VectorPlan {
  const own = vector.groups.map((group) => {
    const plan = groups.find((candidate) => candidate.group.name === group.name);
    if (plan === undefined)
      throw new TypeError(`Vector '${vector.name}' refers to unknown group '${group.name}'`);
    return plan;
  });
  const source = (name: string): SourcePlan => {
    const plan = sources.get(name);
    if (plan === undefined) throw new TypeError(`Vector '${vector.name}' refers to unknown source '${name}'`);
    return plan;
  };
  const names = new Set([vector.candidate.name]);
  for (const plan of own) {
    names.add(plan.group.from.source.name);
    if (plan.group.from.matured !== undefined) names.add(plan.group.from.matured.from.name);
  }
  return {
    vector,
    candidate: source(vector.candidate.name),
    groups: own,
    sources: [...names].map(source),
    horizonMs: Math.max(0, ...own.map((plan) => plan.windowMsMax + plan.delayMs)),
    exact: own.every((plan) => plan.group.exact),
    values: vector.values.map((value) =>
      value.from === 'candidate'
        ? { from: 'candidate', evaluate: compileExpression(value.expression) }
        : {
            from: 'group',
            group: own.findIndex((plan) => plan.group.name === value.group),
            index: value.index,
          },
    ),
    names: vector.values.map((value) => value.name),
  };
}

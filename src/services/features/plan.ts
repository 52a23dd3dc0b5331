import { compileEventReader, compileRecordReader, type EventReader } from '../../contract/index.ts';
import {
  type App,
  compileExpression,
  type Evaluator,
  type ExpressionNode,
  type Feature,
  type FeatureGroup,
  type LabelDefinition,
  type Source,
  type Values,
  type Vector,
} from '../../define/index.ts';
import { type ExpressionPlan, expressionPlans } from './expression-plan.ts';
import { hashText } from './online/aggregators/hash.ts';
import type { OutcomeVerdict } from './online/verdict.ts';
import { RecordReader } from './record-reader.ts';

/** A feature or a part of a group with what the engines need at hand. */
export interface FeaturePlan {
  readonly feature: Feature;
  /** Its place among the group's features and then its parts. */
  readonly place: number;
  /** Index into the group's inputs; -1 for `count` of all events and for expressions, which have none. */
  readonly input: number;
  /** Results are divided by it: 100 for money in cents. */
  readonly unit: number;
  /** Whether inputs are whole numbers, whose sums are exact. */
  readonly whole: boolean;
}

/** What is aggregated: a value of each event, null where the filter is not true. */
export interface InputPlan {
  readonly node: ExpressionNode;
  readonly filter: ExpressionNode | undefined;
}

/** State that a kind keeps beside the usual statistics, for one input: features of several windows and ranks share it. */
export interface SlotPlan {
  /** The first of the features that share it: its kind and parameters decide what is kept. */
  readonly feature: Feature;
  /** Index into the group's inputs. */
  readonly input: number;
}

/** Features that come from the usual statistics of one input over one window: they are collected once for all of them. */
export interface UsualRead {
  /** Index into the group's inputs; -1 when only events are counted. */
  readonly input: number;
  readonly windowMs: number;
  readonly hopMs: number;
  readonly features: readonly FeaturePlan[];
}

/** Features that are read from one slot over one window. */
export interface SlotRead {
  readonly slot: number;
  readonly windowMs: number;
  readonly hopMs: number;
  readonly features: readonly FeaturePlan[];
}

/** A group compiled: distinct inputs, filter, features. */
export interface GroupPlan {
  readonly group: FeatureGroup;
  /** Index of the group in {@link Plan.groups}. */
  readonly index: number;
  readonly features: readonly FeaturePlan[];
  /** The features, and then the parts of expressions. */
  readonly all: readonly FeaturePlan[];
  /** How those of {@link all} are read that come from the usual statistics: count, sum, extremes, latest value. */
  readonly usualReads: readonly UsualRead[];
  readonly slots: readonly SlotPlan[];
  readonly slotReads: readonly SlotRead[];
  readonly expressions: readonly ExpressionPlan[];
  readonly inputs: readonly Evaluator[];
  readonly inputPlans: readonly InputPlan[];
  /** Whether an event takes part; always true without a `where`. */
  readonly passes: (values: Values) => boolean;
  /** Whether its events are kept one by one, so that any of them can be left out or replaced: exact windows, or corrections. */
  readonly keepsEvents: boolean;
  readonly windowMsMax: number;
  /** Added to the event time: 0, or the label's maturity. */
  readonly delayMs: number;
  /** How far before its event an outcome may lie, in milliseconds: {@link Plan.horizonMs}. */
  readonly horizonMs: number;
  /** Name of the label among the values of a matured stream. */
  readonly labelName: string | undefined;
}

export interface LabelPlan {
  readonly label: LabelDefinition;
  /** What an outcome says of the event that it names, by its fields. */
  readonly verdict: (outcome: Values) => OutcomeVerdict;
  /** Groups over the matured label, by index. */
  readonly groups: readonly number[];
}

export interface SourcePlan {
  readonly source: Source;
  readonly index: number;
  /** Reads an event to decide on. */
  readonly read: EventReader;
  /** Reads records of the log. */
  readonly records: RecordReader;
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
  /** Whether every group keeps its events, so that it can be read at any instant that is still kept. */
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

/** What features are made of, of an app. */
export type Definitions = Pick<App, 'groups' | 'labels' | 'sources' | 'vectors'>;

/** Compiles an app. */
export function compilePlan(app: Definitions): Plan {
  const compiled = [...app.groups.values()].map((group, index) => compileGroup(group, index));
  const windowMsMax = Math.max(0, ...compiled.map((plan) => plan.windowMsMax));
  const maturityMsMax = Math.max(0, ...[...app.labels.values()].map((label) => label.maturesAfterMs));
  const horizonMs = windowMsMax + maturityMsMax;
  const groups = compiled.map((plan): GroupPlan => ({ ...plan, horizonMs }));
  const labels: LabelPlan[] = [...app.labels.values()].map((label) => ({
    label,
    verdict: verdictOf(label),
    groups: groups.filter((plan) => plan.group.from.matured?.name === label.name).map((plan) => plan.index),
  }));
  const sources = new Map<string, SourcePlan>();
  for (const source of app.sources.values()) {
    const read = compileEventReader(source);
    sources.set(source.name, {
      source,
      index: sources.size,
      read,
      records: new RecordReader(source, compileRecordReader(source)),
      groups: groups.filter((plan) => plan.group.from.source.name === source.name),
      labelled: labels.filter((plan) => plan.label.of.name === source.name),
      outcomes: labels.filter((plan) => plan.label.from.name === source.name),
    });
  }
  const vectors = new Map<string, VectorPlan>();
  for (const vector of app.vectors.values()) vectors.set(vector.name, compileVector(vector, groups, sources));
  return {
    groups,
    labels,
    sources,
    vectors,
    horizonMs,
    hashes: [...app.groups.values(), ...app.labels.values(), ...app.sources.values()].map(
      (item) => item.hash,
    ),
  };
}

/** An outcome that does not meet the condition says nothing, unless it confirms that somebody looked. */
function verdictOf({ where, confirmed }: LabelDefinition): LabelPlan['verdict'] {
  if (where === undefined) return () => 'positive';
  const isPositive = compileExpression(where);
  const otherwise = confirmed === true ? 'negative' : undefined;
  return (outcome) => (isPositive(outcome) === true ? 'positive' : otherwise);
}

/** Kinds whose value comes from the usual statistics of an input, which are kept for all of them together. */
const USUAL: ReadonlySet<Feature['kind']> = new Set(['count', 'sum', 'mean', 'min', 'max', 'last']);

function compileGroup(group: FeatureGroup, index: number): Omit<GroupPlan, 'horizonMs'> {
  const inputPlans: InputPlan[] = [];
  const known = new Map<string, number>();
  const inputOf = (feature: Feature): number => {
    const plan = inputPlanOf(feature);
    if (plan === undefined) return -1;
    const text = JSON.stringify([plan.node, plan.filter]);
    const input = known.get(text) ?? inputPlans.push(plan) - 1;
    known.set(text, input);
    return input;
  };
  const all = [...group.features, ...(group.parts ?? [])].map((feature, place): FeaturePlan => ({
    feature,
    place,
    input: inputOf(feature),
    unit: 10 ** feature.decimals,
    whole: feature.inputType !== 'number',
  }));
  const where = group.where === undefined ? undefined : compileExpression(group.where);
  return {
    group,
    index,
    features: all.slice(0, group.features.length),
    all,
    usualReads: usualReadsOf(all),
    ...slotsOf(all),
    expressions: expressionPlans(all.map(({ feature }) => feature)),
    inputs: inputPlans.map((plan) => compileInput(plan)),
    inputPlans,
    passes: where === undefined ? () => true : (values) => where(values) === true,
    keepsEvents: group.exact || group.from.source.corrections === true,
    windowMsMax: Math.max(...all.map(({ feature }) => feature.windowMs + feature.hopMs)),
    delayMs: group.from.matured?.maturesAfterMs ?? 0,
    labelName: group.from.matured?.name,
  };
}

/** What the feature aggregates. A count that does not count every event, or not for ever, is one of values that are true. */
function inputPlanOf({ kind, input, filter, ttlMs }: Feature): InputPlan | undefined {
  if (input !== undefined) return { node: input, filter };
  if (kind !== 'count' || (filter === undefined && ttlMs === undefined)) return undefined;
  return { node: { op: 'literal', value: true, type: 'boolean' }, filter };
}

/** The input of an event: text as its hash, which only tells it from other text. */
function compileInput({ node, filter }: InputPlan): Evaluator {
  const plain = compileExpression(node);
  const evaluate: Evaluator =
    node.type === 'string'
      ? (values) => {
          const text = plain(values);
          return typeof text === 'string' ? hashText(text) : null;
        }
      : plain;
  if (filter === undefined) return evaluate;
  const passes = compileExpression(filter);
  return (values) => (passes(values) === true ? evaluate(values) : null);
}

function usualReadsOf(features: readonly FeaturePlan[]): UsualRead[] {
  const reads = new Map<string, UsualRead & { readonly features: FeaturePlan[] }>();
  const usual = features.filter(({ feature }) => USUAL.has(feature.kind));
  // Events are counted beside any input, so a count of all of them goes with an input of its window where there is one.
  const ordered = [...usual.filter(({ input }) => input >= 0), ...usual.filter(({ input }) => input < 0)];
  for (const plan of ordered) {
    const { windowMs, hopMs } = plan.feature;
    const window = JSON.stringify([plan.input, windowMs]);
    const shared = [...reads.values()].find((item) => item.windowMs === windowMs);
    const read = (plan.input < 0 ? shared : reads.get(window)) ?? {
      input: plan.input,
      windowMs,
      hopMs,
      features: [],
    };
    read.features.push(plan);
    if (plan.input >= 0 || shared === undefined) reads.set(window, read);
  }
  return [...reads.values()];
}

function slotsOf(features: readonly FeaturePlan[]): Pick<GroupPlan, 'slots' | 'slotReads'> {
  const slots = new Map<string, SlotPlan & { readonly index: number }>();
  const reads = new Map<string, SlotRead & { readonly features: FeaturePlan[] }>();
  for (const plan of features) {
    const { feature, input } = plan;
    if (USUAL.has(feature.kind) || feature.kind === 'expression') continue;
    const state = JSON.stringify([stateKind(feature), input]);
    const slot = slots.get(state) ?? { feature, input, index: slots.size };
    slots.set(state, slot);
    const { windowMs, hopMs } = feature;
    const window = JSON.stringify([slot.index, windowMs]);
    const read = reads.get(window) ?? { slot: slot.index, windowMs, hopMs, features: [] };
    reads.set(window, read);
    read.features.push(plan);
  }
  return { slots: [...slots.values()], slotReads: [...reads.values()] };
}

/** What decides the form of a feature's state: features with the same can share it. */
function stateKind({ kind, parameters = {} }: Feature): unknown {
  if (kind === 'variance' || kind === 'std') return 'moments';
  const { quantile: _, of: __, size, ...state } = parameters;
  return kind === 'topK' ? [kind, state] : [kind, state, size];
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
    exact: own.every((plan) => plan.keepsEvents),
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

import type { Plan } from './plan.ts';

/** Labels of everything that belongs to an app. */
export function appLabels(plan: Plan): Record<string, string> {
  return { 'app.kubernetes.io/part-of': plan.app, 'app.kubernetes.io/managed-by': 'tandem' };
}

/** By what the pods of one part are told from others; it must never change, or updates lose sight of them. */
export function selectorLabels(plan: Plan, component: string): Record<string, string> {
  return { 'app.kubernetes.io/part-of': plan.app, 'app.kubernetes.io/component': component };
}

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Record<string, string>;
}

/** Metadata of an object of one part; `suffix` tells several of one kind apart. */
export function metadata(plan: Plan, component: string, suffix = ''): Metadata {
  return {
    name: `${objectName(plan, component)}${suffix}`,
    namespace: plan.namespace,
    labels: { ...appLabels(plan), 'app.kubernetes.io/component': component },
  };
}

/** Name of the objects of one part. */
export function objectName(plan: Plan, component: string): string {
  return `${plan.app}-${component}`;
}

/** The Secret that the pods take secrets from. It is made by whoever runs the cluster, never rendered. */
export function secretName(plan: Plan): string {
  return objectName(plan, 'secrets');
}

import { incompatibilities, type Party, PlatformError, type ServiceName } from '../../contract/index.ts';
import { type Build, buildName } from './build.ts';

/** A service that is to run another build. */
export interface PlannedStep {
  readonly service: ServiceName;
  readonly from: Build;
  readonly to: Build;
}

export interface PlanParts {
  readonly steps: readonly PlannedStep[];
  /** Every build that runs, by service: two of a service that is being deployed. */
  readonly running: ReadonlyMap<ServiceName, readonly Build[]>;
  readonly partyOf: (service: ServiceName, build: Build) => Party;
}

/**
 * The steps in an order in which every build may run beside all that run at its turn. Rejects with BUILD_INCOMPATIBLE
 * and all reasons when there is none.
 */
export function orderSteps({ steps, running, partyOf }: PlanParts): readonly PlannedStep[] {
  const problems = new Map<ServiceName, readonly string[]>();
  const problemsOf = (
    step: PlannedStep,
    now: ReadonlyMap<ServiceName, readonly Build[]>,
  ): readonly string[] => {
    const others = [...now].flatMap(([service, builds]) => builds.map((build) => partyOf(service, build)));
    const found = incompatibilities(partyOf(step.service, step.to), others);
    if (found.length > 0 && !problems.has(step.service)) problems.set(step.service, found);
    return found;
  };
  const search = (
    left: readonly PlannedStep[],
    now: ReadonlyMap<ServiceName, readonly Build[]>,
  ): readonly PlannedStep[] | undefined => {
    if (left.length === 0) return [];
    for (const step of left) {
      if (problemsOf(step, now).length > 0) continue;
      const others = left.filter((other) => other !== step);
      const rest = search(others, new Map([...now, [step.service, [step.to]]]));
      if (rest !== undefined) return [step, ...rest];
    }
    return undefined;
  };
  const found = search(steps, running);
  if (found !== undefined) return found;
  const texts = [...problems.values()].flat();
  const names = [...new Set(steps.map(({ to }) => buildName(to)))].join(', ');
  throw new PlatformError(
    'BUILD_INCOMPATIBLE',
    `The build ${names} cannot run beside what runs now:\n${texts.map((text) => `  - ${text}`).join('\n')}`,
    { details: { problems: texts } },
  );
}

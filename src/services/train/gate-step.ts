import { type GateVerdict, gateVerdictText } from '../../contract/index.ts';
import { type Gate, isGateMet, isSameGateMeasure } from '../../define/index.ts';
import type { Evaluated } from './evaluate-step.ts';
import { isRefined, type Measurement, unmeasured } from './measure-gates.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';

type Measured = Pick<Evaluated, 'metrics' | 'measured'>;

/**
 * Holds what was measured against the model's gates. A gate that is not met is a verdict, not a failure of the run.
 */
export function gateStep(
  context: RunContext,
  { metrics, measured }: Measured,
): Promise<StepOutcome<readonly GateVerdict[]>> {
  const { gates } = context.model;
  return runStep(context, {
    name: 'gate',
    inputs: { gates, metrics, measured },
    work: () => Promise.resolve({ output: judge(gates, { metrics, measured }), artefacts: [] }),
    note: (verdicts) => {
      const failed = verdicts.filter((verdict) => !verdict.passed);
      if (failed.length === 0) return verdicts.length === 0 ? 'no gates' : `all ${verdicts.length} passed`;
      return failed.map((verdict) => gateVerdictText(verdict, (value) => value.toFixed(4))).join('; ');
    },
  });
}

/** The verdict on each gate; what could not be measured never passes. */
export function judge(gates: readonly Gate[], { metrics, measured }: Measured): GateVerdict[] {
  return gates.map((gate) => {
    const { bound: _bound, ...measure } = gate;
    const found = isRefined(measure)
      ? measured.find((one) => isSameGateMeasure(one.measure, measure))
      : plainOf(metrics[gate.metric], measure);
    const { measure: _measure, ...result } =
      found ?? unmeasured(measure, 'it is not among the metrics of the run');
    const passed = result.unmeasured === undefined && isGateMet(gate, result.value);
    return { ...gate, ...result, passed };
  });
}

function plainOf(value: number | undefined, measure: Measurement['measure']): Measurement | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : { measure, value };
}

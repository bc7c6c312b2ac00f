/**
 * The plan engine: evaluates OPA's plan of a policy without WebAssembly, for explanations, coverage and a second
 * opinion. It is never in the path of a call. Guarantees that nothing throws and nothing runs on: what goes wrong is
 * the same reason that the policy engine would give (engine.ts). Pure.
 */
import { type BuiltinContext, BuiltinRefused } from '../decision/builtin.ts';
import { BUILTINS } from '../decision/builtins.ts';
import type { Evaluation } from '../decision/engine.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import { Machine } from './machine.ts';
import { CellsExhausted, Meter, StepsExhausted } from './meter.ts';
import { NATIVE_BUILTINS } from './native-builtins.ts';
import type { PlanObserver } from './observer.ts';
import type { Plan } from './plan.ts';
import { PlanAbort } from './statement.ts';
import { adopted, jsonOf, memberOf } from './value.ts';

export interface PlanOptions {
  /** What `time.now_ns()` returns. Default 0. */
  readonly timeNs?: bigint;
  /** Where random values come from; builtins that want some are refused without. */
  readonly seed?: Uint8Array;
  /** Steps, about one per instruction of the WebAssembly engine. Default 1,000 million. */
  readonly stepsMax?: number;
  /** Values that may be built, about 16 bytes each. Default 8 million. */
  readonly cellsMax?: number;
  /** Watches the evaluation. Must not throw. */
  readonly observer?: PlanObserver;
}

export type PlanResults =
  | { readonly ok: true; readonly results: readonly RegoValue[]; readonly fuel: number }
  | {
      readonly ok: false;
      readonly reason: ReasonCode;
      readonly detail: string;
      readonly fuel: number;
    };

const STEPS_MAX = 1_000_000_000;
const CELLS_MAX = 8_000_000;

/**
 * Evaluates one entrypoint on one input. Never throws.
 * @param entrypoint as in the manifest, such as `egret/decision`.
 * @param input undefined when the policy shall see none.
 * @param data the whole of `data`. Pass it through `planData` once when it is used more than once.
 * @returns the result as JSON: sets are sorted lists. Not ok: `policy.undefined`, `policy.error`,
 *   `policy.fuel_exhausted` or `policy.memory_exhausted`; `fuel` says how many steps were taken.
 */
export function evaluatePlan(
  plan: Plan,
  entrypoint: string,
  input: RegoValue | undefined,
  data: RegoValue,
  options: PlanOptions = {},
): Evaluation {
  const found = planResults(plan, entrypoint, input, data, options);
  if (!found.ok) return found;
  const { results, fuel } = found;
  const result = memberOf(results[0], 'result');
  if (result === undefined) return failed('policy.undefined', 'no result', fuel);
  return { ok: true, value: jsonOf(result), fuel };
}

/** As `evaluatePlan`, with all bindings as Rego values. */
export function planResults(
  plan: Plan,
  entrypoint: string,
  input: RegoValue | undefined,
  data: RegoValue,
  options: PlanOptions = {},
): PlanResults {
  const { stepsMax = STEPS_MAX, cellsMax = CELLS_MAX, timeNs = 0n, seed, observer } = options;
  const meter = new Meter(stepsMax, cellsMax);
  const blocks = plan.entrypoints.get(entrypoint);
  if (blocks === undefined) return failed('policy.undefined', 'no such entrypoint', 0);
  try {
    const context: BuiltinContext = {
      timeNs,
      charge: meter.charge,
      ...(seed === undefined ? {} : { seed }),
    };
    const machine = new Machine({
      plan,
      native: NATIVE_BUILTINS,
      host: BUILTINS,
      context,
      meter,
      observer: observer ?? null,
    });
    const given = input === undefined ? undefined : adopted(input, meter.charge);
    const results = machine.run(entrypoint, blocks, given, adopted(data, meter.charge));
    return { ok: true, results, fuel: meter.steps };
  } catch (error) {
    return explained(error, meter.steps);
  }
}

/** Data as the engine holds it, so that many evaluations need not convert it again. */
export const planData = (data: RegoValue): RegoValue => adopted(data, () => {});

const failed = (reason: ReasonCode, detail: string, fuel: number) =>
  ({ ok: false, reason, detail, fuel }) as const;

function explained(error: unknown, fuel: number) {
  if (error instanceof StepsExhausted) return failed('policy.fuel_exhausted', error.message, fuel);
  if (error instanceof CellsExhausted) {
    return failed('policy.memory_exhausted', error.message, fuel);
  }
  if (error instanceof PlanAbort || error instanceof BuiltinRefused) {
    return failed('policy.error', error.message, fuel);
  }
  if (error instanceof RangeError) return failed('policy.error', 'stack overflow', fuel);
  return failed('policy.error', 'the engine failed', fuel);
}

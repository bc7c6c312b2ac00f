/**
 * The port to a policy engine. An engine never throws: whatever goes wrong is an `ok: false` with the reason
 * code that denies the call. Implemented by opa-wasm.ts. Pure.
 */
import type { ReasonCode } from './reason.ts';

export type Evaluation =
  | { readonly ok: true; readonly value: unknown; readonly fuel: number }
  | {
      readonly ok: false;
      readonly reason: ReasonCode;
      readonly detail: string;
      readonly fuel: number;
    };

export interface Engine {
  /**
   * Evaluates the rule that decides, `egret/decision` unless the policy speaks another dialect, on one input.
   * @param input JSON text made by us from an already parsed value, never bytes of the agent.
   * @param timeNs what `time.now_ns()` returns during this evaluation.
   * @returns `policy.undefined`, `policy.error`, `policy.fuel_exhausted` or `policy.memory_exhausted` when not ok.
   */
  evaluate(input: string, timeNs: bigint): Evaluation;
}

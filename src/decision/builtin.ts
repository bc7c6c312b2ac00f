/**
 * What a host builtin is: a pure function over Rego values that the engine calls when a policy uses a builtin that
 * is not compiled into WebAssembly. All arguments may come from the agent. An error is undefined, as in OPA; a bound
 * of ours that OPA does not have must stop the evaluation through `charge`, because a rule that goes undefined could
 * be a deny. Pure.
 */
import type { RegoObject, RegoSet, RegoValue } from './rego-value.ts';

export interface BuiltinContext {
  /** The frozen time of this evaluation in nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** Takes steps from the budget, about one per instruction; throws when it is used up. */
  readonly charge: (steps: number) => void;
  /**
   * All that is random in this evaluation comes from here, so that it can be recorded and replayed. Without a seed
   * a builtin that asks for randomness stops the evaluation.
   */
  readonly seed?: Uint8Array | undefined;
}

/** A builtin that may not run here: the evaluation must end, because undefined could be a deny that goes away. */
export class BuiltinRefused extends Error {
  override name = 'BuiltinRefused';
}

/** @returns undefined for an error. The engine has already charged for the size of the arguments. */
export type Builtin = (
  args: readonly RegoValue[],
  context: BuiltinContext,
) => RegoValue | undefined;

export const isArray = (value: unknown): value is readonly RegoValue[] => Array.isArray(value);

export const isSet = (value: unknown): value is RegoSet => value instanceof Set;

export const isObject = (value: unknown): value is RegoObject => value instanceof Map;

export const isNumber = (value: unknown): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint';

/** A builtin of one string. */
export const ofText =
  (compute: (text: string, context: BuiltinContext) => RegoValue | undefined): Builtin =>
  ([text], context) =>
    typeof text === 'string' ? compute(text, context) : undefined;

/** A builtin of two strings. */
export const ofTexts =
  (compute: (a: string, b: string, context: BuiltinContext) => RegoValue | undefined): Builtin =>
  ([a, b], context) =>
    typeof a === 'string' && typeof b === 'string' ? compute(a, b, context) : undefined;

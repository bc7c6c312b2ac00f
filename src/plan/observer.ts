/**
 * What can be watched of an evaluation in the plan engine: calls, blocks and statements as they run. Observers only
 * look; an evaluation with one answers and counts exactly as without. Pure.
 */
import type { RegoValue } from '../decision/rego-value.ts';
import type { Statement } from './plan.ts';

/** One call of a function or an entrypoint. */
export interface Frame {
  /** Name of the function in the plan, or of the entrypoint. */
  readonly name: string;
  /** Values of the variables by number; `input` is 0 and `data` is 1 in functions of rules. */
  readonly locals: readonly (RegoValue | undefined)[];
  readonly parent: Frame | null;
  /** The statement that called; null for an entrypoint. */
  readonly call: Statement | null;
  /** The outermost block that runs: mostly one per rule body. */
  readonly block: number;
}

export interface PlanObserver {
  /** Before the first statement of a call. */
  entered?(frame: Frame): void;
  /** After a call; undefined when it has no result. */
  left?(frame: Frame, result: RegoValue | undefined): void;
  /** A rule that was already evaluated is not entered again. */
  remembered?(frame: Frame, statement: Statement, name: string): void;
  /** After an outermost block: whether all its statements held. */
  blockEnded?(frame: Frame, block: number, held: boolean): void;
  /** Before a statement. */
  reached?(statement: Statement, frame: Frame): void;
  /** After a statement: whether the next one follows. A `break` or a `return` does not hold. */
  ran?(statement: Statement, frame: Frame, held: boolean): void;
}

/**
 * The shape of an explanation: rules that fired or not, and the expressions behind them. Pure.
 */
import type { Comparison } from './explain-words.ts';

/** An expression that decided something: it did not hold, or stands behind a rule that fired. */
export interface Reason {
  /** Whether the expression held. */
  readonly held: boolean;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The source line; null without sources. */
  readonly text: string | null;
  readonly compared: Comparison | null;
  /** Where the rule or function that the expression asks stopped, or what it held by. */
  readonly because: Reason | null;
  readonly suggestion: string | null;
}

export interface RuleReport {
  /** Name of the package below `policies`, the id of a YAML policy, or the package of the entrypoint. */
  readonly policy: string;
  /** `allow`, `deny`, `deny_if.to_includes`. */
  readonly rule: string;
  readonly title: string | null;
  /** Where the rule begins; null for a rule in YAML. */
  readonly place: { readonly file: string; readonly line: number } | null;
  /** What it gave, as JSON; empty when it did not fire. */
  readonly gave: readonly unknown[];
  /** Lines of its body that held. */
  readonly passed: number;
  /** Where it stopped; null when it fired. */
  readonly failure: Reason | null;
  /** Of a `deny` or `require_approval` that fired: what stands behind it. One of them must change to stop it. */
  readonly conditions: readonly Reason[];
}

export interface RuleReports {
  readonly fired: readonly RuleReport[];
  /** Something of it held; the nearest first. */
  readonly almost: readonly RuleReport[];
  /** Nothing of it held. */
  readonly missed: readonly RuleReport[];
}

/**
 * Reads what a policy answered as a verdict. The answer must have exactly the shape that the library gives it
 * (`rego/egret/decision.rego`); anything else, a contradiction included, denies. Nothing is repaired or guessed.
 * Texts and lists are bounded, because they go into refusals and records. Pure.
 */
import type { JsonObject } from '../call/tool-call.ts';
import type { Evaluation } from './engine.ts';
import { REASONS, type ReasonCode } from './reason.ts';
import type { Obligation, Outcome, PolicyRef, RuleReason, Verdict } from './verdict.ts';

/** Characters of a message; longer ones are cut. */
const TEXT_MAX = 1024;
/** Characters of an identifier such as a rule name; longer ones are cut. */
const NAME_MAX = 256;
/** Reasons and warnings beyond this many are left out. */
const REASONS_MAX = 32;
/** More obligations deny: none of them may be left out. */
const OBLIGATIONS_MAX = 64;

/** Outcome that each code of a policy answer stands for. */
const OUTCOMES = {
  'policy.allowed': 'allow',
  'policy.denied': 'deny',
  'policy.no_match': 'deny',
  'approval.required': 'require_approval',
} as const satisfies Partial<Record<ReasonCode, Outcome>>;

type AnswerCode = keyof typeof OUTCOMES;

interface Answer {
  readonly code: AnswerCode;
  readonly message: string;
  readonly reasons: readonly RuleReason[];
  readonly obligations: readonly Obligation[];
  readonly warnings: readonly string[];
}

/**
 * @param evalNs wall time inside the engine.
 * @param obligationKinds kinds that this build carries out; an allow with any other kind denies.
 * @returns a deny with the engine's reason, `policy.invalid_result` or `policy.unknown_obligation`; else what the
 *   policy said.
 */
export function verdictOf(
  evaluation: Evaluation,
  policy: PolicyRef,
  evalNs: number,
  obligationKinds: ReadonlySet<string>,
): Verdict {
  const { fuel } = evaluation;
  const denied = (reason: ReasonCode): Verdict => ({
    outcome: 'deny',
    reason,
    message: REASONS[reason].text,
    reasons: [],
    obligations: [],
    warnings: [],
    policy,
    fuel,
    evalNs,
  });
  if (!evaluation.ok) return denied(evaluation.reason);
  const answer = answerOf(evaluation.value);
  if (answer === null) return denied('policy.invalid_result');
  const outcome = OUTCOMES[answer.code];
  const { code, ...said } = answer;
  const known = said.obligations.every(({ kind }) => obligationKinds.has(kind));
  if (outcome !== 'deny' && !known) return denied('policy.unknown_obligation');
  const obligations = said.obligations.filter(({ kind }) => obligationKinds.has(kind));
  return { outcome, reason: code, ...said, obligations, policy, fuel, evalNs };
}

function answerOf(value: unknown): Answer | null {
  if (!isRecord(value) || Object.keys(value).length !== 7) return null;
  const code = value['code'];
  if (typeof code !== 'string' || !isAnswerCode(code)) return null;
  const outcome = OUTCOMES[code];
  if (value['outcome'] !== outcome || value['allowed'] !== (outcome === 'allow')) return null;
  const message = value['message'];
  const reasons = listOf(value['reasons'], reasonOf);
  const obligations = listOf(value['obligations'], obligationOf);
  const warnings = listOf(value['warnings'], (item) => (isText(item) ? cut(item, TEXT_MAX) : null));
  if (!isText(message) || reasons === null || warnings === null) return null;
  if (obligations === null || obligations.length > OBLIGATIONS_MAX) return null;
  return {
    code,
    message: message === '' ? REASONS[code].text : cut(message, TEXT_MAX),
    reasons: reasons.slice(0, REASONS_MAX),
    obligations,
    warnings: warnings.slice(0, REASONS_MAX),
  };
}

function reasonOf(item: unknown): RuleReason | null {
  if (!isRecord(item)) return null;
  const { code, policy, rule, message } = item as Record<keyof RuleReason, unknown>;
  if (!isText(code) || !isText(policy) || !isText(rule) || !isText(message)) return null;
  return {
    code: cut(code, NAME_MAX),
    policy: cut(policy, NAME_MAX),
    rule: cut(rule, NAME_MAX),
    message: cut(message, TEXT_MAX),
  };
}

/** Obligations are taken whole: cutting one would change what must be done. */
const obligationOf = (item: unknown): Obligation | null =>
  isRecord(item) && typeof item['kind'] === 'string' ? (item as JsonObject as Obligation) : null;

/** Null when it is no list, or one item is not what it should be. */
function listOf<T>(value: unknown, read: (item: unknown) => T | null): readonly T[] | null {
  if (!Array.isArray(value)) return null;
  const items = value.map(read);
  return items.every((item) => item !== null) ? items : null;
}

const isAnswerCode = (code: string): code is AnswerCode => Object.hasOwn(OUTCOMES, code);

const isText = (value: unknown): value is string => typeof value === 'string';

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Never ends in half of a surrogate pair. */
const cut = (text: string, max: number) =>
  text.length <= max ? text : text.slice(0, max).toWellFormed();

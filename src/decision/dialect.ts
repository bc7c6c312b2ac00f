/**
 * Dialects: in which shape a policy is asked, and in which it answers. Whatever the dialect, the answer is brought into
 * the shape of our own library and then read by the same strict reader. Pure.
 */
import { boolAnswer } from './dialect-bool.ts';
import { envoyInput, type Message } from './dialect-envoy.ts';
import { envoyAnswer, envoyRefusal } from './dialect-envoy-result.ts';
import type { Evaluation } from './engine.ts';
import { type PolicyInput, renderPolicyInput } from './input.ts';
import type { StatedRefusal } from './verdict.ts';

export type DialectName = 'egret' | 'envoy' | 'bool';

export interface Dialect {
  readonly name: DialectName;
  /** The rule that decides, such as `envoy/authz/allow`. */
  readonly entrypoint: string;
  /** JSON text for the engine. @param message null when the call came without one, as in a review. */
  readonly render: (input: PolicyInput, message: Message | null) => string;
  /** The answer in the shape of our library; a failure stays a failure. */
  readonly answer: (evaluation: Evaluation) => Evaluation;
  /** What a denial shows to an HTTP caller; null for what every denial shows. */
  readonly refusal: (evaluation: Evaluation) => StatedRefusal | null;
}

export function dialectOf(name: DialectName, entrypoint: string): Dialect {
  const own = { name, entrypoint, render: renderPolicyInput, refusal: () => null };
  switch (name) {
    case 'egret':
      return { ...own, answer: (evaluation) => evaluation };
    case 'bool':
      return { ...own, answer: boolAnswer };
    case 'envoy':
      return {
        name,
        entrypoint,
        render: (input, message) => JSON.stringify(envoyInput(input, message)),
        answer: (evaluation) => envoyAnswer(evaluation, entrypoint),
        refusal: envoyRefusal,
      };
  }
}

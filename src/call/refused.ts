/**
 * The one shape of a call that is refused before policy: a reason code of the closed registry and a
 * short detail for logs and tests. The detail names what was found where, never the value itself,
 * so it cannot leak a secret. Pure.
 */
import type { ReasonCode } from '../decision/reason.ts';

export interface Refused {
  readonly ok: false;
  readonly reason: ReasonCode;
  /** One clause in English, without data of the call. */
  readonly detail: string;
}

export const refuse = (reason: ReasonCode, detail: string): Refused => ({
  ok: false,
  reason,
  detail,
});

/**
 * Which headers and parameters carry credentials, by name. Policy, logs and audit never see their
 * values. Headers that may hold one are left out; parameters are kept with their value masked, so
 * policy still sees that one was sent. The header rule is wide; the parameter rule is narrow, since
 * a hidden parameter is one policy cannot judge. Pure.
 */
import type { Parameters } from './urlencoded.ts';

/** Conservative: a header that may hold a credential is hidden by its name. */
const CREDENTIAL =
  /^(authorization|cookie2?|set-cookie2?|dpop|authentication-info)$|(^|[-.])(token|secret|passw(or)?d|credentials?|session|session-id|signature|auth|jwt|assertion|otp|pin)([-.]|$)|authorization|api-?key|access-?key|subscription-?key|functions-?key|(^|-)key$/;
/** A credential under an unknown name still carries its scheme. */
const CREDENTIAL_VALUE = /^(basic|bearer|digest|dpop|negotiate|token|aws4-hmac-sha256)\s/i;

/** Names in lower case. */
export const isCredentialHeader = (name: string, value: string): boolean =>
  isCredentialName(name) || CREDENTIAL_VALUE.test(value);

/** Answers of the name rule, for the few names that agents use. Bounded. */
const answers = new Map<string, boolean>();
const ANSWERS_MAX = 1_024;

function isCredentialName(name: string): boolean {
  const known = answers.get(name);
  if (known !== undefined) return known;
  const answer = name !== 'idempotency-key' && CREDENTIAL.test(name);
  if (answers.size < ANSWERS_MAX && name.length <= 64) answers.set(name, answer);
  return answer;
}

const CREDENTIAL_PARAMETERS = new Set(
  (
    'access_token api-key api_key apikey client_secret id_token oauth_token refresh_token x-amz-credential ' +
    'x-amz-security-token x-amz-signature x-goog-credential x-goog-signature'
  ).split(' '),
);

export const MASKED = '[credential]';

/** The same parameters with the values of credentials replaced by MASKED. */
export function maskedParameters(parameters: Parameters): Parameters {
  const names = Object.keys(parameters);
  if (!names.some((name) => CREDENTIAL_PARAMETERS.has(name.toLowerCase()))) return parameters;
  const masked: Record<string, readonly string[]> = Object.create(null);
  for (const name of names) {
    const values = parameters[name] ?? [];
    masked[name] = CREDENTIAL_PARAMETERS.has(name.toLowerCase())
      ? values.map(() => MASKED)
      : values;
  }
  return masked;
}

/**
 * The second fence against secrets in logs and traces. The first one is that no field can hold a header, an argument
 * or a body; this one cuts what looks like a credential out of the free text that is left (error messages, names),
 * and makes text safe to print: bounded, no control or direction-changing characters. Pure.
 */

/** What is put in place of a secret. */
const REDACTED = '[redacted]';

/** Shapes of credentials. Every expression is linear: no nested or adjacent unbounded repetition. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer|basic|digest|negotiate)[ \t]+[^\s"',;]{4,}/gi, `$1 ${REDACTED}`],
  [
    /\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|api[_-]?key|(?:access|refresh|id|auth)[_-]?token|token|client[_-]?secret|secret|password|passwd|private[_-]?key)(["']?[ \t]{0,4}[:=][ \t]{0,4}["']?)(?!\[redacted\]|(?:bearer|basic|digest|negotiate)\b)[^\s"',;&]+/gi,
    `$1$2${REDACTED}`,
  ],
  [/\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}/g, REDACTED],
  [/\b(?:sk|pk|rk|ghp|gho|ghs|ghu|xox[abeoprs])[-_][A-Za-z0-9_-]{8,}/g, REDACTED],
  [/\bgithub_pat_[A-Za-z0-9_]{8,}/g, REDACTED],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, REDACTED],
  [/-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,32}-----)?/g, REDACTED],
  [/:\/\/[^\s/@]{1,256}@/g, `://${REDACTED}@`],
];

/** What every shape above holds in one form or another: most text does not, and is done after one look. */
const HINT =
  /bearer|basic|digest|negotiate|auth|cookie|key|token|secret|passw|eyJ|[spr]k[-_]|gh[pous][-_]|github|xox|AKIA|ASIA|:\/\//i;

/** Text that every terminal prints as it stands. */
const PLAIN = /^[\x20-\x7e]*$/;
/** Control and format characters and line separators: what moves a cursor, changes direction or is invisible. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text with everything that looks like a credential replaced. */
export function redactSecrets(text: string): string {
  if (!HINT.test(text)) return text;
  return SECRETS.reduce((left, [shape, instead]) => left.replace(shape, instead), text);
}

/**
 * The text as it may be printed: cut to `charsMax` UTF-16 units, well formed, secrets redacted, control characters
 * shown as `\u001b` in plain text so that no terminal acts on them.
 */
export function printable(text: string, charsMax: number): string {
  const cut = text.length > charsMax ? `${text.slice(0, charsMax)}…` : text;
  if (PLAIN.test(cut)) return redactSecrets(cut);
  return redactSecrets(cut.toWellFormed()).replace(
    UNPRINTABLE,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

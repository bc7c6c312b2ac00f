/** What `egret bundle inspect` and `verify` say to a person. Pure. */
import type { Inspection } from '../bundle/inspection.ts';
import type { Answer, Difference } from '../bundle/opinion.ts';
import type { VerifyReport } from '../bundle/verify-bundle.ts';

const INPUT_CHARACTERS_MAX = 2000;

export function renderInspection(
  path: string,
  inspection: Inspection & { readonly bytes: number | null },
): string {
  const { signature, rules, files, policy_problem } = inspection;
  const list = (items: readonly string[]) => items.join(', ') || 'none';
  const ruleWidth = Math.max(0, ...rules.map(({ rule }) => rule.length));
  const fileWidth = Math.max(0, ...files.map((file) => file.path.length));
  return [
    `${path}${inspection.bytes === null ? '' : `: ${inspection.bytes} bytes`}`,
    `digest       ${inspection.digest}`,
    `revision     ${inspection.revision || 'none: the digest stands in'}`,
    `roots        ${list(inspection.roots)}`,
    `entrypoints  ${list(inspection.entrypoints)}`,
    `self-tests   ${list(inspection.self_tests)}`,
    `builtins     ${policy_problem ?? list(inspection.builtins)}`,
    `signature    ${signature === null ? 'none' : signatureLine(signature)}`,
    '',
    ...files.map((file) => `${file.path.padEnd(fileWidth)}  ${file.bytes} bytes`),
    ...(rules.length === 0 ? [] : ['']),
    ...rules.map(({ rule, file, line }) => `${rule.padEnd(ruleWidth)}  ${file}:${line}`),
  ].join('\n');
}

function signatureLine(signature: NonNullable<Inspection['signature']>): string {
  const { algorithm, key_id, scope, expires, files } = signature;
  const key = key_id === null ? 'names no key' : `names the key ${key_id}`;
  const parts = [algorithm, key, `${files} files`];
  if (scope !== '') parts.push(`scope ${scope}`);
  if (expires !== null) parts.push(`until ${expires}`);
  return `${parts.join(', ')} (not checked here)`;
}

export function renderVerification(path: string, report: VerifyReport): string {
  const { errors, comparison, signature, opinions, missing } = report;
  const lines = errors.map(({ code, message }) => `REFUSED ${code}: ${message}`);
  if (signature !== null) lines.push(`signature: ${signature}`);
  if (comparison !== null) {
    const { asked, differences, doubtful, unanswered } = comparison;
    lines.push(
      `second opinion: ${opinions.join(', ')}: ${asked} questions, ${differences.length} differences`,
      ...differences.map((one) => differenceText('DIFFERENT', one)),
      ...doubtful.map((one) => differenceText('doubtful', one)),
    );
    if (unanswered.length > 0) {
      lines.push(`${unanswered.length} questions could not be answered within the bounds`);
    }
  }
  lines.push(...missing.map((name) => `SKIPPED LOUDLY: ${name} is not installed`));
  const verdict = report.ok ? `good, revision ${report.revision}` : 'refused';
  return [...lines, `${path}: ${verdict}`].join('\n');
}

function differenceText(word: string, { question, answers }: Difference): string {
  const said = answers.map(({ name, answer }) => `  ${name}: ${answerText(answer)}`);
  return [
    `${word} ${question.name} (${question.entrypoint})`,
    `  input: ${question.input.slice(0, INPUT_CHARACTERS_MAX)}`,
    ...said,
  ].join('\n');
}

function answerText(answer: Answer): string {
  const doubt = answer.doubt === undefined ? '' : ` (${answer.doubt})`;
  if (answer.kind === 'value') return `${JSON.stringify(answer.value)}${doubt}`;
  return `${answer.kind === 'undefined' ? 'undefined' : `failed: ${answer.detail}`}${doubt}`;
}

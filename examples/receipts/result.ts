/**
 * What came of the story, told by three witnesses that know nothing of each other: the agent's answers, the audit log,
 * and the mail service. A step is as expected only when the first two agree with the story; the mailbox is checked as
 * a whole. Pure.
 */
import { createHash } from 'node:crypto';
import type { Report } from './agent.ts';
import { type MailboxState, PRIVATE_MARK } from './mail-api.ts';
import { FILES, type Outcome, type Step } from './story.ts';

/** The fields of an audit record that the demo looks at. */
export interface AuditRecord {
  readonly decision_id?: string;
  readonly trace_id?: string | null;
  readonly timestamp?: string;
  readonly bundles?: unknown;
  /** What policy saw, as far as it is disclosed; null when the call was refused before policy. */
  readonly input?: {
    readonly agent?: { readonly id: string };
    readonly tool?: { readonly name: string };
    readonly arguments?: unknown;
    readonly attachments?: unknown;
    readonly mcp?: { readonly method: string } | null;
  } | null;
  readonly result?: { readonly reasons?: readonly { readonly code: string }[] } | null;
  readonly egret?: {
    readonly seq?: number;
    readonly kind?: string;
    readonly enforcement?: { readonly action: string; readonly reason: string };
  };
}

export interface StepResult {
  readonly step: Step;
  readonly report: Report;
  readonly got: Outcome | 'failed';
  /** What the agent was told, or the record when nothing was said; null when neither says anything. */
  readonly reason: string | null;
  /** The policy's own codes. */
  readonly rules: readonly string[];
  readonly record: AuditRecord | null;
  readonly asExpected: boolean;
}

export function resultOf(step: Step, report: Report, records: readonly AuditRecord[]): StepResult {
  const told = report.answer?.headers['x-egret-reason'] ?? null;
  const record = recordFor(report, records);
  const recorded = record?.egret?.enforcement?.reason ?? null;
  const reason = told ?? recorded;
  const codes = (record?.result?.reasons ?? []).map(({ code }) => code);
  const rules = [...new Set(codes)].filter((code) => code !== recorded);
  const got = outcomeOf(report, told);
  const { expected } = step;
  const asExpected =
    got === expected.outcome &&
    reason === expected.reason &&
    recorded === expected.reason &&
    rules.join() === (expected.rule ?? '');
  return { step, report, got, reason, rules, record, asExpected };
}

function outcomeOf({ answer }: Report, told: string | null): StepResult['got'] {
  if (answer === null) return 'failed';
  if (told !== null) return told === 'approval.required' ? 'held' : 'refused';
  return answer.isError ? 'failed' : 'sent';
}

/** By decision id when the agent was told one, else by the trace, in which an MCP session has records of its own. */
function recordFor(report: Report, records: readonly AuditRecord[]): AuditRecord | null {
  const id = report.answer?.headers['x-egret-decision-id'];
  const decisions = records.filter(({ egret }) => egret?.kind === 'decision');
  if (id !== undefined) return decisions.find((record) => record.decision_id === id) ?? null;
  const calls = decisions.filter(({ trace_id, input }) => {
    const method = input?.mcp?.method ?? null;
    return trace_id === report.traceId && (method === null || method === 'tools/call');
  });
  return calls.length === 1 ? (calls[0] ?? null) : null;
}

export interface Check {
  readonly passed: boolean;
  readonly text: string;
}

export interface Evidence {
  readonly results: readonly StepResult[];
  readonly mailbox: MailboxState;
  /** A key that the agent tried to mail away. */
  readonly secret: string;
  /** Everything the sidecar wrote, by what it is. */
  readonly written: Readonly<Record<string, string>>;
}

/** What must hold besides every single step. */
export function checksOf({ results, mailbox, secret, written }: Evidence): readonly Check[] {
  const right = results.filter(({ asExpected }) => asExpected).length;
  const good = results.filter(({ step }) => step.expected.outcome === 'sent');
  const { delivered, requests } = mailbox;
  const exact =
    delivered.length === good.length &&
    good.every(({ step }, index) => mailText(delivered[index]) === wantedMail(step));
  const traces = delivered.map(({ traceparent }) => traceparent?.split('-')[1]);
  const traced = good.every(({ report }, index) => traces[index] === report.traceId);
  const answers = results.map(({ report }) => report.answer?.text ?? '').join('\n');
  const leaks = Object.keys(written).filter((what) => written[what]?.includes(secret));
  return [
    {
      passed: right === results.length,
      text: `${right} of ${results.length} steps ended as expected, and the audit log says the same`,
    },
    {
      passed: exact,
      text: `the mail service has ${delivered.length} messages, exactly the ${good.length} good ones, files intact`,
    },
    {
      passed: requests.length === good.length,
      text: `${requests.length} requests reached the mail service; of the refused calls not one`,
    },
    { passed: traced, text: 'each message arrived under the trace id of the step that sent it' },
    { passed: !answers.includes(PRIVATE_MARK), text: 'no private mail reached the agent' },
    {
      passed: leaks.length === 0,
      text: `the planted key stands nowhere in ${Object.keys(written).join(', ')}`,
    },
  ];
}

const mailText = (mail: MailboxState['delivered'][number] | undefined): string =>
  mail === undefined ? '' : mailLine(mail.recipients, mail.attachments);

const wantedMail = (step: Step): string =>
  mailLine(
    step.recipients ?? [],
    step.files.map((filename) => ({
      filename,
      sha256: createHash('sha256').update(FILES[filename].text).digest('hex'),
    })),
  );

const mailLine = (
  recipients: readonly string[],
  files: readonly { readonly filename: string; readonly sha256: string }[],
): string => JSON.stringify([recipients, files.map(({ filename, sha256 }) => [filename, sha256])]);

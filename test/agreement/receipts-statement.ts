/**
 * The receipts policy of the committed bundle, stated plainly in TypeScript: a dumb twin that shares no code with the
 * Rego library, the engine or the recogniser. Written for the calls that calls.ts makes. Pure.
 */

export interface StatedAttachment {
  readonly name: string;
  readonly bytes: number;
  readonly source: 'explicit_user_upload' | 'unknown';
  readonly age_minutes: number | null;
}

export interface StatedCall {
  readonly tool: {
    readonly name: string;
    readonly operation: string;
    readonly server: string | null;
    readonly known: boolean;
  };
  readonly arguments_state: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly attachments: readonly StatedAttachment[];
  readonly mcp: { readonly method: string } | null;
}

export interface Statement {
  readonly outcome: 'allow' | 'deny' | 'require_approval';
  readonly code: string;
  /** Codes of the reasons, sorted, each once. */
  readonly reasons: readonly string[];
}

const ALLOWED = ['accountant@example.com', 'backup@example.com'];
const SECRETS = ['api_key', 'seed phrase', 'private key'];
const MONEY = ['invoice', 'tax', 'salary'];
const INBOX = ['gmail.messages.list', 'gmail.messages.get', 'gmail.attachments.get'];
const USUAL = ['to', 'cc', 'bcc', 'from', 'subject', 'text', 'html', 'userId'];
const MINUTES_MAX = 30;
const BYTES_MAX = 20_000_000;
const AMOUNT_MAX = 500;

export function receiptsStatement(call: StatedCall): Statement {
  const denials = denialsOf(call);
  if (denials.length > 0) return say('deny', 'policy.denied', denials);
  const mails = call.tool.name === 'gmail.send';
  const fits = mails && call.arguments_state === 'parsed';
  const session =
    call.mcp !== null &&
    call.tool.known &&
    ['connect', 'list'].includes(call.tool.operation) &&
    call.tool.server === 'mail';
  const allowed = fits || session;
  if (allowed && mails && (speaksOfMoney(call) || tooMuch(call))) {
    return say('require_approval', 'approval.required', ['approval.required']);
  }
  return allowed
    ? say('allow', 'policy.allowed', ['policy.allowed'])
    : say('deny', 'policy.no_match', []);
}

function say(outcome: Statement['outcome'], code: string, reasons: readonly string[]): Statement {
  return { outcome, code, reasons: [...new Set(reasons)].sort() };
}

function denialsOf(call: StatedCall): string[] {
  if (INBOX.includes(call.tool.name)) return ['mail.inbox'];
  if (call.tool.name !== 'gmail.send') return [];
  const found: string[] = [];
  const recipients = recipientsOf(call);
  if (recipients.length === 0 || recipients.some((address) => !ALLOWED.includes(address))) {
    found.push('mail.recipient_not_allowed');
  }
  let bytes = 0;
  for (const { source, age_minutes, bytes: size } of call.attachments) {
    bytes += size;
    if (source !== 'explicit_user_upload') found.push('mail.attachment_unknown');
    else if (age_minutes === null || age_minutes > MINUTES_MAX) found.push('mail.attachment_stale');
  }
  if (bytes > BYTES_MAX) found.push('mail.attachment_too_large');
  if (SECRETS.some((secret) => everythingSaid(call).includes(squeeze(secret)))) {
    found.push('mail.secret');
  }
  return found;
}

function recipientsOf(call: StatedCall): string[] {
  const listed = ['to', 'cc', 'bcc'].flatMap((name) => (call.arguments[name] as string[]) ?? []);
  const hidden = Object.entries(call.arguments)
    .filter(([name, value]) => !USUAL.includes(name) && String(value).includes('@'))
    .map(([name]) => `argument ${name}`);
  return [...listed.map((address) => address.trim().toLowerCase()), ...hidden];
}

function everythingSaid(call: StatedCall): string {
  const texts = Object.entries(call.arguments)
    .filter(([name, value]) => !['to', 'cc', 'bcc'].includes(name) && typeof value === 'string')
    .map(([, value]) => value as string);
  return squeeze([...texts, ...call.attachments.map(({ name }) => name)].join('\n'));
}

const speaksOfMoney = (call: StatedCall) => {
  const subject = call.arguments['subject'];
  if (subject === undefined) return false;
  return typeof subject !== 'string' || MONEY.some((word) => squeeze(subject).includes(word));
};

const tooMuch = (call: StatedCall) => {
  const amount = call.arguments['amount'];
  return amount !== undefined && (typeof amount !== 'number' || amount > AMOUNT_MAX);
};

const squeeze = (text: string) => text.toLowerCase().replace(/[\s\-_*`\\\u200b\u00ad]/g, '');

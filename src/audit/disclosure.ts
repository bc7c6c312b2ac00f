/**
 * What of a call may be read in the log. By default no argument, header value, query, path segment with data, file
 * name or content hash: each is left out, listed as erased and bound by a salted commitment. A `log` obligation of
 * the policy discloses more: `level: full` (recipients, attachments, and openings of everything), `fields` (JSON
 * pointers into the input), `include_attachment_hashes`. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Verdict } from '../decision/verdict.ts';
import { canonicalText } from './canonical.ts';
import type { Commitment } from './commitment.ts';

export interface Disclosure {
  readonly level: 'metadata' | 'full';
  readonly attachmentHashes: boolean;
  /** JSON pointers relative to the policy input. */
  readonly fields: readonly string[];
}

export const NOTHING_DISCLOSED: Disclosure = {
  level: 'metadata',
  attachmentHashes: false,
  fields: [],
};

/** The log obligations of a verdict taken together: the most that any of them asks for. */
export function disclosureOf(verdict: Verdict | null): Disclosure {
  const asked = verdict?.obligations.filter((o) => o.kind === 'log') ?? [];
  if (asked.length === 0) return NOTHING_DISCLOSED;
  const full = asked.some((o) => o['level'] === 'full');
  const pointers = asked.flatMap((o) => (Array.isArray(o['fields']) ? o['fields'] : []));
  return {
    level: full ? 'full' : 'metadata',
    attachmentHashes: full || asked.some((o) => o['include_attachment_hashes'] === true),
    fields: [...new Set(pointers.filter(isPointer).map(inputPointer))].slice(0, FIELDS_MAX),
  };
}

/** Collects, while one entry is made, what was erased and committed. */
export interface Ledger {
  readonly commit: (pointer: string, value: string) => Commitment;
  readonly commits: Commitment[];
  /** Pointers of values that are not in the clear. */
  readonly erased: string[];
  /** Pointers of values that stand there in a shortened or blanked form. */
  readonly masked: string[];
  /** Pointers whose openings are content, kept only at level `full`. */
  readonly content: Set<string>;
}

export const newLedger = (commit: Ledger['commit']): Ledger => ({
  commit,
  commits: [],
  erased: [],
  masked: [],
  content: new Set(),
});

const FIELDS_MAX = 32;
const ARGUMENTS_MAX = 32;
const ATTACHMENTS_MAX = 16;
const NAME_CHARS_MAX = 128;
/** Longer values stay committed even when they are to be disclosed. */
const CLEAR_CHARS_MAX = 8 * 1024;
/** Arguments that `full` shows: who gets the message. */
const RECIPIENTS: ReadonlySet<string> = new Set(['to', 'cc', 'bcc']);

/** Erases one value and binds it. Content is what the agent sent, as opposed to a hash of it. */
export function erase(ledger: Ledger, pointer: string, value: string, content: boolean): void {
  bind(ledger, pointer, value, content);
  ledger.erased.push(pointer);
}

/** As `erase`, of a value whose harmless part stands in the clear. */
export function mask(ledger: Ledger, pointer: string, value: string, content: boolean): void {
  bind(ledger, pointer, value, content);
  ledger.masked.push(pointer);
}

function bind(ledger: Ledger, pointer: string, value: string, content: boolean): void {
  ledger.commits.push(ledger.commit(pointer, value));
  if (content) ledger.content.add(pointer);
}

/** The clear part of the arguments as canonical text; the others are erased one by one. */
export function clearArguments(args: JsonObject, disclosure: Disclosure, ledger: Ledger): string {
  const names = Object.keys(args).sort();
  if (names.length > ARGUMENTS_MAX || names.some((name) => name.length > NAME_CHARS_MAX)) {
    erase(ledger, '/input/arguments', canonicalText(args), true);
    return '{}';
  }
  let clear = '';
  for (const name of names) {
    const pointer = `/arguments/${escapePointer(name)}`;
    const text = canonicalText(args[name] as Json);
    const shown =
      (disclosure.level === 'full' && RECIPIENTS.has(name)) || disclosure.fields.includes(pointer);
    if (shown && text.length <= CLEAR_CHARS_MAX) {
      clear += `${clear === '' ? '' : ','}${canonicalText(name)}:${text}`;
    } else {
      erase(ledger, `/input${pointer}`, text, true);
    }
  }
  return `{${clear}}`;
}

/** One line for each attachment: size, source and age always; name, type and hash when disclosed. */
export function clearAttachments(
  attachments: PolicyInput['attachments'],
  disclosure: Disclosure,
  ledger: Ledger,
): string {
  if (attachments.length === 0) return '[]';
  const full = disclosure.level === 'full';
  const shown = attachments.slice(0, ATTACHMENTS_MAX);
  if (shown.length < attachments.length) {
    const all = attachments.map((a) => ({ ...a }));
    erase(ledger, '/input/attachments', canonicalText(all), true);
  }
  const items = shown.map((a, i) => {
    const at = `/input/attachments/${i}`;
    const show = (pointer: string, text: string, clear: boolean): { [key: string]: string } => {
      if (clear && text.length <= NAME_CHARS_MAX * 2) return { [pointer]: text };
      erase(ledger, `${at}/${pointer}`, canonicalText(text), pointer !== 'sha256');
      return {};
    };
    return {
      age_minutes: a.age_minutes,
      bytes: a.bytes,
      ...show('media_type', a.media_type, full),
      ...show('name', a.name, full),
      ...show('sha256', a.sha256, disclosure.attachmentHashes),
      source: a.source,
    };
  });
  return canonicalText(items);
}

/** `fields` that are not whole arguments, as an array of pointer and value; undefined when there are none. */
export function clearFields(input: PolicyInput, disclosure: Disclosure): string | undefined {
  const nested = disclosure.fields.filter((pointer) => !/^\/arguments\/[^/]*$/.test(pointer));
  const found = nested.flatMap((pointer) => {
    const value = resolve(input, pointer);
    const text = value === undefined ? '' : canonicalText(value);
    if (text === '' || text.length > CLEAR_CHARS_MAX) return [];
    return [`{"pointer":${canonicalText(`/input${pointer}`)},"value":${text}}`];
  });
  return found.length === 0 ? undefined : `[${found.join(',')}]`;
}

/**
 * A path without data: segments of plain lower-case words and versions stay, all others become `*`. Tokens,
 * addresses and numbers in a path (`/bot123:abc/send`) are thereby out.
 */
export function blankPath(path: string): string {
  const segments = path.split('/').slice(0, 32);
  return segments
    .map((s) => (s === '' || /^(?:v[0-9]{1,2}|[a-z][a-z_-]{0,23})$/.test(s) ? s : '*'))
    .join('/');
}

function isPointer(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('/') && value.length <= 256;
}

const inputPointer = (pointer: string) =>
  pointer.startsWith('/input/') ? pointer.slice('/input'.length) : pointer;

const escapePointer = (name: string) =>
  name.includes('~') || name.includes('/')
    ? name.replaceAll('~', '~0').replaceAll('/', '~1')
    : name;

function resolve(input: PolicyInput, pointer: string): Json | undefined {
  const { time_ns: _, ...rest } = input;
  let node: unknown = rest;
  for (const part of pointer.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (node === null || typeof node !== 'object' || !Object.hasOwn(node, key)) return undefined;
    node = (node as Record<string, unknown>)[key];
  }
  return node as Json;
}

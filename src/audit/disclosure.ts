/**
 * What of a call may be read in the log. By default no argument, header value, query, path segment with data, file
 * name or content hash: each is left out, listed as erased and bound by a salted commitment. A `log` obligation of
 * the policy discloses more: `level: full` (recipients, attachments, and openings of everything), `fields` (JSON
 * pointers into the input), `include_attachment_hashes`. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Verdict } from '../decision/verdict.ts';
import { canonicalText, isInOrder } from './canonical.ts';
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
  /** False when something with keys of its own is in the entry and they are not in canonical order. */
  inOrder: boolean;
}

export const newLedger = (commit: Ledger['commit']): Ledger => ({
  commit,
  commits: [],
  erased: [],
  masked: [],
  content: new Set(),
  inOrder: true,
});

const FIELDS_MAX = 32;
const ARGUMENTS_MAX = 32;
const ATTACHMENTS_MAX = 16;
const NAME_CHARS_MAX = 128;
/** Longer values stay committed even when they are to be disclosed. */
const CLEAR_CHARS_MAX = 8 * 1024;
const PLAIN_NAME = /^[A-Za-z][A-Za-z_-]{0,31}$/;
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

/** A value whose keys are not ours goes into the entry as it stands. */
export function foreign<T extends Json>(value: T, ledger: Ledger): T {
  if (!isInOrder(value)) ledger.inOrder = false;
  return value;
}

/**
 * The clear part of the arguments; the others are erased one by one. A name that is no plain word may itself be data of
 * the agent: those arguments are bound together, names included.
 */
export function clearArguments(
  args: JsonObject,
  disclosure: Disclosure,
  ledger: Ledger,
): JsonObject {
  const names = Object.keys(args).sort();
  if (names.length > ARGUMENTS_MAX || names.some((name) => name.length > NAME_CHARS_MAX)) {
    erase(ledger, '/input/arguments', canonicalText(args), true);
    return {};
  }
  const clear: [string, Json][] = [];
  const unnamed: [string, Json][] = [];
  for (const name of names) {
    const pointer = `/arguments/${escapePointer(name)}`;
    if (!PLAIN_NAME.test(name) && !disclosure.fields.includes(pointer)) {
      unnamed.push([name, args[name] as Json]);
      continue;
    }
    const value = args[name] as Json;
    const text = canonicalText(value);
    const asked = disclosure.level === 'full' && RECIPIENTS.has(name);
    if ((asked || disclosure.fields.includes(pointer)) && text.length <= CLEAR_CHARS_MAX) {
      clear.push([name, value]);
    } else {
      erase(ledger, `/input${pointer}`, text, true);
    }
  }
  if (unnamed.length > 0) {
    mask(ledger, '/input/arguments', canonicalText(Object.fromEntries(unnamed)), true);
  }
  return clear.length === 0 ? {} : foreign(Object.fromEntries(clear), ledger);
}

/** Size, source and age of each attachment always; name, type and hash when disclosed. */
export function clearAttachments(
  attachments: PolicyInput['attachments'],
  disclosure: Disclosure,
  ledger: Ledger,
) {
  if (attachments.length > ATTACHMENTS_MAX) {
    const all = attachments.map((attachment) => ({ ...attachment }));
    erase(ledger, '/input/attachments', canonicalText(all), true);
  }
  const full = disclosure.level === 'full';
  return attachments.slice(0, ATTACHMENTS_MAX).map((attachment, i) => {
    const show = (field: 'media_type' | 'name' | 'sha256', clear: boolean) => {
      const text = attachment[field];
      if (clear && text.length <= 2 * NAME_CHARS_MAX) return text.toWellFormed();
      erase(ledger, `/input/attachments/${i}/${field}`, canonicalText(text), field !== 'sha256');
      return undefined;
    };
    return {
      age_minutes: attachment.age_minutes,
      bytes: attachment.bytes,
      media_type: show('media_type', full),
      name: show('name', full),
      sha256: show('sha256', disclosure.attachmentHashes),
      source: attachment.source,
    };
  });
}

/** `fields` that are not whole arguments: their values stand beside the input, which stays as it is. */
export function disclosedFields(input: PolicyInput, disclosure: Disclosure, ledger: Ledger) {
  const nested = disclosure.fields.filter((pointer) => !/^\/arguments\/[^/]*$/.test(pointer));
  return nested.flatMap((pointer) => {
    const value = resolve(input, pointer);
    if (value === undefined || canonicalText(value).length > CLEAR_CHARS_MAX) return [];
    return [{ pointer: `/input${pointer}`, value: foreign(value, ledger) }];
  });
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

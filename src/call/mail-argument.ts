/**
 * Turns what a mail tool was given, a raw message or separate fields, into the same arguments:
 * `to`, `cc`, `bcc`, `subject`, `text`, `html` and the attachments. The originals go, so policy
 * reads one form only; every argument that was not mapped stays visible. What cannot be read
 * unambiguously refuses the call (`call.bad_mail`). Pure.
 */
import { isObject, mergeArguments, valueAt, withoutValuesAt } from './argument.ts';
import { strictBase64 } from './base64.ts';
import type { MailFields } from './catalogue.ts';
import type { MailResult } from './mail.ts';
import { parseMail, plainText } from './mail.ts';
import { ADDRESSES_MAX, isHeaderText, parseAddressList } from './mail-address.ts';
import { attachmentOf, MAIL_PARTS_MAX } from './mail-part.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { Attachment, Json, JsonObject } from './tool-call.ts';

export type MailArguments =
  | {
      readonly ok: true;
      readonly arguments: JsonObject;
      readonly attachments: readonly Attachment[];
    }
  | Refused;

const bad = (detail: string): Refused => refuse('call.bad_mail', detail);

/** Reads the base64 message at a pointer of the arguments, e.g. Gmail's `raw`. */
export async function rawMailArguments(given: JsonObject, pointer: string): Promise<MailArguments> {
  const raw = valueAt(given, pointer);
  const bytes = typeof raw === 'string' ? strictBase64(raw) : null;
  if (bytes === null) return bad(`${pointer} is not a base64 message`);
  return merged(withoutValuesAt(given, [pointer]), await parseMail(bytes));
}

/** Reads a body of media type message/rfc822. */
export async function bodyMailArguments(
  given: JsonObject,
  body: Uint8Array,
): Promise<MailArguments> {
  return merged(given, await parseMail(body));
}

/** Reads mail that was given as separate arguments. */
export function fieldMailArguments(given: JsonObject, fields: MailFields): MailArguments {
  const value = (pointer: string | undefined): Json =>
    pointer === undefined ? null : (valueAt(given, pointer) ?? null);
  const to = addresses(value(fields.to));
  const cc = addresses(value(fields.cc));
  const bcc = addresses(value(fields.bcc));
  const from = addresses(value(fields.from));
  if (to === null || cc === null || bcc === null || from === null) {
    return bad('an address that can be read in more than one way');
  }
  if (from.length > 1) return bad('from is not one address');
  const texts = [value(fields.subject), value(fields.text), value(fields.html)];
  if (!texts.every((text) => text === null || typeof text === 'string')) {
    return bad('subject and text must be strings');
  }
  const [subject, text, html] = texts.map((item) => (item ?? '') as string) as [
    string,
    string,
    string,
  ];
  if (!isHeaderText(subject)) return bad('subject has a control character');
  const attachments = readAttachments(value(fields.attachments));
  if ('ok' in attachments) return attachments;
  const sender = from[0] === undefined ? {} : { from: from[0] };
  const mail = { ...sender, to, cc, bcc, subject, text: plainText(text), html: plainText(html) };
  const rest = withoutValuesAt(given, Object.values(fields) as string[]);
  return merged(rest, { ok: true, mail, attachments });
}

function merged(rest: JsonObject, result: MailResult): MailArguments {
  if (!result.ok) return result;
  const all = mergeArguments([rest, { ...result.mail }]);
  return all.ok ? { ...all, attachments: result.attachments } : all;
}

/** A comma-separated list or an array of such lists; null when ambiguous. */
function addresses(value: Json): string[] | null {
  if (value === null) return [];
  const lists: readonly Json[] = Array.isArray(value) ? value : [value];
  if (lists.length > ADDRESSES_MAX) return null;
  const all: string[] = [];
  for (const list of lists) {
    const parsed = typeof list === 'string' ? parseAddressList(list) : null;
    if (parsed === null) return null;
    all.push(...parsed);
  }
  return all;
}

function readAttachments(value: Json): readonly Attachment[] | Refused {
  if (value === null) return [];
  if (!Array.isArray(value) || value.length > MAIL_PARTS_MAX)
    return bad('attachments are not a list');
  const attachments: Attachment[] = [];
  for (const item of value as readonly Json[]) {
    const attachment = isObject(item) ? readAttachment(item) : null;
    if (attachment === null) return bad('an attachment without readable content');
    attachments.push(attachment);
  }
  return attachments;
}

/**
 * Names of the same thing; an item has at most one of each and nothing else that could change its
 * meaning.
 */
const ATTACHMENT_KEYS = {
  content: ['content', 'data'],
  name: ['filename', 'name'],
  type: ['mimeType', 'contentType'],
} as const;
const ATTACHMENT_KEY_SET = new Set<string>([...Object.values(ATTACHMENT_KEYS).flat(), 'encoding']);
const MEDIA_TYPE = /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/;

function readAttachment(item: JsonObject): Attachment | null {
  if (!Object.keys(item).every((key) => ATTACHMENT_KEY_SET.has(key))) return null;
  if ((item['encoding'] ?? 'base64') !== 'base64') return null;
  const content = oneOf(item, ATTACHMENT_KEYS.content);
  const name = oneOf(item, ATTACHMENT_KEYS.name) ?? '';
  const type = oneOf(item, ATTACHMENT_KEYS.type) ?? 'application/octet-stream';
  if (typeof content !== 'string' || typeof name !== 'string' || typeof type !== 'string')
    return null;
  const bytes = strictBase64(content);
  const fits = name.length <= 255 && isHeaderText(name) && MEDIA_TYPE.test(type.toLowerCase());
  return bytes !== null && fits ? attachmentOf(name, type.toLowerCase(), bytes) : null;
}

/** The value under the only one of the keys that is present; false when there are two. */
function oneOf(item: JsonObject, keys: readonly string[]): Json | undefined {
  const present = keys.filter((key) => Object.hasOwn(item, key));
  return present.length > 1 ? false : item[present[0] ?? ''];
}

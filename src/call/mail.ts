/**
 * A mail as policy sees it: who receives it, who sends it, all its text and every file with its
 * hash. Two readers must agree: the strict one of Egret and postal-mime, a lenient one as mail
 * systems have; where they differ the mail can be read in more than one way and is refused
 * (`call.bad_mail`). Trusts nothing in the mail. Pure.
 */
import { createHash } from 'node:crypto';
import type { Address, Email } from 'postal-mime';
import PostalMime from 'postal-mime';
import { decodeWords, parseAddressList } from './mail-address.ts';
import type { Leaf, MailHeaders, MailTree } from './mail-part.ts';
import { parseMailTree } from './mail-part.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { Attachment, JsonObject } from './tool-call.ts';

/** Bytes. Above the 35 MB that large mail services take. */
export const MAIL_BYTES_MAX = 41_943_040;

export interface Mail {
  /** Plain lower-case `local@domain`, in order. */
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly subject: string;
  /** All text/plain parts joined by a line end; line ends are LF, trailing ones are cut. */
  readonly text: string;
  /** All text/html parts, likewise. */
  readonly html: string;
  /** Present when the mail names a sender, reply address or other headers. */
  readonly from?: string;
  readonly sender?: string;
  readonly reply_to?: readonly string[];
  readonly headers?: JsonObject;
}

export type MailResult =
  | { readonly ok: true; readonly mail: Mail; readonly attachments: readonly Attachment[] }
  | Refused;

const bad = (detail: string): Refused => refuse('call.bad_mail', detail);

/** @returns `call.bad_mail` when the mail is malformed or ambiguous. Never rejects. */
export async function parseMail(bytes: Uint8Array): Promise<MailResult> {
  if (bytes.length > MAIL_BYTES_MAX) return bad(`more than ${MAIL_BYTES_MAX} bytes`);
  const tree = parseMailTree(bytes);
  if (!tree.ok) return bad(tree.detail);
  const mail = mailOf(tree);
  if ('ok' in mail) return mail;
  let other: Email;
  try {
    other = await PostalMime.parse(bytes, { forceRfc822Attachments: true, maxNestingDepth: 16 });
  } catch {
    return bad('the second reader cannot read it');
  }
  const difference = differing(mail, tree.leaves, other);
  if (difference !== null) return bad(`two readers see different ${difference}`);
  const attachments = tree.leaves.flatMap((leaf) =>
    leaf.kind === 'attachment' ? [leaf.attachment] : [],
  );
  return { ok: true, mail, attachments };
}

/**
 * Line ends become LF and trailing ones are cut, so the same text is equal however it travelled.
 */
export function plainText(text: string): string {
  const lines = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  let end = lines.length;
  while (end > 0 && lines.charCodeAt(end - 1) === 0x0a) end--;
  return lines.slice(0, end);
}

/** Headers that other mail systems take recipients from, and those that resend. */
const REFUSED =
  /^(resent-.*|apparently-to|(x-)?envelope-.*|x-(original-)?(to|cc|bcc)|return-path)$/;
/** Read into fields of their own, or without meaning for policy once their form is checked. */
const KNOWN = new Set(
  'from sender reply-to to cc bcc subject date message-id mime-version content-type content-transfer-encoding content-disposition'.split(
    ' ',
  ),
);
const FORMS: Readonly<Record<string, RegExp>> = {
  date: /^[A-Za-z0-9,:+() -]{1,64}$/,
  'message-id': /^<[!-;=?-~]{1,250}>$/,
  'mime-version': /^1\.0$/,
};

function mailOf(tree: MailTree): Mail | Refused {
  const others: [string, readonly string[]][] = [];
  for (const [name, values] of tree.headers) {
    const form = FORMS[name];
    if (REFUSED.test(name)) return bad(`the header ${name.slice(0, 40)} is not accepted`);
    if (!KNOWN.has(name)) others.push([name, values]);
    else if (values.length > 1) return bad(`the header ${name} stands twice`);
    else if (form !== undefined && !form.test(values[0] ?? '')) return bad(`${name} is malformed`);
  }
  const subject = decodeWords(tree.headers.get('subject')?.[0] ?? '');
  if (subject === null) return bad('subject has a malformed encoded word');
  const people = peopleOf(tree.headers);
  if ('ok' in people) return people;
  return {
    ...people,
    subject,
    text: joined(tree.leaves, 'text'),
    html: joined(tree.leaves, 'html'),
    ...(others.length === 0 ? {} : { headers: Object.fromEntries(others) }),
  };
}

type People = Pick<Mail, 'to' | 'cc' | 'bcc' | 'from' | 'sender' | 'reply_to'>;

function peopleOf(headers: MailHeaders): People | Refused {
  const lists: Record<string, readonly string[]> = {};
  for (const name of ['to', 'cc', 'bcc', 'from', 'sender', 'reply-to']) {
    const value = headers.get(name)?.[0];
    const addresses = value === undefined ? [] : parseAddressList(value);
    if (addresses === null) return bad(`${name} has an address that can be read in more ways`);
    const single = name === 'from' || name === 'sender';
    if (single && value !== undefined && addresses.length !== 1)
      return bad(`${name} is not one address`);
    lists[name] = addresses;
  }
  const { to = [], cc = [], bcc = [], from = [], sender = [], 'reply-to': replyTo = [] } = lists;
  return {
    to,
    cc,
    bcc,
    ...(from[0] === undefined ? {} : { from: from[0] }),
    ...(sender[0] === undefined ? {} : { sender: sender[0] }),
    ...(replyTo.length === 0 ? {} : { reply_to: replyTo }),
  };
}

const joined = (leaves: readonly Leaf[], kind: 'text' | 'html'): string =>
  leaves.flatMap((leaf) => (leaf.kind === kind ? [plainText(leaf.text)] : [])).join('\n');

/** What the second reader saw otherwise, or null. */
function differing(mail: Mail, leaves: readonly Leaf[], other: Email): string | null {
  const lists: [readonly string[], readonly Address[] | undefined][] = [
    [mail.to, other.to],
    [mail.cc, other.cc],
    [mail.bcc, other.bcc],
    [mail.from === undefined ? [] : [mail.from], other.from === undefined ? [] : [other.from]],
  ];
  if (!lists.every(([ours, theirs]) => ours.join() === (theirs ?? []).map(plain).join())) {
    return 'addresses';
  }
  if (mail.subject.trim() !== (other.subject ?? '').trim()) return 'subjects';
  if (!sameTexts(leaves, other)) return 'texts';
  const files = leaves.filter((leaf) => leaf.kind === 'attachment');
  if (files.length !== other.attachments.length) return 'attachments';
  const same = files.every(({ attachment, exact }, index) => {
    const theirs = other.attachments[index];
    if (theirs === undefined || typeof theirs.content === 'string') return false;
    const sameName =
      attachment.name === (theirs.filename ?? '') && attachment.media_type === theirs.mimeType;
    const hashed =
      exact &&
      attachment.media_type !== 'text/calendar' &&
      attachment.media_type !== 'application/ics';
    return sameName && (!hashed || attachment.sha256 === sha256(theirs.content));
  });
  return same ? null : 'attachments';
}

const plain = (address: Address): string => address.address?.toLowerCase() ?? 'group';

const sha256 = (content: ArrayBuffer | Uint8Array): string =>
  createHash('sha256').update(new Uint8Array(content)).digest('hex');

/**
 * Every text was seen by the second reader, and it saw no other where it does not convert kinds.
 */
function sameTexts(leaves: readonly Leaf[], other: Email): boolean {
  const theirs = { text: squeezed(other.text), html: squeezed(other.html) };
  const kinds = new Set<string>();
  for (const leaf of leaves) {
    if (leaf.kind === 'attachment') continue;
    kinds.add(leaf.kind);
    if (!theirs[leaf.kind].includes(squeezed(leaf.text))) return false;
  }
  if (kinds.size === 2) return true;
  const none = kinds.has('html') ? theirs.text : theirs.html;
  const kind = kinds.has('html') ? 'html' : 'text';
  return none === '' && theirs[kind] === squeezed(joined(leaves, kind));
}

const squeezed = (text = ''): string => text.replace(/\s+/g, ' ').trim();

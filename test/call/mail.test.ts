/**
 * Mails as agents build them: what policy sees, and which mails can be read in more than one way.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import nodemailer from 'nodemailer';
import { parseMail } from '../../src/call/mail.ts';

const crlf = (...lines: string[]) => Buffer.from(lines.join('\r\n'), 'latin1');
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
void test('a plain mail is read whole', async () => {
  const mail = crlf(
    'From: Bot <Bot@Example.com>',
    'To: Accountant <accountant@example.com>, "Smith, Bob" <bob@example.com>',
    'Cc: c@example.com',
    'Bcc: Hidden@Example.com',
    'Reply-To: r@example.com',
    'Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= from',
    ' the bot',
    'X-Note: look',
    '',
    'Hello',
    'there',
    '',
  );
  const result = await parseMail(mail);
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.mail, {
    from: 'bot@example.com',
    to: ['accountant@example.com', 'bob@example.com'],
    cc: ['c@example.com'],
    bcc: ['hidden@example.com'],
    reply_to: ['r@example.com'],
    subject: 'Gr\u00fc\u00dfe from the bot',
    text: 'Hello\nthere',
    html: '',
    headers: { 'x-note': ['look'] },
  });
  assert.deepEqual(result.attachments, []);
});

const mailer = nodemailer.createTransport({ streamTransport: true, buffer: true });

void test('a mail of a common mail library is read whole, attachments with their hash', async () => {
  const pdf = Buffer.from('%PDF-1.4 receipt \u0000 bytes');
  const { message } = await mailer.sendMail({
    from: 'Bot <bot@example.com>',
    to: ['"M\u00fcller, Bob" <bob@example.com>', 'accountant@example.com'],
    bcc: 'hidden@example.com',
    subject:
      'Beleg f\u00fcr M\u00e4rz, eine sehr lange Zeile die sicher gefaltet und kodiert werden muss',
    text: 'Hallo W\u00f6rld\nzweite Zeile',
    html: '<p>Hallo</p>',
    attachments: [
      { filename: 'Beleg f\u00fcr M\u00e4rz.pdf', content: pdf },
      { filename: 'a.txt', content: 'abc\n' },
      { filename: 'logo.png', content: pdf, cid: 'logo@example.com' },
    ],
  });
  const result = await parseMail(message as Buffer);
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.mail.to, ['bob@example.com', 'accountant@example.com']);
  assert.deepEqual(result.mail.bcc, ['hidden@example.com']);
  assert.match(result.mail.subject, /^Beleg f\u00fcr M\u00e4rz, .* muss$/);
  assert.equal(result.mail.text, 'Hallo W\u00f6rld\nzweite Zeile');
  assert.equal(result.mail.html, '<p>Hallo</p>');
  assert.deepEqual(
    result.attachments.map(({ name, bytes, sha256: hash }) => [name, bytes, hash]),
    [
      ['logo.png', pdf.length, sha256(pdf)],
      ['Beleg f\u00fcr M\u00e4rz.pdf', pdf.length, sha256(pdf)],
      ['a.txt', 4, sha256('abc\n')],
    ],
  );
});

const multipart = (...parts: string[][]) =>
  crlf(
    'To: a@example.com',
    'Content-Type: multipart/mixed; boundary="b1"',
    '',
    ...parts.flatMap((part) => ['--b1', ...part]),
    '--b1--',
    '',
  );

void test('no text part hides behind another', async () => {
  const result = await parseMail(
    multipart(
      [
        'Content-Type: multipart/alternative; boundary="b2"',
        '',
        '--b2',
        '',
        'shown',
        '--b2',
        'Content-Type: text/html; charset=utf-8',
        '',
        '<b>shown</b>',
        '--b2',
        'Content-Type: text/plain',
        '',
        'secret alternative',
        '--b2--',
      ],
      ['', 'second text'],
    ),
  );
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.mail.text, 'shown\nsecret alternative\nsecond text');
  assert.equal(result.mail.html, '<b>shown</b>');
});

void test('a mail inside a mail is a file, and so is inline text with a name', async () => {
  const inner = 'To: x@example.com\r\n\r\nsecret';
  const result = await parseMail(
    multipart(
      ['Content-Type: message/rfc822', '', ...inner.split('\r\n')],
      [
        'Content-Type: application/pdf; name=x.pdf',
        'Content-Transfer-Encoding: base64',
        '',
        'YWJj',
      ],
    ),
  );
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(
    result.attachments.map((attachment) => [attachment.media_type, attachment.sha256]),
    [
      ['message/rfc822', sha256(inner)],
      ['application/pdf', sha256('abc')],
    ],
  );
  assert.equal(result.mail.text, '');
});

void test('a mail with LF line ends reads like one with CRLF', async () => {
  const mail = multipart(['', 'one'], ['Content-Type: text/html', '', '<i>two</i>']);
  const unix = Buffer.from(mail.toString().replaceAll('\r\n', '\n'));
  assert.deepEqual(await parseMail(unix), await parseMail(mail));
});

void test('no bytes make the mail reader throw, and what it reads it reads twice the same', async () => {
  const line = fc.constantFrom(
    'To: a@example.com',
    'Bcc: b@example.com',
    'Subject: x',
    'Content-Type: multipart/mixed; boundary=b',
    'Content-Type: text/html',
    'Content-Transfer-Encoding: base64',
    '',
    '',
    '--b',
    '--b--',
    'YWJj',
    ' folded',
    '=?utf-8?Q?a?=',
    'x: y',
    '\xff',
    '\0',
    '"',
    '<',
    '(',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 16 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      async (lines, eol) => {
        const bytes = Buffer.from(lines.join(eol), 'latin1');
        const once = await parseMail(bytes);
        if (!once.ok) assert.equal(once.reason, 'call.bad_mail');
        assert.deepEqual(await parseMail(bytes), once);
      },
    ),
    { numRuns: 1500 },
  );
});

void test('recipients survive any display name that is accepted', async () => {
  const name = fc.array(fc.constantFrom(...'a "<>@,;:()\\=?.\u00fc'.split('')), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(name, async (characters) => {
      const mail = Buffer.from(`To: ${characters.join('')} <ok@example.com>\r\n\r\nx`);
      const result = await parseMail(mail);
      if (!result.ok) return;
      assert.deepEqual(result.mail.to.at(-1), 'ok@example.com');
      assert.equal(result.mail.to.length, 1);
    }),
    { numRuns: 1000 },
  );
});

void test('an attachment of eight megabytes is read', async () => {
  const big = Buffer.alloc(8_000_000, 7);
  const base64 = big.toString('base64').replace(/.{76}/g, '$&\r\n');
  const result = await parseMail(
    multipart(['Content-Type: application/zip', 'Content-Transfer-Encoding: base64', '', base64]),
  );
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.attachments[0]?.sha256, sha256(big));
});

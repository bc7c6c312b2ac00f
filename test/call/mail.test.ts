/** Mails as agents build them: what policy sees, and which mails can be read in more than one way. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import nodemailer from 'nodemailer';
import { strictBase64 } from '../../src/call/base64.ts';
import { parseMail } from '../../src/call/mail.ts';
import { decodeWords, parseAddressList } from '../../src/call/mail-address.ts';

const crlf = (...lines: string[]) => Buffer.from(lines.join('\r\n'), 'latin1');
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const outcome = async (bytes: Uint8Array) => {
  const result = await parseMail(bytes);
  return result.ok ? 'ok' : result.reason;
};

test('a plain mail is read whole', async () => {
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

test('a mail of a common mail library is read whole, attachments with their hash', async () => {
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

test('no text part hides behind another', async () => {
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

test('a mail inside a mail is a file, and so is inline text with a name', async () => {
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

const headed = (...headers: string[]) => crlf(...headers, '', 'text');

const REFUSED: [sentence: string, mail: Buffer][] = [
  ['no headers', crlf('', 'text')],
  ['an empty message', Buffer.alloc(0)],
  ['headers without an end', crlf('To: a@example.com')],
  ['a NUL', headed('To: a@example.com', 'Subject: a\0b')],
  ['a bare carriage return', headed('To: a@example.com\rBcc: b@example.com')],
  ['a bare line feed among CRLF headers', headed('To: a@example.com\nBcc: b@example.com')],
  [
    'headers that end with a bare blank line',
    Buffer.from('To: a@example.com\r\nX: y\n\nBcc: b@example.com\r\n\r\nt'),
  ],
  ['a line without colon', headed('To: a@example.com', 'nonsense')],
  ['a space before the colon', headed('To: a@example.com', 'Bcc : b@example.com')],
  ['a first line that is folded', headed(' To: a@example.com')],
  ['a folded line of blanks', headed('To: a@example.com,', ' ', ' b@example.com')],
  ['a Unicode space before a name', headed('To: a@example.com', '\u00a0Bcc: b@example.com')],
  ['two To headers', headed('To: a@example.com', 'To: b@example.com')],
  ['two Bcc headers in other spelling', headed('Bcc: a@example.com', 'BCC: b@example.com')],
  ['two Subjects', headed('To: a@example.com', 'Subject: a', 'Subject: b')],
  [
    'two Content-Types',
    headed('To: a@example.com', 'Content-Type: text/plain', 'Content-Type: text/html'),
  ],
  ['Resent-To', headed('To: a@example.com', 'Resent-To: b@example.com')],
  ['Resent-Bcc', headed('To: a@example.com', 'Resent-Bcc: b@example.com')],
  ['Apparently-To', headed('Apparently-To: b@example.com')],
  ['X-Bcc', headed('To: a@example.com', 'X-Bcc: b@example.com')],
  ['two senders in From', headed('From: a@example.com, b@example.com', 'To: a@example.com')],
  ['header bytes that are not UTF-8', headed('To: a@example.com', 'Subject: \xfc')],
  ['a group', headed('To: team: a@example.com, b@example.com;')],
  ['an address without @', headed('To: accountant')],
  ['a comment', headed('To: a@example.com (b@example.com)')],
  ['a quoted local part', headed('To: "a@evil.org"@example.com')],
  ['a broken encoded word in Subject', headed('To: a@example.com', 'Subject: =?utf-8?Q?a=zz?=')],
  ['an encoded word glued to text', headed('To: a@example.com', 'Subject: sal=?utf-8?Q?ary?=')],
  [
    'an encoded line break in Subject',
    headed('To: a@example.com', 'Subject: =?utf-8?Q?a=0D=0ABcc:b?='),
  ],
  ['a charset nobody needs', headed('To: a@example.com', 'Subject: =?utf-7?Q?+AGE-?=')],
  ['UTF-7 text', headed('To: a@example.com', 'Content-Type: text/plain; charset=utf-7')],
  ['8-bit text without a charset', crlf('To: a@example.com', '', 'M\xfcller')],
  [
    'text that is not in its charset',
    crlf('To: a@example.com', 'Content-Type: text/plain; charset=utf-8', '', '\xff'),
  ],
  ['flowed text', headed('To: a@example.com', 'Content-Type: text/plain; format=flowed')],
  [
    'an unknown transfer encoding',
    headed('To: a@example.com', 'Content-Transfer-Encoding: x-uuencode'),
  ],
  ['broken base64', crlf('To: a@example.com', 'Content-Transfer-Encoding: base64', '', 'YW!j')],
  [
    'base64 with padding inside',
    crlf('To: a@example.com', 'Content-Transfer-Encoding: base64', '', 'YQ==YQ=='),
  ],
  [
    'broken quoted-printable',
    crlf('To: a@example.com', 'Content-Transfer-Encoding: quoted-printable', '', 'a=zz'),
  ],
  [
    'a repeated boundary parameter',
    headed('To: a@example.com', 'Content-Type: multipart/mixed; boundary=a; boundary=b'),
  ],
  ['a multipart without boundary', headed('To: a@example.com', 'Content-Type: multipart/mixed')],
  [
    'an encoded multipart',
    headed(
      'To: a@example.com',
      'Content-Type: multipart/mixed; boundary=b',
      'Content-Transfer-Encoding: base64',
    ),
  ],
  [
    'an unusual multipart',
    headed('To: a@example.com', 'Content-Type: multipart/digest; boundary=b'),
  ],
  [
    'a multipart that does not end',
    crlf('To: a@example.com', 'Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'x'),
  ],
  [
    'text before the first part',
    crlf(
      'To: a@example.com',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      'secret',
      '--b',
      '',
      'x',
      '--b--',
    ),
  ],
  [
    'text after the last part',
    crlf(
      'To: a@example.com',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'x',
      '--b--',
      'secret',
    ),
  ],
  [
    'a part after the end',
    crlf(
      'To: a@example.com',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'x',
      '--b--',
      '--b',
      '',
      'y',
      '--b--',
    ),
  ],
  ['a line that resembles the boundary', multipart(['', 'x', '--b1x', 'y'])],
  ['a boundary with trailing blanks', multipart(['', 'x', '--b1 ', '', 'y'])],
  ['a boundary after a bare line feed', multipart(['', 'x\n--b1', '', 'y'])],
  [
    'an inner boundary that begins like the outer',
    multipart(['Content-Type: multipart/mixed; boundary=b12', '', '--b12', '', 'x', '--b12--']),
  ],
  ['an unknown header in a part', multipart(['To: b@example.com', '', 'x'])],
  [
    'a part that lies elsewhere',
    multipart(['Content-Type: message/external-body; access-type=url', '', 'x']),
  ],
  ['a part in pieces', multipart(['Content-Type: message/partial; id=a; number=1', '', 'x'])],
  [
    'two names of one file',
    multipart([
      'Content-Type: application/pdf; name=a.pdf',
      'Content-Disposition: attachment; filename=b.exe',
      '',
      'x',
    ]),
  ],
  [
    'a file name in two forms',
    multipart([
      'Content-Type: application/pdf',
      "Content-Disposition: attachment; filename=a.pdf; filename*=utf-8''b.exe",
      '',
      'x',
    ]),
  ],
  [
    'a file name with a gap',
    multipart([
      'Content-Type: application/pdf',
      'Content-Disposition: attachment; filename*0=a; filename*2=b',
      '',
      'x',
    ]),
  ],
  ['more than 100 parts', multipart(...Array.from({ length: 101 }, () => ['', 'x']))],
  ['a strange MIME version', headed('To: a@example.com', 'MIME-Version: 2.0')],
  ['a message id with text in it', headed('To: a@example.com', 'Message-ID: my secret is 42')],
  ['a calendar of words as date', headed('To: a@example.com', 'Date: api_key=42')],
];

for (const [sentence, mail] of REFUSED) {
  test(`refused: ${sentence}`, async () => assert.equal(await outcome(mail), 'call.bad_mail'));
}

test('nesting is bounded', async () => {
  const nested = (depth: number): string[] =>
    depth === 0
      ? ['', 'x']
      : [
          `Content-Type: multipart/mixed; boundary=n${depth}.`,
          '',
          `--n${depth}.`,
          ...nested(depth - 1),
          `--n${depth}.--`,
        ];
  assert.equal(await outcome(crlf('To: a@example.com', ...nested(8))), 'ok');
  assert.equal(await outcome(crlf('To: a@example.com', ...nested(9))), 'call.bad_mail');
});

test('a mail with LF line ends reads like one with CRLF', async () => {
  const mail = multipart(['', 'one'], ['Content-Type: text/html', '', '<i>two</i>']);
  const unix = Buffer.from(mail.toString().replaceAll('\r\n', '\n'));
  assert.deepEqual(await parseMail(unix), await parseMail(mail));
});

const ADDRESSES: [text: string, expected: string[] | null][] = [
  ['a@example.com', ['a@example.com']],
  [' A@Example.COM ', ['a@example.com']],
  ['a@x.org, b@y.org', ['a@x.org', 'b@y.org']],
  ['A B <a@x.org>', ['a@x.org']],
  ['"B, A" <a@x.org>,<b@x.org>', ['a@x.org', 'b@x.org']],
  ['"a@x.org" <a@x.org>', ['a@x.org']],
  ['=?utf-8?B?w7w=?= <a@x.org>', ['a@x.org']],
  ['first.last+tag@mail.x.org', ['first.last+tag@mail.x.org']],
  ['', []],
  ['"ok@x.org" <evil@y.org>', null],
  ['ok@x.org <evil@y.org>', null],
  ['=?utf-8?Q?ok=40x.org?= <evil@y.org>', null],
  ['=?utf-8?Q?=3Cok=40x.org=3E?= <evil@y.org>', null],
  ['=?utf-8?Q?a=40x.org?=', null],
  ['a@x.org,', null],
  ['a@x.org,,b@x.org', null],
  ['a@x.org b@x.org', null],
  ['a@x.org; b@x.org', null],
  ['<a@x.org> b@y.org', null],
  ['<<a@x.org>>', null],
  ['<@relay.org:a@x.org>', null],
  ['a%evil.org@x.org', null],
  ['evil.org!a@x.org', null],
  ['a@b@x.org', null],
  ['a@', null],
  ['@x.org', null],
  ['.a@x.org', null],
  ['a..b@x.org', null],
  ['a@x..org', null],
  ['a@x.org.', null],
  ['a@[127.0.0.1]', null],
  ['a@127.0.0.1', null],
  ['a@x_y.org', null],
  ['\u0430@x.org', null],
  ['a@b\u00fccher.org', null],
  ['a\\@x.org', null],
  ['"a <a@x.org>', null],
  ['a@x.org\r\nBcc: b@x.org', null],
  ['a\u0000@x.org', null],
  ['undisclosed-recipients:;', null],
];

for (const [text, expected] of ADDRESSES) {
  test(`the address list ${JSON.stringify(text)} is ${expected?.join(' and ') ?? 'refused'}`, () => {
    assert.deepEqual(parseAddressList(text), expected);
  });
}

test('encoded words next to each other lose the blank between them, others keep it', () => {
  assert.equal(decodeWords('=?utf-8?Q?a?= =?utf-8?Q?b?= c  d'), 'ab c  d');
  assert.equal(decodeWords('x =?iso-8859-1?Q?=FC?='), 'x \u00fc');
  assert.equal(decodeWords('plain  text'), 'plain  text');
});

test('base64 has one spelling per byte string in each alphabet', () => {
  assert.deepEqual(strictBase64('-_-_'), Buffer.from('+/+/', 'base64'));
  for (const broken of [
    '+_',
    'a',
    'YQ=',
    'Y===',
    'YR==',
    'YR',
    'Y Q',
    'YQ==\n',
    '\u00fc',
    '=',
    'YQ==YQ==',
  ]) {
    assert.equal(strictBase64(broken), null, broken);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      for (const encoding of ['base64', 'base64url'] as const) {
        const text = buffer.toString(encoding);
        assert.deepEqual(strictBase64(text), buffer);
        assert.deepEqual(strictBase64(text.replaceAll('=', '')), buffer);
      }
    }),
  );
});

test('no bytes make the mail reader throw, and what it reads it reads twice the same', async () => {
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

test('recipients survive any display name that is accepted', async () => {
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

test('forty megabytes of attachment are read', async () => {
  const big = Buffer.alloc(20_000_000, 7);
  const base64 = big.toString('base64').replace(/.{76}/g, '$&\r\n');
  const result = await parseMail(
    multipart(['Content-Type: application/zip', 'Content-Transfer-Encoding: base64', '', base64]),
  );
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.attachments[0]?.sha256, sha256(big));
});

test('a quadratic mail does not stall the reader', async () => {
  const blanks = ' '.repeat(60_000);
  for (const mail of [
    headed(`To: ${blanks}a`),
    headed('To: a@example.com', `Content-Type: text/plain${blanks}x`),
    headed('To: a@example.com', `Subject: ${'=?'.repeat(30_000)}`),
    headed(`To: ${'"'.repeat(60_000)}`),
    crlf(
      'To: a@example.com',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      ' '.repeat(3_000_000),
      'x',
      '--b--',
    ),
  ]) {
    assert.equal(await outcome(mail), 'call.bad_mail');
  }
});

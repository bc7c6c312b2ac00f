/**
 * Mails that two mail systems could read differently, or that would make a reader work for long:
 * each is refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMail } from '../../src/call/mail.ts';
import { parseMailTree } from '../../src/call/mail-part.ts';

const crlf = (...lines: string[]) => Buffer.from(lines.join('\r\n'), 'latin1');
const outcome = async (bytes: Uint8Array) => {
  const result = await parseMail(bytes);
  return result.ok ? 'ok' : result.reason;
};

const multipart = (...parts: string[][]) =>
  crlf(
    'To: a@example.com',
    'Content-Type: multipart/mixed; boundary="b1"',
    '',
    ...parts.flatMap((part) => ['--b1', ...part]),
    '--b1--',
    '',
  );

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
  void test(`refused: ${sentence}`, async () => assert.equal(await outcome(mail), 'call.bad_mail'));
}

void test('where the second reader sees text and the first a file, the mail is refused', async () => {
  const mail = multipart(['Content-Type: text/plain; name=note.txt', '', 'shown or not?']);
  assert.equal(parseMailTree(mail).ok, true);
  assert.deepEqual(await parseMail(mail), {
    ok: false,
    reason: 'call.bad_mail',
    detail: 'two readers see different texts',
  });
});

void test('the strict reader alone refuses a boundary after a bare line feed', () => {
  const text = ['', 'x\n--b1', '', 'y'];
  assert.deepEqual(parseMailTree(multipart(text)), {
    ok: false,
    detail: 'a boundary after a bare line feed',
  });
  assert.equal(parseMailTree(multipart(['', 'x\n--b2', '', 'y'])).ok, true);
});

void test('nesting is bounded', async () => {
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

void test('a quadratic mail does not stall the reader', async () => {
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

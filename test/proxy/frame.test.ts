/** WebSocket frames beside a dumb twin that has all bytes at once, and one row for each thing RFC 6455 forbids. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  closeEvent,
  encodeFrame,
  type FrameEvent,
  FrameReader,
  PIECE_BYTES,
  type Sender,
} from '../../src/proxy/frame.ts';
import { FrameRate } from '../../src/proxy/frame-rate.ts';

const LIMITS = { messageBytesMax: 200_000 };
const MASK = Uint8Array.of(1, 2, 3, 4);
const utf8 = (text: string) => new TextEncoder().encode(text);
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const fromTool = (bytes: Uint8Array) => new FrameReader('tool', LIMITS).read(bytes);
const fromAgent = (bytes: Uint8Array) => new FrameReader('agent', LIMITS).read(bytes);
const codeOf = (events: readonly FrameEvent[]) => {
  const last = events.at(-1);
  return last?.kind === 'violation' ? last.code : (last?.kind ?? null);
};

const data = (text: string, first = true, last = true): FrameEvent & { kind: 'data' } => ({
  kind: 'data',
  type: 'text',
  first,
  last,
  payload: utf8(text),
});

void test('the examples of RFC 6455 section 5.7 are read as it says', () => {
  assert.deepEqual(fromTool(hex('81 05 48656c6c6f')), [data('Hello')]);
  assert.deepEqual(fromAgent(hex('81 85 37fa213d 7f9f4d5158')), [data('Hello')]);
  assert.deepEqual(fromTool(hex('01 03 48656c 80 02 6c6f')), [
    data('Hel', true, false),
    data('lo', false, true),
  ]);
  assert.deepEqual(fromTool(hex('89 05 48656c6c6f')), [{ kind: 'ping', payload: utf8('Hello') }]);
});

const FORBIDDEN: readonly [sentence: string, sender: Sender, bytes: string, code: number][] = [
  ['RSV1, as permessage-deflate sets it', 'tool', 'c1 00', 1002],
  ['RSV2', 'tool', 'a1 00', 1002],
  ['RSV3', 'tool', '91 00', 1002],
  ['opcode 3', 'tool', '83 00', 1002],
  ['opcode 11', 'tool', '8b 00', 1002],
  ['a masked frame of the tool', 'tool', '81 80 00000000', 1002],
  ['an unmasked frame of the agent', 'agent', '81 00', 1002],
  ['a ping in parts', 'tool', '09 00', 1002],
  ['a ping of 126 bytes', 'tool', '89 7e 007e', 1002],
  ['a close of one byte', 'tool', '88 01 03', 1002],
  ['close code 1005', 'tool', '88 02 03ed', 1002],
  ['close code 1006', 'tool', '88 02 03ee', 1002],
  ['close code 1015', 'tool', '88 02 03f7', 1002],
  ['close code 999', 'tool', '88 02 03e7', 1002],
  ['close code 2999', 'tool', '88 02 0bb7', 1002],
  ['close code 5000', 'tool', '88 02 1388', 1002],
  ['a close whose words are not UTF-8', 'tool', '88 03 03e8 ff', 1007],
  ['a continuation of nothing', 'tool', '80 00', 1002],
  ['a message inside a message', 'tool', '01 00 81 00', 1002],
  ['a continuation after the last part', 'tool', '01 00 80 00 80 00', 1002],
  ['five bytes in a two-byte length', 'tool', '81 7e 0005', 1002],
  ['65535 bytes in an eight-byte length', 'tool', '82 7f 000000000000ffff', 1002],
  ['text that is not UTF-8', 'tool', '81 01 ff', 1007],
  ['text that ends inside a character', 'tool', '81 02 c3a9 81 01 c3', 1007],
  ['a surrogate half in text', 'tool', '81 03 eda080', 1007],
  ['a character cut by the last part', 'tool', '01 01 e2 80 01 82', 1007],
  ['a message over the maximum', 'tool', '82 7f 0000000000030d41', 1009],
  ['a length with its highest bit set', 'tool', '82 7f 8000000000000000', 1009],
];
for (const [sentence, sender, bytes, code] of FORBIDDEN) {
  void test(`${sentence} is closed with ${code}`, () => {
    const whole = new FrameReader(sender, LIMITS).read(hex(bytes));
    assert.equal(codeOf(whole), code);
    const reader = new FrameReader(sender, LIMITS);
    const dripped = [...hex(bytes)].flatMap((byte) => reader.read(Uint8Array.of(byte)));
    assert.equal(codeOf(dripped), code);
    assert.deepEqual(reader.read(hex('81 00')), []);
  });
}

void test('a message over the maximum in parts is closed with the part that is too much', () => {
  const reader = new FrameReader('tool', { messageBytesMax: 6 });
  assert.equal(codeOf(reader.read(hex('02 03 000000 00 03 000000'))), 'data');
  assert.equal(codeOf(reader.read(hex('80 00'))), 'data');
  assert.equal(codeOf(reader.read(hex('02 03 000000 80 04'))), 1009);
});

void test('a character may be cut by a part, and control frames may stand between parts', () => {
  assert.deepEqual(
    fromTool(hex('01 01 e2 89 00 80 02 82ac')).map(({ kind }) => kind),
    ['data', 'ping', 'data'],
  );
});

void test('nothing behind a close is read', () => {
  const events = fromTool(hex('88 00 81 01 41'));
  assert.deepEqual(events, [{ kind: 'close', payload: new Uint8Array() }]);
});

void test('a frame longer than a piece passes on in pieces of one message', () => {
  const payload = Uint8Array.from({ length: PIECE_BYTES * 2 + 5 }, (_, index) => index & 0x7f);
  const event = { kind: 'data', type: 'text', first: true, last: true, payload } as const;
  const events = fromAgent(encodeFrame(event, MASK)) as (FrameEvent & { kind: 'data' })[];
  assert.deepEqual(
    events.map(({ first, last }) => [first, last]),
    [
      [true, false],
      [false, false],
      [false, true],
    ],
  );
  assert.deepEqual(Buffer.concat(events.map((piece) => piece.payload)), Buffer.from(payload));
});

void test('the reading ends with the frame that is one too many', () => {
  const reader = new FrameReader('tool', LIMITS);
  let frames = 0;
  const events = reader.read(hex('81 00 81 00 81 00'), () => {
    frames += 1;
    return frames <= 2;
  });
  assert.equal(events.length, 2);
  assert.deepEqual(
    reader.read(hex('81 00'), () => true),
    [],
  );
});

const piece = fc.record({
  text: fc.boolean(),
  parts: fc.array(fc.string({ maxLength: 80, unit: 'grapheme' }), { minLength: 1, maxLength: 4 }),
});
const messages = fc.array(
  fc.oneof(
    piece,
    fc.record({ ping: fc.uint8Array({ maxLength: 125 }) }),
    fc.record({ pong: fc.uint8Array({ maxLength: 125 }) }),
  ),
  { maxLength: 8 },
);

type Sent = Exclude<FrameEvent, { kind: 'violation' }>;

function eventsFor(list: readonly object[]): Sent[] {
  return list.flatMap((entry): Sent[] => {
    if ('ping' in entry) return [{ kind: 'ping' as const, payload: entry.ping as Uint8Array }];
    if ('pong' in entry) return [{ kind: 'pong' as const, payload: entry.pong as Uint8Array }];
    const { parts, text } = entry as { parts: string[]; text: boolean };
    return parts.map((part, index) => ({
      kind: 'data' as const,
      type: text ? ('text' as const) : ('binary' as const),
      first: index === 0,
      last: index === parts.length - 1,
      payload: utf8(part),
    }));
  });
}

void test('what is written is read again, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.nat(40), { maxLength: 60 }),
      fc.boolean(),
      (list, cuts, masked) => {
        const events = eventsFor(list);
        const bytes = Buffer.concat(
          events.map((event) => encodeFrame(event, masked ? MASK : null)),
        );
        const reader = new FrameReader(masked ? 'agent' : 'tool', LIMITS);
        const read: FrameEvent[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          read.push(...reader.read(new Uint8Array(bytes.subarray(at, at + cut))));
          at += cut;
        }
        assert.deepEqual(read, events);
      },
    ),
    { numRuns: 300 },
  );
});

/** The dumb twin: all bytes at once, no state, no pieces, one frame after the other. */
function twin(bytes: Uint8Array, max: number): string[] {
  const said: string[] = [];
  let open: { type: number; parts: Uint8Array[] } | null = null;
  for (let rest = bytes; rest.length >= 2; ) {
    const [a, b] = [rest[0] as number, rest[1] as number];
    const [fin, opcode, size7] = [a >= 128, a % 16, b % 128];
    if ((a >> 4) % 8 !== 0 || (opcode > 2 && opcode < 8) || opcode > 10) return [...said, '1002'];
    if (b >= 128) return [...said, '1002'];
    if (opcode >= 8 && !fin) return [...said, '1002'];
    if (opcode < 8 && (opcode === 0) !== (open !== null)) return [...said, '1002'];
    if (opcode >= 8 && size7 > 125) return [...said, '1002'];
    const extra = size7 === 126 ? 2 : size7 === 127 ? 8 : 0;
    if (rest.length < 2 + extra) break;
    const size =
      extra === 0 ? size7 : Number(`0x${Buffer.from(rest.subarray(2, 2 + extra)).toString('hex')}`);
    if ((extra === 2 && size < 126) || (extra === 8 && size < 65536)) return [...said, '1002'];
    const before: number = open === null ? 0 : Buffer.concat(open.parts).length;
    if (opcode < 8 && before + size > max) return [...said, '1009'];
    if (rest.length < 2 + extra + size) break;
    const payload = rest.slice(2 + extra, 2 + extra + size);
    rest = rest.slice(2 + extra + size);
    if (opcode === 9 || opcode === 10) {
      said.push(`${opcode === 9 ? 'ping' : 'pong'} ${Buffer.from(payload).toString('hex')}`);
      continue;
    }
    if (opcode === 8) {
      const code =
        payload.length >= 2 ? (payload[0] as number) * 256 + (payload[1] as number) : 1000;
      const forbidden =
        code < 1000 ||
        [1004, 1005, 1006].includes(code) ||
        (code > 1014 && code < 3000) ||
        code > 4999;
      if (payload.length === 1 || forbidden) return [...said, '1002'];
      const words = Buffer.from(payload.slice(2));
      if (!Buffer.from(words.toString('utf8')).equals(words)) return [...said, '1007'];
      return [...said, `close ${Buffer.from(payload).toString('hex')}`];
    }
    open ??= { type: opcode, parts: [] };
    open.parts.push(payload);
    if (!fin) continue;
    const whole = Buffer.concat(open.parts);
    if (open.type === 1 && !Buffer.from(whole.toString('utf8')).equals(whole))
      return [...said, '1007'];
    said.push(`${open.type === 1 ? 'text' : 'binary'} ${whole.toString('hex')}`);
    open = null;
  }
  return said;
}

/** The reader's events as the twin says them. Bad UTF-8 is told earlier here, in the part where it stands. */
function said(events: readonly FrameEvent[]): string[] {
  const lines: string[] = [];
  let parts: Uint8Array[] = [];
  for (const event of events) {
    if (event.kind === 'violation') lines.push(String(event.code));
    else if (event.kind !== 'data') {
      lines.push(`${event.kind} ${Buffer.from(event.payload).toString('hex')}`);
    } else {
      if (event.first) parts = [];
      parts.push(event.payload);
      if (event.last) lines.push(`${event.type} ${Buffer.concat(parts).toString('hex')}`);
    }
  }
  return lines;
}

const header = fc
  .tuple(
    fc.constantFrom(0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a, 0x08, 0xc1, 0x83, 0x8f),
    fc.oneof({ weight: 8, arbitrary: fc.nat(12) }, fc.constantFrom(0x7e, 0x7f, 0x80, 0xff)),
    fc.oneof(
      fc.string({ maxLength: 8, unit: 'grapheme' }).map(utf8),
      fc.uint8Array({ maxLength: 12 }),
    ),
  )
  .map(([first, second, rest]) =>
    Uint8Array.of(first, second > 12 ? second : rest.length, ...rest),
  );

void test('the reader and its dumb twin say the same of any bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(header, fc.uint8Array({ maxLength: 6 })), { maxLength: 6 }),
      (list) => {
        const bytes = new Uint8Array(Buffer.concat(list));
        const max = 20;
        const expected = twin(bytes, max);
        const whole = said(new FrameReader('tool', { messageBytesMax: max }).read(bytes));
        const reader = new FrameReader('tool', { messageBytesMax: max });
        const dripped = said([...bytes].flatMap((byte) => reader.read(Uint8Array.of(byte))));
        assert.deepEqual(dripped, whole);
        if (whole.at(-1) === '1007' && expected.at(-1) !== '1007') {
          // Told in the part where it stands; the twin waits for the message's end and may see something else first.
          assert.deepEqual(whole.slice(0, -1), expected.slice(0, whole.length - 1));
        } else assert.deepEqual(whole, expected);
      },
    ),
    { numRuns: 3000 },
  );
});

void test('a close of our own can be read', () => {
  assert.deepEqual(fromTool(encodeFrame(closeEvent(1009), null)), [closeEvent(1009)]);
});

void test('as many frames pass at once as in a second, then as time goes by', () => {
  const rate = new FrameRate(2, 0);
  assert.deepEqual([rate.take(0), rate.take(0), rate.take(0)], [true, true, false]);
  assert.deepEqual([rate.take(500), rate.take(500)], [true, false]);
  assert.deepEqual([rate.take(90_000), rate.take(90_000), rate.take(90_000)], [true, true, false]);
  assert.equal(rate.take(0), false);
});

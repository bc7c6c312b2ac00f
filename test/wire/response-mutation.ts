/**
 * Answers that no tool should give, made from a seed: good ones and the named bad ones, with bytes, lines, lengths and
 * whole answers taken away, changed and repeated, cut into pieces and ended in every way. The same seed and number make
 * the same answer. Pure.
 */
import { createHash } from 'node:crypto';
import { baseAnswers } from './response-base.ts';
import type { Step } from './response-case.ts';
import { type Dice, rollDice } from './response-dice.ts';
import { type Reading, readResponse } from './response-reader.ts';

export interface FuzzedAnswer {
  readonly index: number;
  readonly mark: string;
  readonly method: string;
  readonly script: readonly Step[];
  /** All its bytes, and what they say when read strictly. */
  readonly bytes: string;
  readonly truth: Reading;
  /** A good answer as it should be: it must arrive. */
  readonly untouched: boolean;
  /** The connection may be used again: the answer and nothing else was sent. */
  readonly mayStay: boolean;
}

/** Names the call that an answer belongs to; no mutation of one makes that of another. */
export function markOf(index: number): string {
  return `mark-${index}-${createHash('sha256').update(`answer ${index}`).digest('hex').slice(0, 10)}`;
}

export function foreignMarks(raw: string, index: number): string[] {
  const found = [...raw.matchAll(/mark-(\d+)-[0-9a-f]{10}/g)];
  return found
    .filter(([mark, number]) => Number(number) !== index && mark === markOf(Number(number)))
    .map(([mark]) => mark);
}

/** @param mcp the answer is one to a JSON-RPC call. */
export function fuzzedAnswer(seed: number, index: number, mcp: boolean): FuzzedAnswer {
  const dice = rollDice(seed, index);
  const mark = markOf(index);
  const method = mcp ? 'POST' : dice.pick(['GET', 'GET', 'GET', 'POST', 'HEAD']);
  const base = dice.pick(baseAnswers(mcp));
  const untouched = base.good && dice.chance(0.35);
  let bytes = base.bytes.replaceAll('MARK-MARK-MARK-MARK-MARK', mark.padEnd(24, '.'));
  if (!base.good && dice.chance(0.7)) bytes = bytes.replace('\r\n', `\r\nX-Mark: ${mark}\r\n`);
  if (!untouched) {
    for (let left = 1 + dice.below(4); left > 0; left -= 1)
      bytes = dice.pick(MUTATIONS)(bytes, dice);
  }
  const ending = endingOf(bytes, method, dice, untouched);
  const truth = truthOf(bytes, method, ending === 'close');
  const exact = truth.kind === 'whole' && /^[\r\n]*$/.test(truth.rest);
  const script = [...pieces(bytes, dice), ending];
  return {
    index,
    mark,
    method,
    script,
    bytes,
    truth,
    untouched: untouched && truth.kind === 'whole',
    mayStay: exact && ending === 'hold',
  };
}

const truthOf = (bytes: string, method: string, ended: boolean): Reading =>
  readResponse(bytes, method, ended, true);

function endingOf(bytes: string, method: string, dice: Dice, kind: boolean): Step {
  if (truthOf(bytes, method, false).kind === 'whole' && dice.chance(0.85)) return 'hold';
  if (kind) return 'close';
  // Whoever holds a broken answer is waited for: a few of these are enough.
  if (dice.chance(0.005)) return 'hold';
  return dice.chance(0.7) ? 'close' : 'reset';
}

function pieces(bytes: string, dice: Dice): Step[] {
  if (!dice.chance(0.4)) return [bytes];
  const steps: Step[] = [];
  let rest = bytes;
  for (let left = 1 + dice.below(5); left > 0 && rest.length > 1; left -= 1) {
    const at = 1 + dice.below(rest.length - 1);
    steps.push(rest.slice(0, at), { waitMs: dice.below(4) });
    rest = rest.slice(at);
  }
  return [...steps, rest];
}

type Mutation = (bytes: string, dice: Dice) => string;

const ODD_BYTES = '\r|\n|\r\n|\r\n\r\n|\0|:| |\t|,|;|\x0b|\x7f|\x80|\xff|0|-|"'.split('|');
const ODD_FIELDS = [
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'Content-Length: 0',
  'Content-Length: 24',
  'Content-Length: 4',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: x-hop, content-type',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Keep-Alive: timeout=0',
  'X-Hop: 1',
  'X-Egret-Reason: policy.allowed',
  'X-Egret-Decision-Id: 00000000-0000-0000-0000-000000000000',
  'Alt-Svc: h3=":443"',
  'Content-Encoding: gzip',
  'Content-Encoding: br',
  'Content-Type: text/event-stream',
  'Content-Type: text/html',
  'Trailer: X-Late',
  ' folded: yes',
];
const INTERIM = [
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
  'HTTP/1.1 102 Processing\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'HTTP/1.1 101 Switching\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabc',
];
const LENGTHS =
  '0|1|4|5|23|25|24, 24|+24|024|0x18|-1|24.0| |65537|999999999999|18446744073709551640';
const SIZES = '0|1|4|6|17|19|18;a=b|0x18|+18| 18|00018|g|ffffffff|fffffffffffffffff|-1|18\0|';
const STATUSES = '000|099|100|101|103|199|200|204|205|206|301|304|407|421|500|599|600|999|20|2000';

const spliced = (bytes: string, at: number, gone: number, put: string) =>
  bytes.slice(0, at) + put + bytes.slice(at + gone);

const MUTATIONS: readonly Mutation[] = [
  (bytes, dice) => spliced(bytes, dice.below(bytes.length), 1 + dice.below(4), ''),
  (bytes, dice) => spliced(bytes, inHead(bytes, dice), 1 + dice.below(4), ''),
  (bytes, dice) => spliced(bytes, dice.below(bytes.length + 1), 0, dice.pick(ODD_BYTES)),
  (bytes, dice) => spliced(bytes, inHead(bytes, dice), 0, dice.pick(ODD_BYTES)),
  (bytes, dice) => spliced(bytes, inHead(bytes, dice), 1, dice.pick(ODD_BYTES)),
  (bytes, dice) => spliced(bytes, dice.below(bytes.length), 1, anyByte(dice)),
  (bytes, dice) => spliced(bytes, inHead(bytes, dice), 1, anyByte(dice)),
  (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1)),
  repeatedSlice,
  (bytes, dice) => onLine(bytes, dice, (line) => `${line}\r\n${line}`),
  (bytes, dice) => onLine(bytes, dice, () => ''),
  (bytes, dice) => onLine(bytes, dice, (line) => `${line}\r\n${dice.pick(ODD_FIELDS)}`),
  (bytes, dice) => onLine(bytes, dice, (line) => `${line}\r\n${dice.pick(ODD_FIELDS)}`),
  (bytes, dice) =>
    onLine(bytes, dice, (line) => line.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase())),
  (bytes) => `${headOf(bytes)}${bytes}`,
  (bytes) => `${bytes}${bytes}`,
  (bytes, dice) => `${bytes}${dice.pick(INTERIM)}`,
  (bytes, dice) => `${dice.pick(INTERIM)}${bytes}`,
  (bytes, dice) => `${dice.pick(INTERIM).repeat(1 + dice.below(20))}${bytes}`,
  (bytes, dice) => bytes.replace(/(?<=Content-Length: ?)[^\r]*/i, dice.pick(LENGTHS.split('|'))),
  (bytes, dice) => bytes.replace(/(?<=\r\n)[0-9a-f]+(?=\r\n)/i, dice.pick(SIZES.split('|'))),
  (bytes, dice) => bytes.replace(/(?<=\r\n)0(?=\r\n)/, dice.pick(SIZES.split('|'))),
  (bytes, dice) => bytes.replace(/(?<=^HTTP\/1\.\d )\d+/, dice.pick(STATUSES.split('|'))),
  (bytes, dice) =>
    bytes.replace(/(?<=^HTTP\/)1\.1/, dice.pick(['1.0', '1.0', '2.0', '0.9', '1.2'])),
  (bytes, dice) => bytes.replaceAll('\r\n', dice.pick(['\n', '\r', '\r\r\n', ' \r\n'])),
  (bytes, dice) => bytes.replace('\r\n\r\n', dice.pick(['\n\n', '\r\n\n', '\n\r\n', '\r\n \r\n'])),
];

const anyByte = (dice: Dice) => String.fromCharCode(dice.below(256));

function headOf(bytes: string): string {
  const end = bytes.indexOf('\r\n\r\n');
  return end === -1 ? bytes : bytes.slice(0, end + 4);
}

const inHead = (bytes: string, dice: Dice) => dice.below(headOf(bytes).length + 1);

function onLine(bytes: string, dice: Dice, change: (line: string) => string): string {
  const lines = bytes.split('\r\n');
  const at = dice.below(Math.min(lines.length, 12));
  lines[at] = change(lines[at] ?? '');
  return lines.join('\r\n');
}

function repeatedSlice(bytes: string, dice: Dice): string {
  const from = dice.below(bytes.length);
  const slice = bytes.slice(from, from + 1 + dice.below(64));
  return spliced(bytes, dice.below(bytes.length), 0, slice.repeat(1 + dice.below(8)));
}

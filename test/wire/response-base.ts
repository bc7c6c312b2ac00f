/**
 * Answers to start from: good ones of every kind, and the bad ones that have a name. Where the 24 bytes
 * `MARK-MARK-MARK-MARK-MARK` stand goes the mark of the call. Pure.
 */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { ResponseCase } from './response-case.ts';
import { BODY_CASES } from './response-cases-body.ts';
import { FIELD_CASES } from './response-cases-fields.ts';
import { HEAD_CASES } from './response-cases-head.ts';

export interface BaseAnswer {
  /** Latin-1. */
  readonly bytes: string;
  /** As it stands it must pass. */
  readonly good: boolean;
}

const MARK = 'MARK-MARK-MARK-MARK-MARK';
const NAMED_BYTES_MAX = 20_000;

const sized = (body: string, ...lines: string[]) =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}X-Mark: ${MARK}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const chunked = (chunks: readonly string[], ...lines: string[]) =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}X-Mark: ${MARK}\r\nTransfer-Encoding: chunked\r\n\r\n` +
  `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`;

const JSON_TYPE = 'Content-Type: application/json';
const STREAM_TYPE = 'Content-Type: text/event-stream';
const result = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"${MARK}"}],"isError":true}}`;

const GOOD: readonly string[] = [
  sized(MARK),
  sized(MARK, 'Content-Type: text/plain', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'ETag: "a"'),
  sized(`${MARK}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`),
  sized('', 'Cache-Control: no-store'),
  chunked([MARK]),
  chunked([MARK, 'a', 'b'.repeat(300)], 'Vary: Accept'),
  chunked([MARK]).replace('\r\n0\r\n\r\n', ';q="x"\r\n0\r\n\r\n').replace(';q="x"', ''),
  chunked([MARK]).replace(/0\r\n\r\n$/, '0\r\nX-Late: 1\r\n\r\n'),
  `HTTP/1.1 200 OK\r\nX-Mark: ${MARK}\r\n\r\n${MARK}`,
  `HTTP/1.0 200 OK\r\nX-Mark: ${MARK}\r\n\r\n${MARK}`,
  `HTTP/1.1 204 No\r\nX-Mark: ${MARK}\r\n\r\n`,
  `HTTP/1.1 304 Not\r\nETag: "a"\r\nX-Mark: ${MARK}\r\n\r\n`,
  `HTTP/1.1 302 Found\r\nLocation: /b\r\nX-Mark: ${MARK}\r\nContent-Length: 0\r\n\r\n`,
  `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${sized(MARK)}`,
  sized(MARK).replace('200 OK', '500 Broken'),
  `HTTP/1.1 200 OK\r\n${STREAM_TYPE}\r\n\r\ndata: ${MARK}\n\n`,
  chunked([`data: ${MARK}\n\n`, 'data: 2\n\n'], STREAM_TYPE),
];

const RESULTS: readonly string[] = [
  sized(result, JSON_TYPE),
  chunked([result.slice(0, 40), result.slice(40)], JSON_TYPE),
  sized(result.replace('"isError":true', '"isError":false'), JSON_TYPE),
  sized(result.slice(0, 60), JSON_TYPE),
  sized(`${'['.repeat(20_000)}"isError"`, JSON_TYPE),
  chunked([`data: ${result}\n\n`], STREAM_TYPE),
  chunked([`data: ${result}\n\n`.replaceAll('\n', '\r')], STREAM_TYPE),
];

/** Small bodies with much inside, and bodies that break off behind their coding. */
function codedAnswers(): string[] {
  const zeros = Buffer.alloc(8 * 1024 * 1024);
  const text = Buffer.from(result);
  const coders = [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const;
  return coders.flatMap(([name, code]) => {
    const whole = code(text).toString('latin1');
    const lines = [JSON_TYPE, `Content-Encoding: ${name}`];
    return [
      sized(whole, ...lines),
      sized(whole.slice(0, -5), ...lines),
      sized(`${whole}${whole}`, ...lines),
      sized(code(zeros).toString('latin1'), ...lines),
    ];
  });
}

/** More than may come in one answer. */
const LARGE: readonly string[] = [sized('a'.repeat(70_000)), chunked(['a'.repeat(70_000), MARK])];

const named = (cases: readonly ResponseCase[]): string[] =>
  cases
    .map(({ script }) => script.filter((step) => typeof step === 'string'))
    .map((texts) => texts.filter((text) => !['close', 'reset', 'hold'].includes(text)).join(''))
    .filter((bytes) => bytes.length > 8 && bytes.length <= NAMED_BYTES_MAX);

const good = (bytes: string): BaseAnswer => ({ bytes, good: true });
const bad = (bytes: string): BaseAnswer => ({ bytes, good: false });

const coded = codedAnswers();
const someBad = [...HEAD_CASES, ...FIELD_CASES, ...BODY_CASES];
/** Good ones come several times, because there are more bad ones. */
const plain: readonly BaseAnswer[] = [
  ...Array.from({ length: 20 }, () => GOOD.map(good)).flat(),
  ...named(someBad).map(bad),
  ...[...coded, ...LARGE].map(bad),
];
const results: readonly BaseAnswer[] = [...GOOD, ...RESULTS, ...coded].map(good);

export const baseAnswers = (mcp: boolean): readonly BaseAnswer[] => (mcp ? results : plain);

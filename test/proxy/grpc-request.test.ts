/** Which HTTP/2 streams are a gRPC call of their place, and how answers and refusals are written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuse } from '../../src/decision/enforcement.ts';
import { REASONS, type ReasonCode } from '../../src/decision/reason.ts';
import {
  asObject,
  grpcStatus,
  grpcStatusOf,
  outgoingHeaders,
  readAnswer,
  readGrpc,
  readTrailers,
  renderGrpcRefusal,
} from '../../src/proxy/grpc-request.ts';

const BOUND = { scheme: 'https', host: 'tool.example', port: 8443 } as const;
const SOUND: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':authority', 'tool.example:8443'],
  [':path', '/mail.v1.Mail/Send'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

/** The sound request with some fields replaced; an empty list leaves one out. */
function reasonFor(change: Readonly<Record<string, readonly string[]>>): string | null {
  const kept = SOUND.filter(([name]) => change[name] === undefined);
  const changed = Object.entries(change).flatMap(([name, values]) =>
    values.map((value) => [name, value] as const),
  );
  const fields = [...kept, ...changed];
  const pseudo = fields.filter(([name]) => name.startsWith(':'));
  const others = fields.filter(([name]) => !name.startsWith(':'));
  const result = readGrpc([...pseudo, ...others].flat(), BOUND);
  return result.ok ? null : result.reason;
}

void test('a method call of the place is the plain POST it also is', () => {
  const result = readGrpc(SOUND.flat(), BOUND);
  assert.ok(result.ok);
  assert.equal(result.plain.target, '/mail.v1.Mail/Send');
  assert.deepEqual(result.plain.headers, [
    ['host', 'tool.example:8443'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ]);
});

void test('content types of gRPC are taken, of its web forms and of others not', () => {
  const reason = (type: string) => reasonFor({ 'content-type': [type] });
  assert.equal(reason('application/grpc+proto'), null);
  assert.equal(reason('application/grpc+json'), null);
  assert.equal(reason('application/grpc-web'), 'call.not_grpc');
  assert.equal(reason('application/grpc-web+proto'), 'call.not_grpc');
  assert.equal(reason('application/grpc, text/plain'), 'call.not_grpc');
  assert.equal(reason('application/json'), 'call.not_grpc');
});

void test('every other stream has its reason', () => {
  const rows: readonly [Record<string, string[]>, ReasonCode][] = [
    [{ ':method': ['CONNECT'], ':protocol': ['websocket'] }, 'call.upgrade_denied'],
    [{ ':method': ['CONNECT'] }, 'call.method_not_allowed'],
    [{ ':method': [] }, 'call.method_not_allowed'],
    [{ ':method': ['POST', 'POST'] }, 'call.malformed'],
    [{ ':scheme': ['http'] }, 'call.bad_authority'],
    [{ ':authority': ['tool.example'] }, 'call.bad_authority'],
    [{ ':authority': [] }, 'call.bad_authority'],
    [{ ':authority': ['user@tool.example:8443'] }, 'call.bad_authority'],
    [{ host: ['tool.example:8443'] }, 'call.bad_authority'],
    [{ ':path': ['*'] }, 'call.bad_path'],
    [{ ':path': ['/Send'] }, 'call.bad_path'],
    [{ ':path': ['/mail.v1.Mail/Send/'] }, 'call.bad_path'],
    [{ ':path': ['/mail.v1.Mail/Send#x'] }, 'call.bad_path'],
    [{ ':path': ['//Send'] }, 'call.bad_path'],
    [{ te: [] }, 'call.not_grpc'],
    [{ te: ['gzip'] }, 'call.not_grpc'],
    [{ 'transfer-encoding': ['chunked'] }, 'call.bad_header'],
    [{ 'x-egret_id': ['1'] }, 'call.bad_header'],
    [{ authorization: ['a', 'b'] }, 'call.bad_header'],
  ];
  for (const [change, reason] of rows) {
    assert.equal(reasonFor(change), reason, JSON.stringify(change));
  }
  const late = [...SOUND.slice(1), SOUND[0] as readonly [string, string]].flat();
  assert.equal(readGrpc(late, BOUND).ok, false);
});

void test('an answer has one status, and its hop-by-hop headers and ours stay behind', () => {
  const answer = readAnswer([
    ':status',
    '200',
    'alt-svc',
    'h3',
    'x-egret-id',
    '1',
    'a',
    '1',
    'a',
    '2',
  ]);
  assert.ok(answer.ok);
  assert.deepEqual({ ...asObject(answer.headers) }, { a: ['1', '2'] });
  assert.equal(readAnswer(['a', '1']).ok, false);
  assert.equal(readAnswer([':status', '99']).ok, false);
  assert.equal(readAnswer([':status', '200', ':status', '200']).ok, false);
  assert.equal(readAnswer([':status', '200', 'a', 'x\ny']).ok, false);
});

void test('trailers hold no pseudo-header, and a status from 0 to 99', () => {
  const trailers = readTrailers(['grpc-status', '7', 'x-egret-id', '1', 'grpc-message', 'no']);
  assert.deepEqual(trailers, [
    ['grpc-status', '7'],
    ['grpc-message', 'no'],
  ]);
  assert.equal(grpcStatus(trailers ?? []), 7);
  assert.equal(readTrailers([':status', '200']), null);
  assert.equal(grpcStatus([['grpc-status', '-1']]), null);
  assert.equal(grpcStatus([]), null);
});

void test('the request toward the tool names the place once, without its default port', () => {
  const headers = outgoingHeaders({ scheme: 'https', host: '2001:db8::1', port: 443 }, '/a.B/C', [
    ['X-Team', 'blue'],
  ]);
  assert.deepEqual(
    { ...headers },
    {
      ':method': 'POST',
      ':scheme': 'https',
      ':authority': '[2001:db8::1]',
      ':path': '/a.B/C',
      'x-team': 'blue',
      te: 'trailers',
    },
  );
});

void test('every reason is a status of the gRPC registry and never OK, and its message is ASCII', () => {
  for (const reason of Object.keys(REASONS) as ReasonCode[]) {
    const status = grpcStatusOf(reason);
    assert.ok(status > 0 && status <= 16, reason);
    const rendered = renderGrpcRefusal(refuse('id', reason).refusal);
    assert.match(String(rendered['grpc-message']), /^[\x20-\x7e]+$/);
    assert.equal(rendered['grpc-status'], String(status));
  }
  assert.equal(grpcStatusOf('policy.no_match'), 7);
  assert.equal(grpcStatusOf('call.overloaded'), 14);
  assert.equal(grpcStatusOf('upstream.timeout'), 4);
});

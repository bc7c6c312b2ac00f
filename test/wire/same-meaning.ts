/**
 * Does a request that a tool saw mean what the record says was decided? Method, place, path, query, header fields and
 * the bytes of the body. Pure.
 */
import assert from 'node:assert/strict';
import { NGINX_FIELDS, type OriginName, type Sighting } from './origin.ts';
import type { Recorded } from './record.ts';

/** Written anew by the sidecar for its own hop. */
const OWN = new Set(['host', 'connection', 'content-length', 'traceparent', 'tracestate']);
/** Policy sees that they came; they end here. */
const ENDS_HERE = /^(content-length|forwarded|x-forwarded-.*|via|traceparent|tracestate|baggage)$/;
/** Policy does not see credentials. */
const HIDDEN =
  /authorization|cookie|token|secret|passw|credential|session|signature|auth|jwt|assertion|otp|pin|key/;
const MASKED = '[credential]';

export const traceIdOf = ({ headers }: Sighting): string =>
  valuesOf(headers, 'traceparent')[0]?.split('-')[1] ?? '';

export const valuesOf = (headers: Sighting['headers'], wanted: string): string[] =>
  headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);

/** Throws what differs. */
export function assertSameMeaning(origin: OriginName, seen: Sighting, recorded: Recorded): void {
  assert.equal(seen.method, recorded.method, 'method');
  assert.equal(seen.version, 'HTTP/1.1');
  const authority = recorded.port === 80 ? recorded.host : `${recorded.host}:${recorded.port}`;
  assert.deepEqual(valuesOf(seen.headers, 'host'), [authority], 'host');
  const [path = ''] = seen.target.split('?');
  assert.equal(path, recorded.path, 'path');
  if (recorded.segments !== null) assert.deepEqual(seen.segments, recorded.segments, 'segments');
  assertSameQuery(seen.query, recorded.query);
  assert.deepEqual([seen.bytes, seen.sha256], [recorded.bytes, recorded.sha256], 'body');
  assertSameFields(origin, seen, recorded);
}

function assertSameQuery(seen: Sighting['query'], recorded: Recorded['query']): void {
  assert.deepEqual(
    seen.map(([name]) => name).toSorted(),
    Object.keys(recorded).toSorted(),
    'names of the query',
  );
  for (const [name, values] of seen) {
    const decided = recorded[name] ?? [];
    const masked = decided.every((value) => value === MASKED);
    assert.deepEqual(masked ? values.map(() => MASKED) : values, decided, `query: ${name}`);
  }
}

function assertSameFields(
  origin: OriginName,
  seen: Sighting,
  { headers, bytes, mcp }: Recorded,
): void {
  const names = new Set(seen.headers.map(([name]) => name.toLowerCase()));
  assert.equal(valuesOf(seen.headers, 'transfer-encoding').length, 0, 'chunks');
  const lengths = valuesOf(seen.headers, 'content-length');
  assert.ok(lengths.length <= 1 && Number(lengths[0] ?? 0) === bytes, 'content-length');
  for (const name of names) {
    if (OWN.has(name) || (headers[name] === undefined && HIDDEN.test(name))) continue;
    if (headers[name] === undefined && HIDDEN_VALUE.test(valuesOf(seen.headers, name)[0] ?? ''))
      continue;
    const decided = headers[name] ?? [];
    // nginx says only the first of several.
    const told = origin === 'nginx' ? decided.slice(0, 1) : decided;
    assert.equal(listOf(valuesOf(seen.headers, name)), listOf(told), `field ${name}`);
  }
  const told = origin === 'nginx' ? new Set<string>(NGINX_FIELDS) : null;
  for (const [name, values] of Object.entries(headers)) {
    if (names.has(name) || ENDS_HERE.test(name) || name === 'host') continue;
    // The answer of an MCP server is looked at, so it must not come compressed.
    if (mcp && name === 'accept-encoding') continue;
    if (told !== null && (!told.has(name) || values.join('') === '')) continue;
    assert.fail(`policy saw ${name}, the tool did not`);
  }
}

const HIDDEN_VALUE = /^(basic|bearer|digest|dpop|negotiate|token|aws4-hmac-sha256)\s/i;
/** Servers may join several fields into one. */
const listOf = (values: readonly string[]) => values.map((value) => value.trim()).join(', ');

/**
 * gRPC over HTTP/2 as requests and answers (the gRPC protocol over HTTP/2): which streams are a method call of the place
 * the connection leads to, and how a refusal is told. The method is the path; messages are not read. Pure.
 */
import { parseAuthority } from '../call/authority.ts';
import { checkHeaders, forwardHeaders, type HeaderList, responseHeaders } from '../call/headers.ts';
import { type Refused, refuse } from '../call/refused.ts';
import type { Refusal } from '../decision/enforcement.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { BoundPlace, Incoming } from './exchange.ts';

/** `/package.Service/Method`. */
const METHOD_PATH = /^\/[A-Za-z_][A-Za-z0-9_.]{0,255}\/[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const MEDIA_TYPE = /^application\/grpc(\+[a-z0-9.-]{1,64})?$/i;
const HTTPS_PORT = 443;

export interface GrpcRequest {
  readonly ok: true;
  /** The request as the plain HTTP it also is: `Host` for `:authority`. */
  readonly plain: Pick<Incoming, 'method' | 'target' | 'httpVersion' | 'headers'>;
}

interface Pseudo {
  readonly values: ReadonlyMap<string, string>;
  readonly headers: HeaderList;
}

function splitHeaders(raw: readonly string[]): Pseudo | null {
  const values = new Map<string, string>();
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name, value] = [raw[index] as string, raw[index + 1] as string];
    if (!name.startsWith(':')) headers.push([name, value]);
    else if (values.has(name) || headers.length > 0) return null;
    else values.set(name, value);
  }
  return { values, headers };
}

/** The list of a stream, best effort: for the record of one that is refused. */
export function describeStream(raw: readonly string[]): { method: string; target: string } {
  const values = splitHeaders(raw)?.values;
  return { method: values?.get(':method') ?? '', target: values?.get(':path') ?? '' };
}

/**
 * @param raw header list of the stream: name, value, name, value.
 * @returns `call.malformed`, `call.method_not_allowed`, `call.upgrade_denied`, `call.bad_path`, `call.bad_authority`,
 * `call.bad_header` or `call.not_grpc` when it is no method call of this place.
 */
export function readGrpc(raw: readonly string[], bound: BoundPlace): GrpcRequest | Refused {
  const split = splitHeaders(raw);
  if (split === null) return refuse('call.malformed', 'pseudo-headers repeated or out of order');
  const { values, headers } = split;
  if (values.has(':protocol')) return refuse('call.upgrade_denied', 'an extended CONNECT');
  if (values.get(':method') !== 'POST') {
    return refuse('call.method_not_allowed', 'a gRPC call is a POST');
  }
  if (values.get(':scheme') !== bound.scheme) {
    return refuse('call.bad_authority', 'the scheme is not that of the connection');
  }
  const authority = parseAuthority(values.get(':authority') ?? '', HTTPS_PORT);
  if (!authority.ok) return authority;
  if (authority.host !== bound.host || authority.port !== bound.port) {
    return refuse('call.bad_authority', 'the authority and the connection name different places');
  }
  if (headers.some(([name]) => name === 'host')) {
    return refuse('call.bad_authority', 'a Host header besides the authority');
  }
  const target = values.get(':path') ?? '';
  if (!METHOD_PATH.test(target)) return refuse('call.bad_path', 'not /package.Service/Method');
  const wrong = checkHeaders(headers) ?? checkGrpc(headers);
  if (wrong !== null) return wrong;
  const host: [string, string] = ['host', values.get(':authority') ?? ''];
  return {
    ok: true,
    plain: { method: 'POST', target, httpVersion: '1.1', headers: [host, ...headers] },
  };
}

const valuesOf = (headers: HeaderList, name: string): string[] =>
  headers.filter(([given]) => given === name).map(([, value]) => value);

function checkGrpc(headers: HeaderList): Refused | null {
  const [type, ...types] = valuesOf(headers, 'content-type');
  if (type === undefined || types.length > 0 || !MEDIA_TYPE.test(type)) {
    return refuse('call.not_grpc', 'content-type is not application/grpc');
  }
  const te = valuesOf(headers, 'te');
  if (te.length !== 1 || te[0]?.toLowerCase() !== 'trailers') {
    return refuse('call.not_grpc', 'te is not trailers');
  }
  return valuesOf(headers, 'transfer-encoding').length > 0
    ? refuse('call.bad_header', 'transfer-encoding in HTTP/2')
    : null;
}

/** The header list toward the tool. @param headers of the outgoing request, checked and changed as policy demands. */
export function outgoingHeaders(
  authority: { readonly scheme: string; readonly host: string; readonly port: number },
  path: string,
  headers: HeaderList,
): Record<string, string | string[]> {
  const host = authority.host.includes(':') ? `[${authority.host}]` : authority.host;
  const port = authority.port === HTTPS_PORT ? '' : `:${authority.port}`;
  return {
    ':method': 'POST',
    ':scheme': authority.scheme,
    ':authority': `${host}${port}`,
    ':path': path,
    ...asObject(headers),
    te: 'trailers',
  };
}

/** Header values by name, in the form node:http2 writes. */
export function asObject(headers: HeaderList): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null);
  for (const [given, value] of headers) {
    const name = given.toLowerCase();
    const before = object[name];
    object[name] =
      before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return object;
}

export type GrpcAnswer =
  | { readonly ok: true; readonly status: number; readonly headers: HeaderList }
  | Refused;

/** Headers of the tool's answer that may travel on. @returns `upstream.bad_response` when they are not sound. */
export function readAnswer(raw: readonly string[]): GrpcAnswer {
  const split = splitHeaders(raw);
  const status = Number(split?.values.get(':status') ?? 0);
  if (split === null || split.values.size !== 1 || !(status >= 200 && status <= 599)) {
    return refuse('upstream.bad_response', 'an answer without one status');
  }
  const checked = responseHeaders(split.headers);
  return checked.ok ? { ok: true, status, headers: checked.headers } : checked;
}

/** Trailers that may travel on; null when they are not sound. */
export function readTrailers(raw: readonly string[]): HeaderList | null {
  const split = splitHeaders(raw);
  if (split === null || split.values.size > 0) return null;
  const checked = responseHeaders(split.headers);
  return checked.ok ? forwardHeaders(checked.headers) : null;
}

/** What the tool itself says of the call: 0 is fine; null when it says nothing. */
export function grpcStatus(headers: HeaderList): number | null {
  const text = headers.find(([name]) => name === 'grpc-status')?.[1];
  return text !== undefined && /^(0|[1-9][0-9]?)$/.test(text) ? Number(text) : null;
}

/** Codes of the gRPC status registry by HTTP status, as its clients map them. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [400, 3],
  [401, 16],
  [403, 7],
  [404, 12],
  [405, 12],
  [408, 4],
  [413, 8],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 4],
]);
const INTERNAL = 13;

export const grpcStatusOf = (reason: ReasonCode): number =>
  STATUS.get(REASONS[reason].status) ?? INTERNAL;

/** A refusal as a gRPC client reads it: an answer of trailers only. */
export function renderGrpcRefusal(refusal: Refusal): Record<string, string | number> {
  const { reason, decisionId } = refusal;
  const said = `${reason}: ${REASONS[reason].text}`;
  return {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': String(grpcStatusOf(reason)),
    'grpc-message': said.replace(/[^\x20-\x24\x26-\x7e]/g, encodeURIComponent),
    'x-egret-reason': reason,
    ...decisionHeader(decisionId),
  };
}

/** A refusal of what is not gRPC at all: plain HTTP/2. */
export const renderPlainRefusal = ({
  reason,
  decisionId,
}: Refusal): Record<string, string | number> => ({
  ':status': REASONS[reason].status,
  'x-egret-reason': reason,
  ...decisionHeader(decisionId),
});

const decisionHeader = (decisionId: string | null): Record<string, string> =>
  decisionId === null ? {} : { 'x-egret-decision-id': decisionId };

/**
 * The input of OPA-Envoy for policies that were written for it: what Envoy's external authorisation would say about the
 * call. Everything comes from the policy input and the message that leaves, so what is decided on is what is sent.
 * Credentials are left out or masked as in the policy input. Fields that Envoy leaves out when empty are left out. Pure.
 */
import { type Body, readBody } from '../call/body.ts';
import { maskedParameters } from '../call/credential-name.ts';
import type { HeaderList } from '../call/headers.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { Parameters } from '../call/urlencoded.ts';
import type { PolicyInput } from './input.ts';

/** The message that carries the call, for dialects that look at more than the call. */
export interface Message {
  /** As it leaves; null when there is none, or none that was held. */
  readonly body: Uint8Array | null;
  /** Such as `1.1`. */
  readonly httpVersion: string;
  readonly remoteAddress: string;
}

const VERSION = { encoding: 'protojson', ext_authz: 'v3' } as const;

/** @param message null when there is none, as in a review: then the arguments stand for the parsed body. */
export function envoyInput(input: PolicyInput, message: Message | null): JsonObject {
  const { destination } = input;
  const principal = input.agent.assurance === 'none' ? null : input.agent.id;
  const body = message === null ? argumentsOf(input) : bodyOf(input, message);
  return {
    attributes: {
      source: {
        ...(message === null ? {} : peer(message.remoteAddress, null)),
        ...(principal === null ? {} : { principal }),
      },
      destination: peer(destination.ip ?? destination.host, destination.port),
      request: {
        time: {
          seconds: Number(input.time_ns / 1_000_000_000n),
          nanos: Number(input.time_ns % 1_000_000_000n),
        },
        http: httpOf(input, message, body.raw),
      },
    },
    parsed_path: pathSegments(destination.path),
    parsed_query: { ...destination.query },
    parsed_body: body.parsed,
    truncated_body: input.arguments_state === 'too_large',
    version: VERSION,
    ...(principal === null ? {} : { source_principal: principal }),
  };
}

const peer = (address: string, portValue: number | null): JsonObject =>
  address === ''
    ? {}
    : { address: { socketAddress: { address, ...(portValue === null ? {} : { portValue }) } } };

function httpOf(input: PolicyInput, message: Message | null, raw: JsonObject): JsonObject {
  const { method } = input.http;
  const { scheme } = input.destination;
  const path = `${input.destination.path}${queryText(input.destination.query)}`;
  const host = authorityOf(input.destination);
  const pseudo = { ':authority': host, ':method': method, ':path': path, ':scheme': scheme };
  const bytes = message?.body?.length ?? 0;
  return {
    id: input.uid,
    method,
    path,
    host,
    scheme,
    protocol: protocolOf(message?.httpVersion ?? '1.1'),
    headers: { ...headersOf(input), ...pseudo },
    ...(bytes === 0 ? {} : { size: bytes }),
    ...raw,
  };
}

const protocolOf = (version: string) => (version === '2.0' ? 'HTTP/2' : `HTTP/${version}`);

/** Where the call goes, whatever Host it had on the way in; without a port that the scheme implies. */
function authorityOf({ scheme, host, port }: PolicyInput['destination']): string {
  const name = host.includes(':') ? `[${host}]` : host;
  const implied = (scheme === 'http' && port === 80) || (scheme === 'https' && port === 443);
  return implied ? name : `${name}:${port}`;
}

/** Envoy joins repeated fields with a comma, and tells the Host as `:authority` only. */
const headersOf = ({ http }: PolicyInput): JsonObject =>
  Object.fromEntries(
    Object.entries(http.headers)
      .filter(([name]) => name !== 'host')
      .map(([name, values]) => [name, values.join(',')]),
  );

/** Written again from what was read, because the text that came may hold credentials. */
function queryText(parameters: Parameters): string {
  const text = formText(parameters);
  return text === '' ? '' : `?${text}`;
}

const formText = (parameters: Parameters) =>
  Object.entries(parameters)
    .flatMap(([name, values]) => values.map((value) => `${escaped(name)}=${escaped(value)}`))
    .join('&');

const escaped = (text: string) => encodeURIComponent(text.toWellFormed());

/** As OPA-Envoy splits: decoded first, so that `/` alone is one empty segment. */
const pathSegments = (path: string): readonly string[] =>
  path
    .replace(/^\/+/, '')
    .split('/')
    .map((part) => decoded(part));

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // only in a review, which may say anything
  }
}

interface SeenBody {
  readonly parsed: Json;
  /** `body` for text, `rawBody` (Base64) for bytes that are none. */
  readonly raw: JsonObject;
}

const NO_BODY: SeenBody = { parsed: null, raw: {} };

const argumentsOf = (input: PolicyInput): SeenBody =>
  input.arguments_state === 'parsed' ? { ...NO_BODY, parsed: input.arguments } : NO_BODY;

function bodyOf(input: PolicyInput, { body: bytes }: Message): SeenBody {
  if (bytes === null || bytes.length === 0) return NO_BODY;
  const headers: HeaderList = Object.entries(input.http.headers).flatMap(([name, values]) =>
    values.map((value) => [name, value] as const),
  );
  const body = readBody(headers, bytes);
  // Recognition has read the same bytes under the same headers; what it could not read never comes here.
  return body.ok ? seen(body, bytes) : NO_BODY;
}

function seen(body: Body, bytes: Uint8Array): SeenBody {
  if (body.kind === 'json') return { parsed: body.value, raw: textOf(bytes) };
  if (body.kind !== 'form') return { parsed: null, raw: textOf(bytes) };
  const parameters = maskedParameters(body.parameters);
  return { parsed: { ...parameters }, raw: { body: formText(parameters) } };
}

function textOf(bytes: Uint8Array): JsonObject {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { rawBody: Buffer.from(bytes).toString('base64') };
  }
}

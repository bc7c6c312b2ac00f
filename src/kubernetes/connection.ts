/**
 * Requests to the API server, each with the newest credential, and once more when the server does not believe it. There
 * are no timeouts here: each caller brings the signal that ends its waiting, and a request that is given up takes its
 * TCP connection with it, so a half-open one is never used again. Shell: owns the connections.
 */
import { Agent, type Dispatcher } from 'undici';
import type { Access, ApiTls } from './access.ts';
import { AccessError } from './access.ts';
import { ApiError, errorFromAnswer, ownError } from './api-error.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From the root, without a query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  readonly signal: AbortSignal;
}

type Body = Dispatcher.ResponseData['body'];

export interface Connection {
  /** @returns the body of a success. @throws ApiError for everything else. */
  send(request: ApiRequest): Promise<Body>;
  close(): Promise<void>;
}

const CONNECT_MS = 10_000;
const REFUSAL_BYTES_MAX = 64 * 1024;
const JSON_TYPE = 'application/json';

export function connectTo(access: Access, userAgent: string): Connection {
  let current: { readonly tls: ApiTls; readonly agent: Agent } | null = null;
  const agentFor = (tls: ApiTls): Agent => {
    if (current?.tls === tls) return current.agent;
    // A watch that is open goes on; nothing new uses the certificates of before.
    void current?.agent.close();
    current = { tls, agent: newAgent(tls) };
    return current.agent;
  };
  const ask = async (request: ApiRequest): Promise<Dispatcher.ResponseData> => {
    const { headers, tls } = await access.credential();
    const { method, path, query = {}, body, contentType = JSON_TYPE, signal } = request;
    const search = new URLSearchParams(query).toString();
    return agentFor(tls).request({
      origin: new URL(access.server).origin,
      path: `${new URL(access.server).pathname.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`,
      method,
      headers: {
        accept: JSON_TYPE,
        'user-agent': userAgent,
        ...headers,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  };
  return {
    async send(request) {
      try {
        let answer = await ask(request);
        if (answer.statusCode === 401) {
          await answer.body.dump({ limit: REFUSAL_BYTES_MAX, signal: request.signal });
          access.renew();
          answer = await ask(request);
        }
        const { statusCode, body, headers } = answer;
        if (statusCode >= 200 && statusCode < 300) return body;
        const text = await readText(body, REFUSAL_BYTES_MAX);
        throw errorFromAnswer(statusCode, text, headers['retry-after']);
      } catch (error) {
        throw asApiError(error);
      }
    },
    close: async () => {
      await current?.agent.destroy();
      current = null;
    },
  };
}

/** @throws ApiError `TooLarge`, or `Unreachable` when the answer is cut. */
export async function readText(body: Body, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        throw ownError('TooLarge', `an answer of the API server is larger than ${bytesMax} bytes`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw asApiError(error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Whatever undici or the files of the access threw. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof AccessError) return ownError('Unreachable', error.message, error);
  const { code, message } = error as NodeJS.ErrnoException;
  return ownError('Unreachable', `the API server does not answer: ${code ?? message}`, error);
}

const newAgent = (tls: ApiTls): Agent =>
  new Agent({
    // Over HTTP/2 a watch and all requests share one connection, and its end or its silence.
    allowH2: false,
    connect: { ...tls, rejectUnauthorized: true, timeout: CONNECT_MS, allowH2: false },
  });

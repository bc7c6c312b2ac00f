/**
 * A Kubernetes API server for fast tests, over TLS with an authority of its own: ConfigMaps, Leases, Events and whatever
 * else has a path; lists, watches, guarded writes and server-side apply as the real one does them (contract.ts runs on
 * both), and every way to fail that a test wants. Shell: owns a listener, its sockets and a directory, until `close`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeObject } from '../../src/kubernetes/object.ts';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { type Fault, HALF_OPEN, type Seen } from './fake-fault.ts';
import { FakeStore, Refusal } from './fake-store.ts';
import { FakeWatches } from './fake-watch.ts';
import { answerList, matcher, readBody, write } from './fake-wire.ts';

const HOST = '127.0.0.1';
const TOKEN = 'the-token-of-the-test';

export class FakeApiServer {
  readonly store = new FakeStore();
  readonly watches = new FakeWatches(this.store);
  /** Every request that arrived, in order. */
  readonly seen: Seen[] = [];
  /** Bearer tokens that are believed. */
  readonly tokens = new Set([TOKEN]);
  #fault: (seen: Seen) => Fault | null = () => null;
  /** Of the Date header, against the clock of the machine. */
  clockSkewMs = 0;
  /** How many tokens were refused. */
  refusedTokens = 0;
  readonly #pages = new Map<string, { items: readonly KubeObject[]; version: string }>();
  readonly #directory = mkdtempSync(join(tmpdir(), 'egret-api-'));
  readonly #sockets = new Set<Socket>();
  readonly #pem: { certificatePem: string; keyPem: string; authorityPem: string };
  #server: Server | null = null;
  #port = 0;

  private constructor(pem: { certificatePem: string; keyPem: string; authorityPem: string }) {
    this.#pem = pem;
  }

  static async start(): Promise<FakeApiServer> {
    const nowMs = Date.now();
    const authority = await createCertificateAuthority({ names: [], validHours: 1, nowMs });
    const leaf = await authority.issue(HOST, nowMs);
    const fake = new FakeApiServer({ ...leaf, authorityPem: authority.certificatePem });
    await fake.on();
    fake.writeServiceAccount(TOKEN);
    return fake;
  }

  /** As in a pod: what `openAccess` takes. */
  get podAccess() {
    return {
      serviceAccountDirectory: this.#directory,
      environment: { KUBERNETES_SERVICE_HOST: HOST, KUBERNETES_SERVICE_PORT: String(this.#port) },
    };
  }

  get url(): string {
    return `https://${HOST}:${this.#port}`;
  }

  get authorityPem(): string {
    return this.#pem.authorityPem;
  }

  writeServiceAccount(token: string): void {
    writeFileSync(join(this.#directory, 'token'), token);
    writeFileSync(join(this.#directory, 'ca.crt'), this.#pem.authorityPem);
    writeFileSync(join(this.#directory, 'namespace'), 'default');
  }

  /** Listens, after `off` on the same port. */
  async on(): Promise<void> {
    const { certificatePem: cert, keyPem: key } = this.#pem;
    const server = createServer({ cert, key }, (request, response) => {
      void this.#answer(request, response);
    });
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, HOST, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** As a machine that is gone: every connection is reset and nobody listens. */
  async off(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  /** Asked before each request; null answers as usual. */
  fails(fault: (seen: Seen) => Fault | null): void {
    this.#fault = fault;
  }

  async close(): Promise<void> {
    await this.off();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const url = new URL(request.url ?? '/', this.url);
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      watch: url.searchParams.has('watch'),
      atMs: performance.now(),
    };
    this.seen.push(seen);
    response.setHeader('date', new Date(Date.now() + this.clockSkewMs).toUTCString());
    try {
      if (await this.#fails(this.#fault(seen), response)) return;
      this.#authenticate(request);
      await this.#serve(seen, request, response);
    } catch (error) {
      refuse(response, error);
    }
  }

  async #fails(fault: Fault | null, response: ServerResponse): Promise<boolean> {
    if (fault === null) return false;
    if (fault === HALF_OPEN) return true;
    if ('slowMs' in fault) {
      await new Promise((resolve) => setTimeout(resolve, fault.slowMs));
      return false;
    }
    if (fault.retryAfterSeconds !== undefined) {
      response.setHeader('retry-after', String(fault.retryAfterSeconds));
    }
    throw new Refusal(fault.status, fault.reason ?? 'Injected', 'a fault of the test');
  }

  #authenticate(request: IncomingMessage): void {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && this.tokens.has(token)) return;
    this.refusedTokens += 1;
    throw new Refusal(401, 'Unauthorized', 'Unauthorized');
  }

  async #serve(seen: Seen, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { collection, name } = placeIn(seen.path);
    if (seen.method !== 'GET') {
      const contentType = request.headers['content-type'] ?? '';
      const body = await readBody(request);
      const { status, object } = write(this.store, {
        ...seen,
        collection,
        name,
        contentType,
        body,
      });
      return json(response, status, object);
    }
    if (name !== null) return json(response, 200, this.store.get(collection, name));
    if (seen.watch) return this.watches.open(collection, seen.query, response);
    const matches = matcher(seen.query);
    const kept = { store: this.store, pages: this.#pages };
    return json(response, 200, answerList(kept, collection, seen.query, matches));
  }
}

function placeIn(path: string): { collection: string; name: string | null } {
  const parts =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?(\/[^/]+)(?:\/([^/]+))?$/.exec(path);
  if (parts === null) throw new Refusal(404, 'NotFound', 'the server could not find the resource');
  const [, root = '', namespace = '', resource = '', name] = parts;
  const collection = `${root}${namespace}${resource}`;
  return { collection, name: name === undefined ? null : decodeURIComponent(name) };
}

function json(response: ServerResponse, status: number, object: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(object));
}

function refuse(response: ServerResponse, error: unknown): void {
  if (!(error instanceof Refusal)) return void response.destroy(error as Error);
  const { code, reason, message } = error;
  json(response, code, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    code,
  });
}

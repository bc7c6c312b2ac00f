/**
 * Three tools on three HTTP servers (Node, Python, nginx), each of which says what it understood of a request. They
 * share nothing but the wire. Shell: owns servers, processes and a directory until `close`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export type OriginName = 'node' | 'python' | 'nginx';

/** One request as a server understood it. */
export interface Sighting {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** In order; of nginx those of NGINX_FIELDS only. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bytes: number;
  readonly sha256: string;
  /** Of the path, decoded. */
  readonly segments: readonly string[];
  /** Decoded, every value of a name. nginx hands queries on unread, so they are read for it. */
  readonly query: readonly (readonly [string, readonly string[]])[];
}

export interface Origin {
  readonly name: OriginName;
  readonly port: number;
  /** What it has understood since the last time, and what it could not. */
  take(): { readonly seen: readonly Sighting[]; readonly broken: readonly string[] };
  close(): Promise<void>;
}

const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{}}';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** What is there of a server, and what has been taken from it. */
function newList() {
  let seen: Sighting[] = [];
  let broken: string[] = [];
  return {
    add: (one: Sighting | { readonly broken: string }) => {
      if ('broken' in one) broken.push(one.broken);
      else seen.push(one);
    },
    take: () => {
      const taken = { seen, broken };
      [seen, broken] = [[], []];
      return taken;
    },
  };
}

export async function startNodeOrigin(): Promise<Origin> {
  const list = newList();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => list.add({ broken: 'a request that broke off' }));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const url = new URL(request.url ?? '', 'http://origin.example');
      list.add({
        method: request.method ?? '',
        target: request.url ?? '',
        version: `HTTP/${request.httpVersion}`,
        headers: pairsOf(request.rawHeaders),
        bytes: body.length,
        sha256: sha256(body),
        segments: url.pathname.slice(1).split('/').map(decodeURIComponent),
        query: queryOf(url.searchParams),
      });
      const { 'x-nonce': nonce } = request.headers;
      if (nonce !== undefined) response.setHeader('x-nonce', nonce);
      response.setHeader('content-type', 'application/json');
      response.end(ANSWER);
    });
  });
  server.on('clientError', (error, socket) => {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') list.add({ broken: error.message });
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    name: 'node',
    port: (server.address() as AddressInfo).port,
    take: list.take,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** @returns null when there is no Python 3. */
export async function startPythonOrigin(): Promise<Origin | null> {
  if (spawnSync('python3', ['--version']).status !== 0) return null;
  const list = newList();
  const child = spawn('python3', ['-u', join(import.meta.dirname, 'origin.py')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  ended.add(child);
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Sighting & { port?: number };
      if (said.port === undefined) list.add(said);
      else resolve(said.port);
    });
    child.once('exit', (code) => reject(new Error(`python3 ended with ${code}`)));
  });
  return { name: 'python', port, take: list.take, close: () => end(child) };
}

/** Fields that nginx is told to say. */
export const NGINX_FIELDS = [
  'host',
  'connection',
  'content-length',
  'content-type',
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'authorization',
  'proxy-authorization',
  'cookie',
  'mcp-method',
  'mcp-name',
  'traceparent',
  'x-egret-reason',
  'x-a',
  'x-late',
  'x-mine',
  'x-other',
  'x-nonce',
] as const;

/** @returns null when there is no nginx. */
export async function startNginxOrigin(): Promise<Origin | null> {
  const environment = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  if (spawnSync('nginx', ['-v'], { env: environment }).status !== 0) return null;
  const directory = mkdtempSync(join(tmpdir(), 'egret-nginx-'));
  const port = await freePort();
  const log = join(directory, 'seen.jsonl');
  writeFileSync(log, '');
  writeFileSync(join(directory, 'nginx.conf'), nginxConfiguration(directory, port));
  const args = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'];
  const child = spawn('nginx', args, {
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  ended.add(child);
  await answering(port, child);
  const list = newList();
  const read = lineReader(log);
  return {
    name: 'nginx',
    port,
    take: () => {
      for (const line of read()) {
        const seen = nginxSighting(line);
        if (seen.target !== '/ready') list.add(seen);
      }
      return list.take();
    },
    async close() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A server in front that reads the body for a server behind it, so that `$request_body` is there to be logged. */
function nginxConfiguration(directory: string, port: number): string {
  const fields = NGINX_FIELDS.map((name) => `"${name}":"$http_${name.replaceAll('-', '_')}"`);
  const format = `{"method":"$request_method","target":"$request_uri","version":"$server_protocol","uri":"$uri","status":"$status","body":"$request_body","fields":{${fields.join()}}}`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(' ');
  return `daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  ${temporary}
  log_format seen escape=json '${format}';
  access_log off;
  keepalive_requests 1000000; client_max_body_size 4m; client_body_buffer_size 4m;
  large_client_header_buffers 8 32k;
  server {
    listen 127.0.0.1:${port};
    access_log ${directory}/seen.jsonl seen;
    location / {
      proxy_pass http://unix:${directory}/behind.sock:/;
      add_header X-Nonce $http_x_nonce;
    }
  }
  server { listen unix:${directory}/behind.sock; default_type application/json; location / { return 200 '${ANSWER}'; } }
}
`;
}

/** Every byte of a value is in the log as it came, so the line is read as Latin-1. */
function nginxSighting(line: string): Sighting {
  const said = JSON.parse(line) as Record<
    'method' | 'target' | 'version' | 'uri' | 'body',
    string
  > & {
    fields: Record<string, string>;
  };
  const body = Buffer.from(said.body, 'latin1');
  const uri = Buffer.from(said.uri, 'latin1').toString('utf8');
  return {
    method: said.method,
    target: said.target,
    version: said.version,
    headers: Object.entries(said.fields).filter(([, value]) => value !== ''),
    bytes: body.length,
    sha256: sha256(body),
    segments: uri.slice(1).split('/'),
    query: queryOf(new URL(said.target, 'http://origin.example').searchParams),
  };
}

/** Whole lines that were added to a file since the last time, as Latin-1. */
export function lineReader(path: string): () => string[] {
  let at = 0;
  let rest = '';
  return () => {
    const file = openIfThere(path);
    if (file === null) return [];
    const chunk = Buffer.alloc(256 * 1024);
    let text = rest;
    for (let got = readSync(file, chunk, 0, chunk.length, at); got > 0; ) {
      text += chunk.toString('latin1', 0, got);
      at += got;
      got = readSync(file, chunk, 0, chunk.length, at);
    }
    closeSync(file);
    const lines = text.split('\n');
    rest = lines.pop() ?? '';
    return lines;
  };
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}

async function freePort(): Promise<number> {
  const server = createSocketServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => null);
    if (answer !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nginx ended with ${child.exitCode}`);
}

/** A test that is cut off must not leave a process behind. */
const ended = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of ended) child.kill('SIGKILL');
});

async function end(child: ChildProcess): Promise<void> {
  child.removeAllListeners('exit');
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  ended.delete(child);
}

const queryOf = (parameters: URLSearchParams): Sighting['query'] =>
  [...new Set(parameters.keys())].map((name) => [name, parameters.getAll(name)]);

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return pairs;
}

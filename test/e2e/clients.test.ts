/**
 * The clients agents are made of, through TLS interception: each is told what `egret trust env` prints and where the
 * proxy is, and nothing else. What policy permits arrives, and what it refuses is an answer the client can read.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join, normalize } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { decisionsOf, readLeaves } from './audit-log.ts';
import { newDirectory, ROOT, runEgret, type SidecarProcess } from './sidecar-process.ts';
import { auditOf, removeAfter, stageSidecar } from './stage.ts';
import { stageTlsServer } from './tls-stage.ts';

const HOST = 'tool.example';
const URL = `https://${HOST}/inbox`;
const PLACE = `${HOST}:443`;
const source = (name: string) => join(ROOT, 'test/clients', name);
const run = promisify(execFile);

interface Client {
  readonly name: string;
  /** Exits with 0 where the client is there. */
  readonly probe: readonly string[];
  readonly command: (proxyPort: number) => readonly string[];
}

const CLIENTS: readonly Client[] = [
  {
    name: 'curl',
    probe: ['curl', '--version'],
    command: () => ['curl', '-sS', '--write-out', ' %{http_code}', URL],
  },
  {
    name: 'Python requests',
    probe: ['python3', '-c', 'import requests'],
    command: () => ['python3', source('client_requests.py'), URL],
  },
  {
    name: 'Python urllib',
    probe: ['python3', '--version'],
    command: () => ['python3', source('client_urllib.py'), URL],
  },
  {
    name: 'Node fetch',
    probe: [process.execPath, '--version'],
    command: () => [process.execPath, source('client.mjs'), URL],
  },
  {
    name: 'Go net/http',
    probe: ['go', 'version'],
    command: () => ['go', 'run', source('client.go'), URL],
  },
  {
    name: "Java's HttpClient",
    probe: ['java', '-version'],
    command: (port) => ['java', source('Client.java'), URL, '127.0.0.1', String(port)],
  },
];

for (const client of CLIENTS) {
  void test(`${client.name} reads what the tool answers and what policy refuses, through interception`, async (t) => {
    if (!present(t, client.name, client.probe)) return;
    const open = await stageInterception(t, 'dryrun');
    const answered = await runClient(open, client);
    assert.match(answered, /from the tool/);
    assert.match(answered, /\b200\b/);
    const strict = await stageInterception(t, 'deny');
    const refused = await runClient(strict, client);
    assert.match(refused, /policy\.no_match/);
    assert.match(refused, /\b403\b/);
    const [decision] = decisionsOf(readLeaves(auditOf(strict.sidecar)));
    assert.equal(decision?.input?.destination?.tls_intercepted, true);
  });
}

void test('git clones over HTTPS through interception', async (t) => {
  if (!present(t, 'git', ['git', '--version'])) return;
  const directory = removeAfter(t, newDirectory());
  const work = join(directory, 'work');
  const served = join(directory, 'served');
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
      cwd: work,
      stdio: 'pipe',
    });
  mkdirSync(work);
  git('init', '-q');
  git('commit', '-q', '--allow-empty', '-m', 'the only commit');
  git('clone', '-q', '--bare', work, join(served, 'repository.git'));
  git('-C', join(served, 'repository.git'), 'update-server-info');
  const { environment, sidecar } = await stageInterception(t, 'dryrun', (path) => {
    const file = normalize(join(served, path.split('?')[0] ?? ''));
    return file.startsWith(served) ? readFileSync(file) : null;
  });
  const copy = join(directory, 'copy');
  const url = `https://${HOST}/repository.git`;
  await run('git', ['clone', '-q', url, copy], { env: environment, timeout: 30_000 });
  const { stdout } = await run('git', ['-C', copy, 'log', '--format=%s']);
  assert.equal(stdout, 'the only commit\n');
  assert.ok(decisionsOf(readLeaves(auditOf(sidecar))).length >= 3);
});

interface Staged {
  readonly sidecar: SidecarProcess;
  readonly environment: NodeJS.ProcessEnv;
}

async function stageInterception(
  t: TestContext,
  enforcement: 'deny' | 'dryrun',
  fileAt: (path: string) => Uint8Array | null = () => Buffer.from('from the tool'),
): Promise<Staged> {
  const tool = await stageTlsServer(t, HOST, (credentials) =>
    createServer(credentials, (request, response) => {
      const content = contentAt(fileAt, request.url ?? '');
      response.statusCode = content === null ? 404 : 200;
      response.end(content ?? '');
    }),
  );
  const trust = join(removeAfter(t, newDirectory()), 'trust');
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement,
      tls: { trustDirectory: trust },
      upstream: {
        hosts: { [PLACE]: `127.0.0.1:${tool.port}` },
        caFiles: { [PLACE]: tool.caFile },
      },
    },
  });
  const config = join(sidecar.directory, 'egret.yaml');
  const printed = await runEgret(['trust', 'env', '--config', config, '--java', '--json']);
  assert.equal(printed.code, 0, printed.stderr);
  const proxy = `http://127.0.0.1:${sidecar.ports.proxy}`;
  const environment = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    ...(JSON.parse(printed.stdout) as Record<string, string>),
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    NODE_USE_ENV_PROXY: '1',
  };
  return { sidecar, environment };
}

function contentAt(fileAt: (path: string) => Uint8Array | null, path: string): Uint8Array | null {
  try {
    return fileAt(path);
  } catch {
    return null;
  }
}

/** Everything the client printed, whatever it thinks of the status. */
async function runClient({ sidecar, environment }: Staged, client: Client): Promise<string> {
  const [program = '', ...args] = client.command(sidecar.ports.proxy);
  const { stdout } = await run(program, args, { env: environment, timeout: 60_000 }).catch(
    (error: Error & { stdout: string; stderr: string }) => {
      throw new Error(`${client.name}: ${error.message}\n${error.stdout}\n${error.stderr}`);
    },
  );
  return stdout;
}

function present(t: TestContext, name: string, [program = '', ...args]: readonly string[]) {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    const why = `SKIPPED: ${name} is not installed here`;
    process.stderr.write(`${why}\n`);
    t.skip(why);
    return false;
  }
}

// Programs with the environment that `egret trust env` prints believe our leaves; without it they do not.
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { renderEnvironment, trustEnvironment } from '../../src/tls/environment.ts';
import { startInterception } from '../../src/tls/interception.ts';
import { loadRoots } from '../../src/tls/roots.ts';
import { trustFiles } from '../../src/tls/trust.ts';
import { PROGRAM } from '../program.ts';
import { fileWith, run, temporaryDirectory } from './wire.ts';

const egret = (args: readonly string[]) => run(process.execPath, [PROGRAM, ...args]);

const MINIMAL = `apiVersion: egret.dev/v1
kind: SidecarConfig
agent: { id: tester }
audit: { directory: log }
bundles: [{ name: main, directory: policy }]
`;

const configWith = (t: TestContext, tls: string) => fileWith(t, 'egret.yaml', `${MINIMAL}${tls}`);

/** HTTPS on loopback as `localhost` with a leaf of ours, and the environment to believe it. */
async function opened(t: TestContext) {
  const trustDirectory = temporaryDirectory(t);
  const interception = await startInterception({
    trustDirectory,
    roots: loadRoots(undefined),
    names: [],
    validHours: 1,
    leavesMax: 10,
    onFailure: () => undefined,
  });
  t.after(() => interception.close());
  const context = await interception.contextFor('localhost');
  const server = createServer({ SNICallback: (_name, done) => done(null, context) });
  server.on('request', (request, response) => {
    const refs = `${'a'.repeat(40)}\trefs/heads/main\n`;
    response.end(request.url?.includes('info/refs') ? refs : 'believed');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const env = trustEnvironment(trustFiles(trustDirectory), { java: true });
  return { url: `https://localhost:${(server.address() as AddressInfo).port}/x`, env };
}

const JAVA = `
import java.net.URI;
import java.net.http.*;
public class Dial {
  public static void main(String[] args) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    HttpRequest request = HttpRequest.newBuilder(URI.create(args[0])).build();
    System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
`;
const PYTHON = 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())';
const REQUESTS = 'import sys, requests; print(requests.get(sys.argv[1]).text)';
const NODE = 'fetch(process.argv[1]).then((r) => r.text()).then((t) => console.log(t))';

for (const [name, program, args, expected] of [
  ['curl', 'curl', (url: string) => ['-sS', url], 'believed'],
  ['Python urllib', 'python3', (url: string) => ['-c', PYTHON, url], 'believed'],
  ['Python requests', 'python3', (url: string) => ['-c', REQUESTS, url], 'believed'],
  ['Node fetch', process.execPath, (url: string) => ['-e', NODE, url], 'believed'],
  ['git', 'git', (url: string) => ['ls-remote', url], 'refs/heads/main'],
] as const) {
  test(`${name} believes our leaf with the environment, and not without`, async (t) => {
    const { url, env } = await opened(t);
    const before = await run(program, args(url));
    assert.notEqual(before.code, 0);
    assert.match(before.error, /certificate/i);
    const after = await run(program, args(url), { env });
    assert.ok(after.out.includes(expected), after.error);
  });
}

test('Java believes our leaf with its trust store, and not without', async (t) => {
  const installed = await run('java', ['-version']).catch(() => null);
  if (installed === null) {
    process.stdout.write('SKIPPED: Java and its trust store, there is no java here\n');
    t.skip('there is no java here');
    return;
  }
  const { url, env } = await opened(t);
  const file = fileWith(t, 'Dial.java', JAVA);
  const before = await run('java', [file, url]);
  assert.match(before.error, /unable to find valid certification path/);
  const after = await run('java', [file, url], { env });
  assert.equal(after.out, 'believed', after.error);
});

test('without --json the environment is lines a shell evaluates, blanks and quotes included', async () => {
  const files = trustFiles(`/it's a place/trust`);
  const script = `${renderEnvironment(trustEnvironment(files, { java: false }))}printf %s "$SSL_CERT_FILE"`;
  const { out } = await run('sh', ['-c', script]);
  assert.equal(out, `/it's a place/trust/bundle.pem`);
});

test('egret trust env --json prints that environment for the configured directory', async (t) => {
  const config = configWith(t, 'tls: { trustDirectory: trust }\n');
  const { out } = await egret(['trust', 'env', '--json', '--java', '--config', config]);
  const files = trustFiles(join(dirname(config), 'trust'));
  assert.deepEqual(JSON.parse(out), trustEnvironment(files, { java: true }));
});

test('--directory says where the agent sees the files', async (t) => {
  const config = configWith(t, 'tls: { trustDirectory: trust }\n');
  const { out } = await egret(['trust', 'env', '--config', config, '--directory', '/agent/trust']);
  assert.match(out, /^export SSL_CERT_FILE='\/agent\/trust\/bundle\.pem'$/m);
  assert.match(out, /^export NODE_EXTRA_CA_CERTS='\/agent\/trust\/ca\.crt'$/m);
  assert.doesNotMatch(out, /JAVA/);
});

test('a configuration without tls, or none at all, is exit code 2 and a sentence', async (t) => {
  const without = await egret(['trust', 'env', '--config', configWith(t, '')]);
  assert.deepEqual([without.code, without.out], [2, '']);
  assert.match(without.error, /tls: found nothing, expected tls\.trustDirectory/);
  const missing = await egret(['trust', 'env', '--config', '/nonexistent/egret.yaml']);
  assert.equal(missing.code, 2);
  assert.match(missing.error, /cannot be read/);
});

test('--help tells what it is for', async () => {
  const { code, out } = await egret(['trust', 'env', '--help']);
  assert.equal(code, 0);
  assert.match(out, /environment variables for an agent/);
});

/** The resolvers that agents use, in a namespace with the resolv.conf of a pod: search domains and ndots:5. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface Found {
  readonly output: string | null;
  readonly results: readonly string[];
}

async function resolved(t: TestContext): Promise<Readonly<Record<string, Found>> | null> {
  const unshare = ['--net', '--mount', '--'];
  try {
    await run('unshare', [...unshare, 'true']);
  } catch {
    t.skip('SKIPPED: no network and mount namespaces here, so resolvers are not tried with ndots');
    return null;
  }
  const directory = await mkdtemp(join(tmpdir(), 'egret-resolvers-'));
  t.after(() => rm(directory, { recursive: true }));
  const inside = fileURLToPath(new URL('resolver-clients.ts', import.meta.url));
  const { stdout } = await run('unshare', [...unshare, process.execPath, inside, directory]);
  return JSON.parse(stdout) as Record<string, Found>;
}

const NOT_FOUND: Readonly<Record<string, RegExp>> = {
  getent: /^$/,
  python: /^True\n$/,
  'node lookup': /^ENOTFOUND\n$/,
  'node resolve': /^ENOTFOUND\n$/,
  go: /no such host/,
};

test('names that may be asked for are found behind search domains, all others do not exist', async (t) => {
  const found = await resolved(t);
  if (found === null) return;
  for (const [client, notFound] of Object.entries(NOT_FOUND)) {
    const listed: Found | undefined = found[`${client}: api.example.com`];
    const other: Found | undefined = found[`${client}: other.example.net`];
    assert.ok(listed !== undefined && other !== undefined);
    if (listed.output === null || other.output === null) {
      t.diagnostic(`SKIPPED: ${client} is not installed here`);
      continue;
    }
    assert.match(listed.output, /198\.18\.0\.1/, client);
    assert.match(other.output, notFound, client);
    assert.ok(listed.results.includes('address'), client);
    assert.deepEqual([...new Set(other.results)], ['no_name'], client);
    // Both addresses under each of three search domains and alone, each asked once: nothing is tried again.
    const asked = client === 'node resolve' ? 1 : 8;
    assert.deepEqual([listed.results.length, other.results.length], [asked, asked], client);
  }
});

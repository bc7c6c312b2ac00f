/**
 * A sidecar with three different tools behind it, by every road, and a policy that opens every record for the test.
 * Shell: owns what it starts until the test ends.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { newDirectory, ROOT, type SidecarProcess } from '../e2e/sidecar-process.ts';
import { removeAfter, stageSidecar } from '../e2e/stage.ts';
import { type Origin, startNginxOrigin, startNodeOrigin, startPythonOrigin } from './origin.ts';
import { type RecordReader, readRecords } from './record.ts';

export interface RequestStage {
  readonly sidecar: SidecarProcess;
  readonly origins: readonly Origin[];
  readonly records: RecordReader;
  readonly audit: string;
}

/** Nothing is allowed, and everything that is refused for that alone is recorded with its openings. */
const POLICY = {
  yaml: {
    policies: [
      {
        id: 'everything',
        when: { tool: '*' },
        log: { level: 'full', include_attachment_hashes: true },
      },
    ],
  },
};

/** The committed bundle of YAML policies with another policy in it: that needs no compiler. */
function openBundle(): Uint8Array {
  const path = join(ROOT, 'rego/dist/receipts-yaml.tar.gz');
  const files = new Map(readArchive(readFileSync(path), path));
  const data = JSON.parse(Buffer.from(files.get('data.json') ?? '').toString()) as object;
  files.set('data.json', Buffer.from(JSON.stringify({ ...data, ...POLICY })));
  return writeArchive([...files]);
}

/** Every tool of the three that can run here; the others are skipped loudly. */
export async function stageOrigins(t: TestContext): Promise<readonly Origin[]> {
  const [node, python, nginx] = await Promise.all([
    startNodeOrigin(),
    startPythonOrigin(),
    startNginxOrigin(),
  ]);
  const missing = [python === null ? 'python3' : '', nginx === null ? 'nginx' : ''].filter(Boolean);
  for (const program of missing) {
    const skip = `SKIPPED LOUDLY: no ${program} here; run make tools-wire`;
    await t.test(`${program} sees what is on record`, { skip });
  }
  const origins = [node, python, nginx].filter((origin) => origin !== null);
  t.after(() => Promise.all(origins.map((origin) => origin.close())));
  return origins;
}

export async function stageRequests(
  t: TestContext,
  origins: readonly Origin[],
  limits: Readonly<Record<string, number>>,
  upstream: Readonly<Record<string, unknown>> = {},
): Promise<RequestStage> {
  const openings = join(removeAfter(t, newDirectory()), 'openings');
  mkdirSync(openings, { mode: 0o700 });
  const at = (path: string) =>
    Object.fromEntries(
      origins.map(({ name, port }) => [name, { url: `http://127.0.0.1:${port}${path}` }]),
    );
  const directory = removeAfter(t, newDirectory());
  const sidecar = await stageSidecar(t, {
    bundle: openBundle(),
    config: {
      audit: {
        directory: join(directory, 'audit'),
        openingsDirectory: openings,
        durability: { write: 'write', read: 'write' },
      },
      enforcement: 'dryrun',
      limits,
      tools: at(''),
      mcpServers: at('/mcp'),
      capture: { hosts: ['127.0.0.1'], ports: { '80': 0 }, dns: { port: 0 } },
      // Every port and address that a request could name is open: only the refusal stands in its way.
      upstream: {
        privateAddresses: ['127.0.0.0/8', '::1/128'],
        hosts: Object.fromEntries(
          origins.map(({ name, port }) => [`${name}.example:80`, `127.0.0.1:${port}`]),
        ),
        ...upstream,
      },
    },
  });
  const audit = join(directory, 'audit');
  return { sidecar, origins, audit, records: readRecords(audit, openings) };
}

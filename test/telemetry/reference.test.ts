// References are rendered from source, and the pages in docs are what is rendered.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import {
  renderConfigReference,
  renderMetricReference,
  renderReasonReference,
  renderRolloutReference,
} from '../../src/docs/reference.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGE_WITH_SECTION = 'Before\n<!-- bypasses: generated -->\n<!-- bypasses: end -->\nAfter\n';
const page = (name: string) => readFileSync(join(ROOT, 'docs', name), 'utf8');

test('docs/metrics.md and docs/reason-codes.md are up to date', () => {
  assert.equal(page('metrics.md'), renderMetricReference());
  assert.equal(page('reason-codes.md'), renderReasonReference());
});

test('a configuration schema becomes one row per field with type, default and meaning', () => {
  const schema = z.strictObject({
    kind: z.literal('X').describe('Kind.'),
    port: z.int().min(0).max(65_535).default(80).describe('TCP port | <number>.'),
    mode: z.enum(['deny', 'warn']).default('deny').describe('Mode.'),
    servers: z.record(z.string(), z.strictObject({ url: z.string().describe('URL.') })).default({}),
    names: z.array(z.string().describe('A name.')).optional().describe('Names.'),
    limits: z.strictObject({ a: z.number().default(1).describe('A.') }).prefault({}),
  });
  const text = renderConfigReference(z.toJSONSchema(schema, { io: 'input' }));
  assert.deepEqual(
    text.split('\n').filter((line) => line.startsWith('| `')),
    [
      '| `kind` | `X` | required | Kind. |',
      '| `port` | integer 0 to 65535 | `80` | TCP port \\| &lt;number>. |',
      '| `mode` | `deny`, `warn` | `"deny"` | Mode. |',
      '| `servers` | map | `{}` |  |',
      '| `servers.*.url` | string | required | URL. |',
      '| `names` | list | – | Names. |',
      '| `names[]` | string | – | A name. |',
      '| `limits` | object | – |  |',
      '| `limits.a` | number | `1` | A. |',
    ],
  );
});

test('alternatives of a list are rows with the fields of each', () => {
  const one = z.strictObject({ wait: z.string().describe('Wait.') });
  const other = z.strictObject({ weight: z.number().describe('Weight.') });
  const schema = z.strictObject({ steps: z.array(z.union([one, other])).describe('Steps.') });
  const text = renderRolloutReference(z.toJSONSchema(schema, { io: 'input' }));
  assert.deepEqual(
    text.split('\n').filter((line) => line.startsWith('| `')),
    [
      '| `steps` | list | yes | Steps. |',
      '| `steps[].wait` | string | no | Wait. |',
      '| `steps[].weight` | number | no | Weight. |',
    ],
  );
});

test('the generator writes what is missing, is then content, and names what was edited', () => {
  const directory = mkdtempSync(join(tmpdir(), 'egret-docs-'));
  const write = (...args: string[]) =>
    spawnSync(process.execPath, ['src/docs/main.ts', ...args, directory], {
      cwd: ROOT,
      encoding: 'utf8',
    });
  try {
    writeFileSync(join(directory, 'threat-model.md'), PAGE_WITH_SECTION);
    assert.equal(write('--check').status, 1);
    assert.equal(write().status, 0);
    const page = readFileSync(join(directory, 'threat-model.md'), 'utf8');
    assert.match(page, /^Before\n[\s\S]*\| QUIC and other UDP \|[\s\S]*\nAfter\n$/);
    assert.equal(write('--check').status, 0);
    writeFileSync(join(directory, 'metrics.md'), 'edited');
    const check = write('--check');
    assert.equal(check.status, 1);
    assert.match(check.stderr, /metrics\.md is not up to date/);
    assert.doesNotMatch(check.stderr, /reason-codes/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/**
 * A policy pack as its tests need it: the files of its directory, the calls of its own Rego tests as starting points,
 * and the settings that those are about. Shell: reads `rego/packs`, runs opa.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Json, JsonObject } from '../../src/call/tool-call.ts';
import { opa, ROOT } from './opa.ts';

export interface Pack {
  /** Its directory in `rego/packs`. */
  readonly name: string;
  /** Its package below `policies`. */
  readonly policy: string;
  /** Where its settings are, below `data.config`. */
  readonly key: string;
  /** As in `rego/settings`. */
  readonly settings: JsonObject;
  readonly schema: JsonObject;
}

const directory = join(ROOT, 'rego/packs');
/** Files beside the Rego of a pack, which opa would take for data. */
const NO_DATA = ['--ignore', '*.yaml', '--ignore', '*.json'];

/** Every pack in Rego; `receipts-yaml` is data alone. */
export const PACKS: readonly Pack[] = readdirSync(directory)
  .filter((name) => existsSync(join(directory, name, `${name.replaceAll('-', '_')}.rego`)))
  .map((name) => {
    const policy = name.replaceAll('-', '_');
    const key = policy === 'mcp_session' ? 'mcp' : policy;
    const settings = yaml(`rego/settings/config/${key}/data.yaml`);
    return { name, policy, key, settings, schema: yaml(`rego/packs/${name}/config.schema.json`) };
  });

export const packDirectory = ({ name }: Pack) => `rego/packs/${name}`;

function yaml(path: string): JsonObject {
  return parse(readFileSync(join(ROOT, path), 'utf8')) as JsonObject;
}

/** Runs the tests of one pack with the library, and nothing else that could have a say. */
export function regoTests(pack: Pack): {
  passed: boolean;
  output: string;
  coverage: number;
} {
  const only = `^data[.]${pack.policy}_test[.]`;
  const sources = ['rego/egret', packDirectory(pack), ...NO_DATA];
  const run = (...more: string[]) =>
    opa('test', '--timeout', '120s', '--run', only, ...more, ...sources);
  const { status, output } = run('--coverage', '--format', 'json');
  if (status !== 0) return { passed: false, output: run().output, coverage: 0 };
  const { files } = JSON.parse(output) as { files: Record<string, { coverage?: number }> };
  const file = `${packDirectory(pack)}/${pack.policy}.rego`;
  return { passed: true, output, coverage: files[file]?.coverage ?? 0 };
}

/** The calls of the Rego tests, with the settings that most of them are decided under. */
export function testCalls(pack: Pack): { calls: readonly JsonObject[]; settings: JsonObject } {
  const { status, output } = opa(
    'eval',
    '--format',
    'raw',
    '--data',
    'rego/egret',
    '--data',
    packDirectory(pack),
    ...NO_DATA,
    `data.${pack.policy}_test`,
  );
  assert.equal(status, 0, output);
  const { calls, config, execution } = JSON.parse(output) as Record<string, Json> & {
    calls: Record<string, readonly JsonObject[]>;
  };
  return {
    calls: Object.values(calls).map(([document]) => document as JsonObject),
    settings: (execution ?? config ?? pack.settings) as JsonObject,
  };
}

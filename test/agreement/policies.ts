/**
 * Every policy that engines are compared on: the committed bundles and, with opa on PATH, every pack built with the
 * library and the settings beside it. Shell: reads `rego`, runs opa.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArchive } from '../../src/bundle/archive.ts';
import { buildBundle } from '../../src/bundle/build.ts';

const REGO = join(import.meta.dirname, '../../rego');
const PACKS = join(REGO, 'packs');
/** Settings of the packs; where there are none, those of the demo. */
const SETTINGS = ['settings', 'demo'].map((name) => join(REGO, name)).find(existsSync) as string;

export interface Policy {
  readonly name: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Calls in the Rego tests of a pack: starting points for random ones. */
  readonly calls: readonly object[];
}

export const bundleNames = () =>
  readdirSync(join(REGO, 'dist')).filter((name) => name.endsWith('.tar.gz'));

export const packNames = () => readdirSync(PACKS);

export function committedBundle(name: string): Policy {
  return { name, files: readArchive(readFileSync(join(REGO, 'dist', name))), calls: [] };
}

export async function builtPack(name: string): Promise<Policy> {
  const sources = [join(REGO, 'egret'), join(PACKS, name), SETTINGS];
  const calls = testCalls(name);
  return { name, files: readArchive(await buildBundle({ sources })), calls };
}

/** Every object with a tool that is the value of something in the tests of a pack. */
function testCalls(name: string): object[] {
  const modules = readdirSync(join(PACKS, name)).filter((file) => file.endsWith('.rego'));
  const test = modules.find((file) => file.endsWith('_test.rego'));
  if (test === undefined) return [];
  const files = [join(REGO, 'egret'), ...modules.map((file) => join(PACKS, name, file))];
  const source = readFileSync(join(PACKS, name, test), 'utf8');
  const packageName = /^package\s+(\S+)/m.exec(source)?.[1];
  const data = files.flatMap((file) => ['--data', file]);
  const args = ['eval', '--format', 'raw', ...data, `data.${packageName}`];
  const { status, stdout, stderr } = spawnSync('opa', args, { encoding: 'utf8', maxBuffer: 1e8 });
  assert.equal(status, 0, stderr + stdout);
  return callsIn(JSON.parse(stdout));
}

function callsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return 'tool' in value ? [value] : Object.values(value).flatMap(callsIn);
}

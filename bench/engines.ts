/**
 * Policy engines side by side on the same policies and the same input: our host, the npm package, OPA's server and
 * OPA's own benchmark, in interleaved rounds. Shell: owns nothing, starts children, writes into the working folder.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { renderPolicyInput } from '../src/decision/input.ts';
import { type Child, type Children, freePorts } from './children.ts';
import {
  ENGINE_KEYS,
  ENGINE_POLICIES,
  type EngineKey,
  type EnginePolicy,
  type EngineRow,
  type Engines,
  type Measured,
  PART_ENGINES,
  type PartEngine,
} from './engine-policy.ts';
import { receiptsSources, startOpaServer } from './opa.ts';
import { findProgram, versionOf } from './program.ts';
import { median } from './rounds.ts';
import { sampleInput } from './sample-input.ts';

export interface EnginesOptions {
  readonly children: Children;
  /** Working files of this run. */
  readonly directory: string;
  /** Folder with the files of the receipts bundle; null when there is none. */
  readonly policyDirectory: string | null;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

interface Field extends EnginesOptions {
  readonly inputFile: string;
  readonly opa: string | null;
  readonly port: number;
  /** Everything OPA loads: sources and data of all policies. */
  readonly opaFiles: readonly string[];
  readonly seconds: number;
}

interface Sample {
  readonly us: number;
  /** Undefined where the engine does not tell. */
  readonly value?: unknown;
}

type Samples = Map<EngineKey, Sample[]>;

const BUILD_TIMEOUT_MS = 60_000;
const PART_TIMEOUT_MS = 60_000;

export async function measureEngines(options: EnginesOptions): Promise<Engines> {
  const { directory, policyDirectory, quick, children } = options;
  const rounds = quick ? 1 : 3;
  const seconds = quick ? 0.3 : 0.7;
  const input = renderPolicyInput(sampleInput('019aaf00-0000-7000-8000-000000000001'));
  const inputFile = join(directory, 'engine-input.json');
  writeFileSync(inputFile, input);
  const opa = findProgram('opa', [join(import.meta.dirname, '../.tools/bin')]);
  const [port] = (await freePorts(1)) as [number];
  const opaFiles = sourcesOf(policyDirectory);
  const field = { ...options, inputFile, opa, port, opaFiles, seconds };
  const policies: [EnginePolicy, string][] = [];
  for (const policy of ENGINE_POLICIES) {
    const folder = await folderOf(field, policy);
    if (folder !== null) policies.push([policy, folder]);
  }
  const server = opa === null ? null : await startOpaServer(children, opa, port, opaFiles);
  const rows = await runRounds(field, policies, rounds);
  await end(children, server);
  return {
    rounds,
    seconds,
    inputBytes: Buffer.byteLength(input),
    opaVersion: opa === null ? null : versionOf(opa, ['version'], /Version: (\S+)/),
    npmVersion: npmVersion(),
    rows,
  };
}

const end = async (children: Children, child: Child | null) =>
  child === null ? undefined : children.end(child);

function npmVersion(): string {
  const entry = createRequire(import.meta.url).resolve('@open-policy-agent/opa-wasm');
  const folder = entry.slice(0, entry.lastIndexOf('/opa-wasm/'));
  const manifest = join(folder, 'opa-wasm/package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

const sourcesOf = (policyDirectory: string | null): string[] => [
  ...ENGINE_POLICIES.flatMap(({ source }) =>
    source === null ? [] : [join(import.meta.dirname, source)],
  ),
  ...(policyDirectory === null ? [] : [...receiptsSources(), join(policyDirectory, 'data.json')]),
];

/** @returns the folder with the compiled policy; null when it is neither committed nor can be compiled. */
async function folderOf(field: Field, policy: EnginePolicy): Promise<string | null> {
  const { children, directory, opa, policyDirectory } = field;
  if (policy.source === null) return policyDirectory;
  if (opa === null) return null;
  const folder = join(directory, policy.source);
  const archive = `${folder}.tar.gz`;
  mkdirSync(folder);
  const source = join(import.meta.dirname, policy.source);
  const build = ['build', '-t', 'wasm', '-e', policy.entrypoint, '-o', archive, source];
  await children.run(opa, build, BUILD_TIMEOUT_MS);
  await children.run('tar', ['-xzf', archive, '-C', folder], BUILD_TIMEOUT_MS);
  return folder;
}

async function runRounds(
  field: Field,
  policies: readonly (readonly [EnginePolicy, string])[],
  rounds: number,
): Promise<EngineRow[]> {
  const keys = ENGINE_KEYS.filter((key) => field.opa !== null || !key.startsWith('opa'));
  const samples = new Map<EnginePolicy, Samples>();
  for (let round = 1; round <= rounds; round += 1) {
    for (const [policy, directory] of policies) {
      field.progress(`engines: round ${round}/${rounds}, ${policy.title}`);
      const own: Samples = samples.get(policy) ?? new Map();
      samples.set(policy, own);
      for (const key of keys) {
        // It takes seconds and is a mean over one of them already.
        if (key === 'opa-bench' && round > 1) continue;
        const one = await measure(field, key, policy, directory);
        own.set(key, [...(own.get(key) ?? []), one]);
      }
    }
  }
  return ENGINE_POLICIES.map((policy) => rowOf(policy, samples.get(policy) ?? new Map()));
}

const isPart = (key: EngineKey): key is PartEngine =>
  (PART_ENGINES as readonly string[]).includes(key);

async function measure(
  field: Field,
  key: EngineKey,
  { entrypoint }: EnginePolicy,
  directory: string,
): Promise<Sample> {
  if (!isPart(key)) return opaBench(field, entrypoint);
  const { children, inputFile, port, seconds } = field;
  const policy: Measured = { directory, entrypoint, inputFile, port };
  const script = join(import.meta.dirname, 'engine-part.ts');
  const args = [script, key, JSON.stringify(policy), String(seconds)];
  return JSON.parse(await children.run(process.execPath, args, PART_TIMEOUT_MS)) as Sample;
}

/** OPA's own benchmark decides for itself how often it evaluates; its metrics are off, as they cost it time. */
async function opaBench(field: Field, entrypoint: string): Promise<Sample> {
  const data = field.opaFiles.flatMap((file) => ['-d', file]);
  const settings = ['--format', 'json', '--metrics=false', '--benchmem=false'];
  const query = `data.${entrypoint.replaceAll('/', '.')}`;
  const args = ['bench', ...settings, ...data, '-i', field.inputFile, query];
  const text = await field.children.run(field.opa ?? 'opa', args, PART_TIMEOUT_MS);
  const { N: evaluations, T: nanoseconds } = JSON.parse(text) as { N: number; T: number };
  return { us: nanoseconds / evaluations / 1000 };
}

function rowOf({ title, patterns }: EnginePolicy, samples: Samples): EngineRow {
  const us = (key: EngineKey) => {
    const own = samples.get(key);
    return own === undefined ? null : median(own.map((sample) => sample.us));
  };
  const values = [...samples.values()]
    .flat()
    .flatMap((sample) => ('value' in sample ? [sample.value] : []));
  const other = values.some((value) => !isDeepStrictEqual(value, values[0]));
  return {
    title,
    patterns,
    us: {
      egret: us('egret'),
      npm: us('npm'),
      'opa-server': us('opa-server'),
      'opa-bench': us('opa-bench'),
    },
    invalid: other ? 'the engines did not give the same answer' : null,
  };
}

/**
 * Measurements of single parts: one decision, cold start, audit append and verify, connections that stand. A part that does not work is `not
 * measured` with the reason, never a failed run. Shell: owns nothing.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Children } from './children.ts';
import { measureColdStart } from './cold-start.ts';
import { measureConnections } from './connections-part.ts';
import type { SectionKey } from './options.ts';
import type { Micro } from './result.ts';
import { sidecarProgram } from './sidecar.ts';

export interface PartsOptions {
  readonly children: Children;
  /** Working files of this run. */
  readonly directory: string;
  /** Folder with the files of the policy bundle; null when there is none. */
  readonly policyDirectory: string | null;
  /** Folder with the policy bundle; null when there is none. */
  readonly bundleDirectory: string | null;
  readonly upstreamPort: number;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

type Part = (options: PartsOptions) => Promise<Partial<Micro>>;

const TIMEOUT_MS = 60_000;
const NOTHING: Micro = {
  decisionUs: null,
  decisionP99Us: null,
  decisionInputBytes: null,
  coldStartMs: null,
  bundleBytes: null,
  auditRecordsPerSecond: null,
  verifyRecordsPerSecond: null,
  standing: null,
  notes: [],
};

const PARTS: readonly (readonly [SectionKey, string, Part])[] = [
  ['parts', 'one decision', measureDecision],
  ['parts', 'cold start', coldStart],
  ['parts', 'audit append', measureAppend],
  ['parts', 'audit verify', measureVerify],
  ['connections', 'connections that stand', standing],
];

/** @param sections the parts of which are measured. */
export async function measureParts(
  options: PartsOptions,
  sections: readonly SectionKey[],
): Promise<Micro> {
  let found = NOTHING;
  for (const [section, name, part] of PARTS) {
    if (!sections.includes(section)) continue;
    options.progress(`part: ${name}`);
    try {
      found = { ...found, ...(await part(options)) };
    } catch (error) {
      // The message may name files of this machine: it is for the terminal, the report only says so.
      options.progress(`NOT MEASURED: ${name}: ${(error as Error).message}`);
      found = { ...found, notes: [...found.notes, `${name} could not be measured in this run`] };
    }
  }
  return found;
}

function needPolicy(directory: string | null): string {
  if (directory === null) throw new Error('there is no policy bundle (node rego/build.ts)');
  return directory;
}

/** Runs a script of this folder that prints one line of JSON. */
async function script<T>(options: PartsOptions, name: string, args: readonly string[]): Promise<T> {
  const command = [join(import.meta.dirname, name), ...args];
  const stdout = await options.children.run(process.execPath, command, TIMEOUT_MS);
  return JSON.parse(stdout) as T;
}

async function measureDecision(options: PartsOptions): Promise<Partial<Micro>> {
  const args = [needPolicy(options.policyDirectory), options.quick ? '1' : '4'];
  const { inputBytes, ...times } = await script<{
    readonly decisionUs: number;
    readonly decisionP99Us: number;
    readonly inputBytes: number;
  }>(options, 'decision-part.ts', args);
  return { ...times, decisionInputBytes: inputBytes };
}

async function coldStart(options: PartsOptions): Promise<Partial<Micro>> {
  const policyDirectory = needPolicy(options.policyDirectory);
  return measureColdStart({ ...options, policyDirectory, starts: options.quick ? 2 : 5 });
}

async function standing(options: PartsOptions): Promise<Partial<Micro>> {
  const bundleDirectory = needPolicy(options.bundleDirectory);
  return { standing: await measureConnections({ ...options, bundleDirectory }) };
}

const auditLog = (options: PartsOptions) => join(options.directory, 'audit-part');

function measureAppend(options: PartsOptions): Promise<Partial<Micro>> {
  const records = options.quick ? '20000' : '100000';
  return script(options, 'audit-part.ts', [auditLog(options), records]);
}

/** Checks the log that appending left, as an auditor would: with the command, its start included. */
async function measureVerify(options: PartsOptions): Promise<Partial<Micro>> {
  const directory = auditLog(options);
  const records = checkpointSize(readFileSync(join(directory, 'checkpoint'), 'utf8'));
  const command = [sidecarProgram(), 'audit', 'verify', directory];
  const startMs = performance.now();
  await options.children.run(process.execPath, command, TIMEOUT_MS);
  const seconds = (performance.now() - startMs) / 1000;
  return { verifyRecordsPerSecond: records / seconds };
}

/** The second line of a signed checkpoint is the number of records. */
function checkpointSize(text: string): number {
  const size = Number(text.split('\n')[1]);
  if (!Number.isInteger(size) || size < 1) throw new Error(`the log has no checkpoint: ${text}`);
  return size;
}

/**
 * What OPA and its linter find in policy sources, each problem with file, line and column: compilation in strict mode
 * against the schema of the policy input, fields of the input that do not exist, formatting, and Regal where it is
 * installed. Shell: runs programs; owns one temporary directory.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { anyPhaseJsonSchema, withoutNulls } from '../decision/input-schema.ts';
import { BundleBuildError } from './build-source.ts';

export interface Finding {
  /** Which check found it. */
  readonly check: 'opa' | 'input' | 'fmt' | 'regal' | 'catalogue' | 'yaml' | 'data' | 'sources';
  readonly file: string;
  /** 0 when only the file is known. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const ERRORS_MAX = '1000';

/**
 * @param own directories to check.
 * @param library directories that the sources need to compile and that nobody wants to read about.
 */
export async function opaFindings(
  opa: string,
  own: readonly string[],
  library: readonly string[],
): Promise<Finding[]> {
  const directory = await mkdtemp(join(tmpdir(), 'egret-check-'));
  try {
    const [lenient, strict] = [join(directory, 'input.json'), join(directory, 'fields.json')];
    await writeFile(lenient, JSON.stringify(anyPhaseJsonSchema()));
    await writeFile(strict, JSON.stringify(withoutNulls(anyPhaseJsonSchema())));
    const sources = [...library, ...own];
    const [all, fields] = await Promise.all([
      compileErrors(opa, sources, lenient),
      compileErrors(opa, sources, strict),
    ]);
    // Where null may be, only the second schema knows the fields; everything else it says is about types and wrong.
    const known = new Set(all.map(placeOf));
    return [...all, ...fields.filter((one) => one.check === 'input' && !known.has(placeOf(one)))];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const placeOf = ({ file, line, column }: Finding) => `${file}:${line}:${column}`;

const errorsSchema = z.object({
  errors: z.array(
    z.looseObject({
      message: z.string(),
      location: z.looseObject({ file: z.string(), row: z.number(), col: z.number() }).optional(),
      details: z
        .looseObject({
          ref: z.array(z.looseObject({ value: z.unknown() })).optional(),
          pos: z.number().optional(),
          oneOf: z.array(z.unknown()).nullish(),
        })
        .optional(),
    }),
  ),
});
type OpaError = z.output<typeof errorsSchema>['errors'][number];

async function compileErrors(
  opa: string,
  sources: readonly string[],
  schema: string,
): Promise<Finding[]> {
  const options = ['--strict', '--format', 'json', '--max-errors', ERRORS_MAX, '--schema', schema];
  const { status, stdout, stderr } = await run(opa, ['check', ...options, ...sources]);
  if (status === 0) return [];
  const parsed = errorsSchema.safeParse(jsonOf(stdout) ?? jsonOf(stderr));
  if (!parsed.success) throw new BundleBuildError(`opa check: ${(stderr || stdout).trim()}`);
  return parsed.data.errors.map(findingOf);
}

function findingOf({ message, location, details }: OpaError): Finding {
  const { file = '', row: line = 0, col: column = 0 } = location ?? {};
  const { ref = [], pos, oneOf } = details ?? {};
  const keys = ref.map(({ value }) => String(value));
  if (keys[0] !== 'input' || pos === undefined) {
    return { check: 'opa', file, line, column, message };
  }
  const known = (oneOf ?? []).map(String).join(', ');
  const wanted = known === '' ? 'no field here' : `one of ${known}`;
  const found = keys.slice(0, pos + 1).join('.');
  return { check: 'input', file, line, column, message: `found ${found}, expected ${wanted}` };
}

export async function formatFindings(opa: string, own: readonly string[]): Promise<Finding[]> {
  const { status, stdout, stderr } = await run(opa, ['fmt', '--list', ...own]);
  // Files that cannot be parsed are errors of the compiler already.
  if (status !== 0 && stdout.trim() === '' && stderr.trim() === '') return [];
  return stdout
    .split('\n')
    .filter((file) => file.endsWith('.rego'))
    .map((file) => ({
      check: 'fmt',
      file,
      line: 0,
      column: 0,
      message: 'found another format, expected that of opa fmt --write',
    }));
}

const regalSchema = z.object({
  violations: z
    .array(
      z.looseObject({
        title: z.string(),
        description: z.string(),
        level: z.string(),
        location: z.looseObject({
          file: z.string(),
          row: z.number().default(0),
          col: z.number().default(0),
        }),
      }),
    )
    .nullish(),
});

/** Rules that ask for a layout of their own, cannot see the library and the data of a bundle, or repeat `opa fmt`. */
const NOT_FOR_BUNDLES = [
  'directory-package-mismatch',
  'no-defined-entrypoint',
  'opa-fmt',
  'unresolved-import',
  'unresolved-reference',
].flatMap((rule) => ['--disable', rule]);

/** Violations of the level error; warnings are for reading. */
export async function regalFindings(regal: string, own: readonly string[]): Promise<Finding[]> {
  const options = ['lint', '--format', 'json', ...NOT_FOR_BUNDLES];
  const { stdout, stderr } = await run(regal, [...options, ...own]);
  const parsed = regalSchema.safeParse(jsonOf(stdout));
  // Files that cannot be parsed are errors of the compiler already.
  if (!parsed.success && /failed to parse \d+ module/.test(stdout + stderr)) return [];
  if (!parsed.success) throw new BundleBuildError(`regal lint: ${(stderr || stdout).trim()}`);
  return (parsed.data.violations ?? [])
    .filter(({ level }) => level === 'error')
    .map(({ title, description, location }) => ({
      check: 'regal',
      file: location.file,
      line: location.row,
      column: location.col,
      message: `${description} (${title})`,
    }));
}

const yamlErrorsSchema = z.array(
  z.object({ path: z.string(), found: z.string(), expected: z.string() }),
);
export type YamlPolicyError = z.output<typeof yamlErrorsSchema>[number];

/**
 * What the library says about YAML policies: its own description of them is the only one.
 * @param data JSON text of `data.yaml`.
 */
export async function yamlPolicyErrors(
  opa: string,
  library: string,
  data: string,
): Promise<readonly YamlPolicyError[]> {
  const directory = await mkdtemp(join(tmpdir(), 'egret-check-'));
  try {
    const file = join(directory, 'data.json');
    await writeFile(file, `{"yaml":${data}}`);
    const query = ['eval', '--format', 'json', '-d', library, '-d', file, 'data.egret.yaml.errors'];
    const { stdout, stderr } = await run(opa, query);
    const document = jsonOf(stdout) as { result?: { expressions: { value: unknown }[] }[] } | null;
    const parsed = yamlErrorsSchema.safeParse(document?.result?.[0]?.expressions[0]?.value);
    if (!parsed.success) throw new BundleBuildError(`opa eval: ${(stderr || stdout).trim()}`);
    return parsed.data;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text;
        if (texts[name].length > OUTPUT_BYTES_MAX) child.kill('SIGKILL');
      });
    }
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...texts }));
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Puts the data files of a bundle together: every `data.json`, `data.yaml` and `data.yml`, each at the path of its
 * directory. Keeps integers of any size exactly. A key twice, two files that say something else about one path, and
 * data outside of the manifest's roots are refused. Pure.
 */
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { parseRego, RegoSyntaxError, type RegoValue, renderRego } from '../decision/rego-value.ts';
import { refuseBundle } from './bundle-error.ts';
import { isInRoots } from './manifest.ts';

const DATA_FILE = /(?:^|\/)data\.(?:json|ya?ml)$/;
/** YAML is for what people write; larger data belongs into JSON, which is read a hundred times faster. */
const YAML_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 100;

type DataObject = ReadonlyMap<RegoValue, RegoValue>;

/**
 * @returns JSON text of the whole of `data`.
 * @throws BundleRefused `data_invalid`, `data_conflict`, `data_missing`, `outside_roots`
 */
export function bundleData(
  files: ReadonlyMap<string, Uint8Array>,
  roots: readonly string[],
): string {
  let data: DataObject = new Map();
  const dataFiles = [...files].filter(([file]) => DATA_FILE.test(file));
  for (const [file, bytes] of dataFiles.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const directories = file.split('/').slice(0, -1);
    const value = readData(file, bytes);
    const whole = directories.reduceRight<RegoValue>(
      (inner, name) => new Map([[name, inner]]),
      value,
    );
    if (!(whole instanceof Map)) {
      refuseBundle('data_invalid', { file }, 'no object', 'an object at the top of data');
    }
    checkRoots(whole as DataObject, '', roots, file);
    data = merged(data, whole as DataObject, '', file);
  }
  checkSettings(data, roots);
  const [only] = dataFiles;
  const whole = dataFiles.length === 1 && only?.[0] === 'data.json';
  return whole ? textOf(...only) : renderRego(data);
}

/** Settings that a bundle says it has; without them a policy denies, or worse, in a way that nobody meant. */
function checkSettings(data: DataObject, roots: readonly string[]): void {
  for (const root of roots) {
    const path = root.split('/');
    if (path[0] !== 'config') continue;
    const value = path.reduce<RegoValue | undefined>(
      (inner, name) => (inner instanceof Map ? inner.get(name) : undefined),
      data,
    );
    if (value !== undefined) continue;
    const place = { file: 'data.json', path: root };
    refuseBundle('data_missing', place, 'nothing', 'what the root of the manifest announces');
  }
}

function readData(file: string, bytes: Uint8Array): RegoValue {
  const text = textOf(file, bytes);
  if (!file.endsWith('.json')) return readYaml(file, text, bytes.length);
  try {
    return parseRego(text, 'json');
  } catch (error) {
    if (!(error instanceof RegoSyntaxError)) throw error;
    return refuseBundle('data_invalid', { file }, `something else: ${error.message}`, 'JSON');
  }
}

function textOf(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuseBundle('data_invalid', { file }, 'bytes that are no UTF-8', 'UTF-8 text');
  }
}

/** @throws BundleRefused `data_invalid` */
export function readYaml(file: string, text: string, bytes: number): RegoValue {
  if (bytes > YAML_BYTES_MAX) {
    refuseBundle('data_invalid', { file }, `${bytes} bytes of YAML`, `at most ${YAML_BYTES_MAX}`);
  }
  try {
    const options = {
      version: '1.2',
      intAsBigInt: true,
      mapAsMap: true,
      prettyErrors: true,
    } as const;
    const value: unknown = parseYaml(text, { ...options, maxAliasCount: 100, logLevel: 'error' });
    return plainValue(value, file, '', 0);
  } catch (error) {
    // The library throws ReferenceError for aliases that expand too far.
    if (!(error instanceof YAMLParseError || error instanceof ReferenceError)) throw error;
    const [problem = ''] = error.message.split('\n');
    return refuseBundle('data_invalid', { file }, `broken YAML: ${problem}`, 'YAML 1.2');
  }
}

function plainValue(value: unknown, file: string, path: string, depth: number): RegoValue {
  const wrong = (found: string, expected: string) =>
    refuseBundle('data_invalid', { file, path }, found, expected);
  if (depth > DEPTH_MAX) wrong('deeper nesting', `at most ${DEPTH_MAX} levels`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) {
    return value.map((item, i) => plainValue(item, file, `${path}[${i}]`, depth + 1));
  }
  if (!(value instanceof Map)) return wrong(String(value), 'a JSON value');
  const object = new Map<RegoValue, RegoValue>();
  for (const [key, item] of value) {
    if (typeof key !== 'string') return wrong(`the key ${String(key)}`, 'a key that is a string');
    object.set(key, plainValue(item, file, path === '' ? key : `${path}.${key}`, depth + 1));
  }
  return object;
}

/** Every value must lie in a root; objects around the roots are fine. */
function checkRoots(
  object: DataObject,
  path: string,
  roots: readonly string[],
  file: string,
): void {
  for (const [key, value] of object) {
    const inner = path === '' ? String(key) : `${path}/${String(key)}`;
    if (isInRoots(inner, roots)) continue;
    const around = roots.some((root) => root.startsWith(`${inner}/`));
    if (around && value instanceof Map) checkRoots(value as DataObject, inner, roots, file);
    else
      refuseBundle('outside_roots', { file, path: inner }, 'data', `data in ${roots.join(', ')}`);
  }
}

function merged(a: DataObject, b: DataObject, path: string, file: string): DataObject {
  const result = new Map(a);
  for (const [key, value] of b) {
    const inner = path === '' ? String(key) : `${path}/${String(key)}`;
    const old = a.get(key);
    if (old === undefined) result.set(key, value);
    else if (old instanceof Map && value instanceof Map) {
      result.set(key, merged(old as DataObject, value as DataObject, inner, file));
    } else {
      refuseBundle('data_conflict', { file, path: inner }, 'a second value', 'one file per path');
    }
  }
  return result;
}

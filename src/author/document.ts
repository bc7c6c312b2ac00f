/**
 * Documents that an author writes by hand, YAML or JSON (which is YAML), bounded in size. Shell: reads one file or
 * standard input.
 */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { readYaml } from '../call/yaml-document.ts';
import { AuthorError } from './policy-source.ts';

const BYTES_MAX = 16 * 1024 * 1024;
const STANDARD_INPUT = 0;

/**
 * @param path `-` for standard input.
 * @throws AuthorError with one line per problem: file, line, path, what was found, what was expected.
 */
export function readDocument<S extends z.ZodType>(path: string, schema: S): z.output<S> {
  const name = path === '-' ? 'standard input' : path;
  const read = readYaml(textOf(path, name), name, schema);
  if (!read.ok) throw new AuthorError(read.problems.join('\n'));
  return read.value;
}

/** Any document at all. */
export const anything = z.unknown();

function textOf(path: string, name: string): string {
  const bytes = bytesOf(path);
  if (bytes.length > BYTES_MAX) {
    throw new AuthorError(`${name}: found ${bytes.length} bytes, expected at most ${BYTES_MAX}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AuthorError(`${name}: found bytes that are no UTF-8, expected text`);
  }
}

function bytesOf(path: string): Uint8Array {
  if (path === '-') return readFileSync(STANDARD_INPUT);
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) throw new AuthorError(`${path}: found nothing, expected a file`);
  if (facts.isDirectory()) throw new AuthorError(`${path}: found a directory, expected a file`);
  return readFileSync(path);
}

/**
 * Uploads that an author states, in the same registry that the sidecar keeps: what a user provided, and how long ago.
 * Shell: reads the files that were uploaded.
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UploadRegistry } from '../decision/uploads.ts';
import { AuthorError } from './policy-source.ts';
import type { Provenance } from './review-input.ts';
import type { StatedFacts } from './stated-facts.ts';

const MINUTE_MS = 60_000;
/** Late enough on the registry's clock that every stated age fits before it. */
const NOW_MS = 1e12;
const BOUNDS = { uploadsMax: 100_000, ageMsMax: 24 * 60 * MINUTE_MS };

/** The registry of one scenario at the time `nowMs`. @param file of the scenario, for relative paths and messages. */
export function uploadRegistry(facts: StatedFacts, file: string): UploadRegistry {
  const registry = new UploadRegistry(BOUNDS);
  const oldestFirst = [...(facts.uploads ?? [])].sort((a, b) => b.age_minutes - a.age_minutes);
  for (const upload of oldestFirst) {
    registry.register(digestOf(upload, file), NOW_MS - upload.age_minutes * MINUTE_MS);
  }
  return registry;
}

export const registered = (facts: StatedFacts, file: string): Provenance => {
  const registry = uploadRegistry(facts, file);
  return (attachments) => registry.facts(attachments, NOW_MS);
};

/** What the monotonic clock of a scenario shows. */
export const scenarioNowMs = (): number => NOW_MS;

function digestOf(upload: NonNullable<StatedFacts['uploads']>[number], file: string): string {
  if (upload.sha256 !== undefined) return upload.sha256;
  if (upload.text !== undefined) return hash('sha256', upload.text, 'hex');
  return hash('sha256', fileBeside(file, upload.file ?? ''), 'hex');
}

/** Content of a file that another one names. @throws AuthorError */
export function fileBeside(file: string, path: string): Buffer {
  const place = resolve(dirname(file), path);
  try {
    return readFileSync(place);
  } catch (error) {
    throw new AuthorError(`${file}: ${path}: found no readable file (${(error as Error).message})`);
  }
}

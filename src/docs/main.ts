/**
 * Writes the generated references, or with `--check` says which of them differ from what the source says.
 * `node src/docs/main.ts [--check] [DIRECTORY]`, exit code 1 on a difference. Shell: owns the files it writes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, exit, stderr } from 'node:process';
import { z } from 'zod';
import { controllerSchema } from '../config/controller.ts';
import { configSchema } from '../config/schema.ts';
import { inputJsonSchema } from '../decision/input-schema.ts';
import { policySetSchema } from '../rollout/policy-set.ts';
import { bypassesIn, renderBypasses, withSection } from './bypass-table.ts';
import { renderInputReference } from './input-reference.ts';
import {
  renderConfigReference,
  renderControllerReference,
  renderMetricReference,
  renderReasonReference,
  renderRolloutReference,
} from './reference.ts';

/** The whole page, or the page as it is with its generated part. */
const PAGES: Readonly<Record<string, (page: string) => string>> = {
  'metrics.md': renderMetricReference,
  'reason-codes.md': renderReasonReference,
  'configuration.md': () => renderConfigReference(z.toJSONSchema(configSchema, { io: 'input' })),
  'controller-configuration.md': () =>
    renderControllerReference(z.toJSONSchema(controllerSchema, { io: 'input' })),
  'rollout-reference.md': () =>
    renderRolloutReference(z.toJSONSchema(policySetSchema, { io: 'input' })),
  'policy-input.md': renderInputReference,
  'policy-input-request.schema.json': () => schemaText('request'),
  'policy-input-response.schema.json': () => schemaText('response'),
  'threat-model.md': (page) => {
    const tests = readFileSync(new URL('../../test/net/bypass.net.ts', import.meta.url), 'utf8');
    return withSection(page, 'bypasses', renderBypasses(bypassesIn(tests)));
  },
};

function schemaText(phase: 'request' | 'response'): string {
  return `${JSON.stringify(inputJsonSchema(phase), null, 2)}\n`;
}

/** @returns the names of pages that differ from what was there. */
function differing(directory: string): string[] {
  return Object.keys(PAGES).filter((name) => {
    const page = before(join(directory, name));
    return page !== PAGES[name]?.(page ?? '');
  });
}

function before(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const [first, second] = argv.slice(2);
const check = first === '--check';
const directory = (check ? second : first) ?? 'docs';
const changed = differing(directory);
if (check) {
  for (const name of changed)
    stderr.write(`${join(directory, name)} is not up to date; run make docs\n`);
  exit(changed.length === 0 ? 0 : 1);
}
for (const name of changed) {
  const file = join(directory, name);
  writeFileSync(file, PAGES[name]?.(before(file) ?? '') ?? '');
}

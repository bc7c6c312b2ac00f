/**
 * Builds the two bundles that are committed, so that running needs no compiler: the receipts policy in Rego and the
 * same policy in YAML, each with the library, MCP sessions and the tool catalogue. Shell: writes `rego/dist/`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildBundle } from '../src/bundle/build.ts';

const at = (...path: string[]) => join(import.meta.dirname, ...path);
const shared = [at('egret'), at('packs', 'mcp-session'), at('catalogue'), at('demo')];

/** What each committed bundle is made of. */
export const COMMITTED = {
  'receipts.tar.gz': [...shared, at('packs', 'receipts')],
  'receipts-yaml.tar.gz': [...shared, at('packs', 'receipts-yaml')],
} as const satisfies Readonly<Record<string, readonly string[]>>;

if (import.meta.main) {
  await mkdir(at('dist'), { recursive: true });
  for (const [name, sources] of Object.entries(COMMITTED)) {
    const bytes = await buildBundle({ sources });
    await writeFile(at('dist', name), bytes);
    console.log(`rego/dist/${name}: ${bytes.length} bytes`);
  }
}

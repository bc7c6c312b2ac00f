/**
 * Variants of the committed receipts bundle that need no compiler: other recipients, another revision. Pure, but for
 * the bundle that is read.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArchive } from '../../src/bundle/archive.ts';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { ROOT } from './sidecar-process.ts';

/** A bundle archive of this revision, which allows mail to these recipients only. */
export function receiptsFor(recipients: readonly string[], revision: string): Uint8Array {
  const path = join(ROOT, 'rego/dist/receipts.tar.gz');
  const files = new Map(readArchive(readFileSync(path), path));
  edit(files, 'data.json', (data) => {
    data['config'].receipts.recipients = recipients;
  });
  edit(files, '.manifest', (manifest) => {
    manifest['revision'] = revision;
  });
  return writeArchive([...files]);
}

/** The receipts bundle with one file put in the place of another. */
export function receiptsWith(name: string, content: string): Uint8Array {
  const path = join(ROOT, 'rego/dist/receipts.tar.gz');
  return writeArchive([
    ...new Map(readArchive(readFileSync(path), path)).set(name, Buffer.from(content)),
  ]);
}

// biome-ignore lint/suspicious/noExplicitAny: documents of another program, changed in one place
type Document = Record<string, any>;

function edit(files: Map<string, Uint8Array>, name: string, change: (document: Document) => void) {
  const document = JSON.parse(Buffer.from(files.get(name) ?? '').toString()) as Document;
  change(document);
  files.set(name, Buffer.from(JSON.stringify(document)));
}

/**
 * The policy every deciding contender runs: the committed receipts bundle, in a folder of its own for the sidecar, and
 * unpacked for OPA's data. Shell: owns nothing, writes into the working folder.
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Children } from './children.ts';

const ARCHIVE = join(import.meta.dirname, '../rego/dist/receipts.tar.gz');

export interface UnpackedBundle {
  /** Folder with the one archive; null when there is none. */
  readonly bundleDirectory: string | null;
  /** Folder with its files. */
  readonly policyDirectory: string | null;
}

export async function unpackBundle(children: Children, directory: string): Promise<UnpackedBundle> {
  if (!existsSync(ARCHIVE)) return { bundleDirectory: null, policyDirectory: null };
  const bundleDirectory = join(directory, 'bundle');
  const policyDirectory = join(directory, 'policy');
  mkdirSync(bundleDirectory);
  mkdirSync(policyDirectory);
  copyFileSync(ARCHIVE, join(bundleDirectory, 'receipts.tar.gz'));
  await children.run('tar', ['-xzf', ARCHIVE, '-C', policyDirectory], 10_000);
  return { bundleDirectory, policyDirectory };
}

/**
 * A bundle as a person names it: an archive, a directory as the sidecar reads one, or a YAML file of ConfigMaps. Bounded
 * like every bundle. Shell: reads files.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { BundleContent } from './activation.ts';
import { ARCHIVE_LIMITS, readArchive } from './archive.ts';
import { refuseBundle } from './bundle-error.ts';
import { readConfigMaps } from './configmap.ts';
import { readSnapshot } from './directory-snapshot.ts';

export interface NamedBundle {
  readonly content: BundleContent;
  /** Bytes of the archive; null for a directory. */
  readonly archive: Uint8Array | null;
}

/** Base64 and YAML around an archive. */
const YAML_BYTES_MAX = 2 * ARCHIVE_LIMITS.packedBytesMax;

/** @throws BundleRefused `source_*`, `archive_*`, `configmap_invalid`, `digest_mismatch` */
export async function readBundle(path: string): Promise<NamedBundle> {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) {
    return refuseBundle('source_missing', { file: path }, 'nothing', 'a bundle');
  }
  if (facts.isDirectory()) return { content: await readSnapshot(path), archive: null };
  const isYaml = /\.ya?ml$/.test(path);
  const max = isYaml ? YAML_BYTES_MAX : ARCHIVE_LIMITS.packedBytesMax;
  if (facts.size > max) {
    refuseBundle('archive_too_large', { file: path }, `${facts.size} bytes`, `at most ${max}`);
  }
  const bytes = readFileSync(path);
  const archive = isYaml ? readConfigMaps(bytes.toString('utf8'), path) : bytes;
  const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
  return { content: { files: readArchive(archive, path), digest }, archive };
}

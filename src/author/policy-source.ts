/**
 * The policy an author names on the command line, ready to decide: a bundle archive, an unpacked bundle directory, or a
 * policy repository, which is compiled first. All of them pass the gate that they must pass in the sidecar. A signature
 * is not looked at: who asks what a bundle would say does not enforce it. Shell: reads files, runs the compiler.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { activate, type BundleContent } from '../bundle/activation.ts';
import { ARCHIVE_LIMITS, readArchive } from '../bundle/archive.ts';
import { buildBundle } from '../bundle/build.ts';
import { readSources } from '../bundle/build-source.ts';
import { type BuiltInCatalogue, builtInCatalogue, libraryDirectory } from '../bundle/built-in.ts';
import { readSnapshot } from '../bundle/directory-snapshot.ts';
import { MANIFEST_FILE } from '../bundle/manifest.ts';
import { opaProgram } from '../bundle/opa-program.ts';
import { SIGNATURES_FILE } from '../bundle/signature.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { Dialect } from '../decision/dialect.ts';
import type { PolicyEngine } from '../decision/opa-wasm.ts';
import type { PolicyRef } from '../decision/verdict.ts';

/** What an author can mend: the message names the file, what was found and what was expected. */
export class AuthorError extends Error {
  override readonly name = 'AuthorError';
}

export interface LoadedPolicy {
  readonly ref: PolicyRef;
  readonly engine: PolicyEngine;
  /** As the manifest says: nobody configures anything here. */
  readonly dialect: Dialect;
  /** The catalogue in force with this bundle. */
  readonly catalogue: Catalogue;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** As the person wrote it. */
  readonly path: string;
}

const SET = 'main';

/**
 * @throws AuthorError, BundleRefused or BundleBuildError: each message says what is wrong with which file.
 */
export async function loadPolicy(path: string): Promise<LoadedPolicy> {
  const { files: all, digest } = await contentOf(path);
  const files = new Map([...all].filter(([name]) => name !== SIGNATURES_FILE));
  const builtIn = installed();
  const nowMs = Date.now();
  const activation = activate(
    { files, digest },
    { set: SET, nowMs, validateCatalogue: builtIn.validate },
  );
  if (!activation.ok) {
    throw new AuthorError(activation.errors.map((one) => `${path}: ${one.message}`).join('\n'));
  }
  const { ref, engine, dialect, catalogue } = activation.revision;
  return { ref, engine, dialect, catalogue: builtIn.under(catalogue), files, path };
}

let known: BuiltInCatalogue | null = null;

function installed(): BuiltInCatalogue {
  known ??= builtInCatalogue();
  return known;
}

async function contentOf(path: string): Promise<BundleContent> {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) {
    throw new AuthorError(
      `${path}: found nothing, expected a bundle archive, an unpacked bundle or a policy repository`,
    );
  }
  if (facts.isFile()) return archiveContent(path, readBounded(path));
  if (!facts.isDirectory()) {
    throw new AuthorError(`${path}: found a device, expected a file or a directory`);
  }
  if (await isBundleDirectory(path)) return readSnapshot(path);
  return archiveContent(
    path,
    await buildBundle({ opa: opaProgram(), sources: await repositorySources([path]) }),
  );
}

function archiveContent(path: string, packed: Uint8Array): BundleContent {
  const digest = `sha256:${createHash('sha256').update(packed).digest('hex')}`;
  return { files: readArchive(packed, path), digest };
}

/** A file of at most the size that any bundle may have unpacked. */
function readBounded(path: string): Uint8Array {
  const { size } = statSync(path);
  const max = ARCHIVE_LIMITS.unpackedBytesMax;
  if (size <= max) return readFileSync(path);
  throw new AuthorError(`${path}: found ${size} bytes, expected at most ${max}`);
}

/** As the sidecar reads one: a manifest, a mounted ConfigMap, or one archive, perhaps in pieces, and no Rego beside it. */
async function isBundleDirectory(path: string): Promise<boolean> {
  const names = await readdir(path);
  if (names.includes(MANIFEST_FILE) || names.includes('..data')) return true;
  const archives = names.filter((name) => /\.tar\.gz(\.000)?$/.test(name));
  return archives.length === 1 && !names.some((name) => name.endsWith('.rego'));
}

/** Directories to compile: those of the author, and the library unless one of them holds it. */
export async function repositorySources(
  directories: readonly string[],
): Promise<readonly string[]> {
  const library = libraryDirectory();
  const { modules } = await readSources([library, ...directories]);
  const isLibrary = ({ content }: { content: Uint8Array }) =>
    /^package\s+egret\s*$/m.test(Buffer.from(content).toString('utf8'));
  return modules.filter(isLibrary).length > 1 ? directories : [library, ...directories];
}

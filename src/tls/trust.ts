/**
 * The files by which the agent comes to trust this process: `ca.crt` (ours alone), `bundle.pem` (the public roots and
 * ours) and `bundle.p12` (the same for Java). Certificates only, never a key. Each file is whole at every moment, and
 * nothing that somebody planted in the folder is written through. Shell: owns these files.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { renderJavaTrustStore } from './java-trust-store.ts';

export interface TrustFiles {
  readonly ca: string;
  readonly bundle: string;
  readonly javaTrustStore: string;
}

/** The folder or a file in it cannot be written; the message names it. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
}

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** Where the files of a trust directory are. */
export const trustFiles = (directory: string): TrustFiles => ({
  ca: join(directory, 'ca.crt'),
  bundle: join(directory, 'bundle.pem'),
  javaTrustStore: join(directory, 'bundle.p12'),
});

/**
 * Puts the files in place, each by a rename that is on disk when this resolves; the folder is made when missing.
 * @param own certificates of our authorities, PEM. @param roots public roots, PEM.
 * @throws TrustError when the folder is a link or no folder, or something cannot be written.
 */
export async function writeTrust(
  directory: string,
  own: readonly string[],
  roots: readonly string[],
): Promise<void> {
  const files = trustFiles(directory);
  const all = [...own, ...roots];
  const der = all.map((pem) => new X509Certificate(pem).raw);
  try {
    await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
    if (!(await lstat(directory)).isDirectory()) {
      throw new TrustError(`${directory}: found a link, expected a directory`);
    }
    await replace(directory, files.bundle, Buffer.from(joined(all)));
    await replace(directory, files.javaTrustStore, renderJavaTrustStore(der));
    await replace(directory, files.ca, Buffer.from(joined(own)));
    await syncDirectory(directory);
  } catch (error) {
    if (error instanceof TrustError) throw error;
    const { code = 'unknown error', path = directory } = error as NodeJS.ErrnoException;
    throw new TrustError(`${path}: cannot be written (${code})`, { cause: error });
  }
}

const joined = (certificates: readonly string[]) =>
  certificates.map((pem) => `${pem.trim()}\n`).join('');

/** A rename replaces a link, it does not follow it; the new file has a name that nobody can have planted. */
async function replace(directory: string, file: string, content: Uint8Array): Promise<void> {
  const fresh = join(directory, `.new-${randomBytes(12).toString('hex')}`);
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
  const handle = await open(fresh, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, FILE_MODE);
  try {
    await handle.writeFile(content);
    // Whatever the umask says: every user of the pod may read it.
    await handle.chmod(FILE_MODE);
    await handle.sync();
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

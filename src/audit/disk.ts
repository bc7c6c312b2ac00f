/**
 * Files of the audit log as the journal uses them, and the order of system calls that makes a file durable: write a
 * temporary file, fsync it, rename it, fsync the directory. The rename is the point of no return.
 * Shell: owns no state; the functions that can fail under load are a port, so that tests can let them fail.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';

/** The calls on the hot path. All but `sync` block only as long as a copy to the page cache takes. */
export interface Disk {
  /** Opens for appending and makes the file when it is missing (mode 0600). */
  open(path: string): number;
  /** Writes some of the bytes at a position and says how many. */
  write(fd: number, bytes: Buffer, position: number): number;
  truncate(fd: number, bytes: number): void;
  /** fdatasync. */
  sync(fd: number): Promise<void>;
  close(fd: number): void;
}

export const realDisk: Disk = {
  open: (path) => fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600),
  write: (fd, bytes, position) => fs.writeSync(fd, bytes, 0, bytes.length, position),
  truncate: (fd, bytes) => fs.ftruncateSync(fd, bytes),
  sync: (fd) =>
    new Promise((resolve, reject) => {
      fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()));
    }),
  close: (fd) => fs.closeSync(fd),
};

/** Replaces or makes a file so that after a crash either the old or the new one is there, whole. */
export async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  await writeSynced(path, bytes);
  await syncDirectory(dirname(path));
}

/** The same without the fsync of the directory, for whoever writes many files and syncs the directories once. */
export async function writeSynced(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = `${path}${TEMPORARY}`;
  try {
    await fs.promises.writeFile(temporary, bytes, { mode: 0o600, flush: true });
    await fs.promises.rename(temporary, path);
  } catch (error) {
    await fs.promises.rm(temporary, { force: true });
    throw error;
  }
}

/** Ending of files that a crash may leave behind and recovery removes. */
export const TEMPORARY = '.tmp';

export async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.promises.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes a directory and its parents, each durable. @returns nothing; 0700. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await fs.promises.mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made));
  }
}

/** The bytes of a file, or null when there is none. Every other failure is thrown. */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await fs.promises.readFile(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export const isMissing = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';

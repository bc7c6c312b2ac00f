/**
 * The policy repository that `egret init` begins with: real files that are installed beside the program and pass their
 * own checks. Shell: reads and writes files; never over one that is there.
 */
import { cp, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { BundleBuildError } from './build-source.ts';
import { libraryDirectory } from './built-in.ts';

/** Under another name in the template, where it would hide files of this repository. */
const RENAMED = { from: 'gitignore', to: '.gitignore' } as const;

/** Beside the library. */
const templateDirectory = () => join(libraryDirectory(), '../template');

/**
 * @param directory made when missing; must hold nothing but a `.git`.
 * @returns the files written, relative to the directory.
 * @throws BundleBuildError when there is something in it.
 */
export async function writeTemplate(directory: string): Promise<readonly string[]> {
  await mkdir(directory, { recursive: true });
  const present = (await readdir(directory)).filter((name) => name !== '.git');
  if (present.length > 0) {
    throw new BundleBuildError(
      `${directory}: found ${present.slice(0, 5).join(', ')}, expected an empty directory`,
    );
  }
  await cp(templateDirectory(), directory, { recursive: true, force: false });
  await rename(join(directory, RENAMED.from), join(directory, RENAMED.to));
  const written = await readdir(directory, { recursive: true, withFileTypes: true });
  return written
    .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(directory, '.git/')))
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length).replace(/^\//, ''))
    .sort();
}

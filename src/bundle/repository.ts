/**
 * A policy repository as the compiler takes it: its own directories, and the library (package egret) unless one of them
 * has its own. Shell: reads the sources.
 */
import { readSources, type Sources } from './build-source.ts';
import { libraryDirectory } from './built-in.ts';

/** @throws BundleBuildError */
export async function withLibrary(directories: readonly string[]): Promise<readonly string[]> {
  const own = hasLibrary(await readSources(directories));
  return own ? directories : [libraryDirectory(), ...directories];
}

/** A repository that carries the library must not get it twice. */
export const hasLibrary = ({ modules }: Sources): boolean =>
  modules.some(({ content }) =>
    /^package\s+egret\s*$/m.test(Buffer.from(content).toString('utf8')),
  );

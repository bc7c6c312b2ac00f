/**
 * An archive in pieces, as several ConfigMaps in one volume show it: `bundle.tar.gz.000`, `bundle.tar.gz.001` and so on.
 * That the last piece is there only the archive itself can say. Pure.
 */
import { refuseBundle } from './bundle-error.ts';

const PIECE = /^([^/]+\.tar\.gz)\.([0-9]{3,4})$/;

/** Name of the file, or the key, that holds a piece. */
export const pieceFile = (archive: string, index: number): string =>
  `${archive}.${String(index).padStart(3, '0')}`;

/** The archive that a file at the top of a directory is a piece of; null for one that is none. */
export const archiveOfPiece = (path: string): string | null => PIECE.exec(path)?.[1] ?? null;

/**
 * @param paths pieces of one archive, in any order.
 * @returns them in the order of their numbers.
 * @throws BundleRefused `source_ambiguous` unless they are numbered from 000 without a gap.
 */
export function inOrder(archive: string, paths: readonly string[]): readonly string[] {
  const wanted = paths.map((_, index) => pieceFile(archive, index));
  const missing = wanted.find((path) => !paths.includes(path));
  if (missing === undefined) return wanted;
  const found = `pieces of ${archive} without ${missing}`;
  return refuseBundle(
    'source_ambiguous',
    { file: 'bundle' },
    found,
    'pieces from 000 without a gap',
  );
}

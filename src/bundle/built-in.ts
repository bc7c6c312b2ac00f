/**
 * What is installed beside the program: the tool catalogue that every bundle stands on, and the policy library that a
 * policy repository is compiled with. Both are found beside the sources and beside the one-file build.
 * Shell: reads installed files.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Catalogue, mergeCatalogues, parseCatalogue } from '../call/catalogue.ts';

export interface BuiltInCatalogue {
  readonly catalogue: Catalogue;
  /** For the gate: parses the catalogue of a bundle. Bundles usually carry the built-in one as it is. */
  readonly validate: (text: string, file: string) => Catalogue;
  /** The catalogue in force with a bundle: its own entries win. */
  readonly under: (bundle: Catalogue | null) => Catalogue;
}

/** @throws Error when it is not installed. */
export function builtInCatalogue(): BuiltInCatalogue {
  const text = readFileSync(installed('rego/catalogue/tools.yaml'), 'utf8');
  const catalogue = parseCatalogue(text, 'built-in catalogue');
  return {
    catalogue,
    validate: (given, file) => (given === text ? catalogue : parseCatalogue(given, file)),
    under: (bundle) =>
      bundle === null || bundle === catalogue ? catalogue : mergeCatalogues(catalogue, bundle),
  };
}

/** Directory of the policy library, package `egret`. @throws Error when it is not installed. */
export const libraryDirectory = (): string => installed('rego/egret');

function installed(path: string): string {
  const found = [`../../${path}`, `../${path}`]
    .map((relative) => fileURLToPath(new URL(relative, import.meta.url)))
    .find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${path}: not installed beside the program`);
  return found;
}

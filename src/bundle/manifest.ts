/**
 * The `.manifest` of a bundle in OPA's format: revision, roots, entrypoints. Unknown fields are refused, and so are
 * roots that own everything: a bundle says which part of `data` it answers for. Not trusted before the gate is
 * passed. Pure.
 */
import { z } from 'zod';
import type { DialectName } from '../decision/dialect.ts';
import { BundleRefused, bundleError, ERRORS_MAX, refuseBundle } from './bundle-error.ts';

export const MANIFEST_FILE = '.manifest';
export const API_VERSION = 'egret.dev/v1';

const entrypointName = z.string().regex(/^[A-Za-z0-9_.\-/]{1,256}$/);

const manifestSchema = z.strictObject({
  revision: z.string().max(256).default(''),
  roots: z.array(z.string().max(256)).max(64).default(['']),
  wasm: z
    .array(
      z.strictObject({
        entrypoint: entrypointName,
        module: z.string().max(256),
        annotations: z.array(z.unknown()).max(64).optional(),
      }),
    )
    .max(256)
    .default([]),
  rego_version: z.literal([0, 1]).optional(),
  file_rego_versions: z.record(z.string(), z.literal([0, 1])).optional(),
  metadata: z
    .looseObject({
      egret: z
        .looseObject({
          api_version: z.string().optional(),
          self_tests: z.array(entrypointName).max(256).optional(),
          dialect: z.enum(['egret', 'envoy', 'bool']).optional(),
          entrypoint: entrypointName.optional(),
        })
        .optional(),
    })
    .default({}),
});

export interface Manifest {
  /** Empty when the author gave none. */
  readonly revision: string;
  /** Paths without slashes around them; each owns a part of `data`. */
  readonly roots: readonly string[];
  /** Path of the one WebAssembly module. */
  readonly module: string;
  readonly entrypoints: readonly string[];
  /** Entrypoints that must be true on an empty input. */
  readonly selfTests: readonly string[];
  /** The dialect the author says that the policy speaks; null when the manifest says nothing. */
  readonly dialect: DialectName | null;
  /** The rule that decides, likewise. */
  readonly decides: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * @param bytes of `.manifest`; undefined when the bundle has none.
 * @throws BundleRefused `manifest_missing`, `manifest_invalid`, `roots_too_wide`, `api_version_unsupported`,
 *   `entrypoint_missing`, `outside_roots`
 */
export function parseManifest(bytes: Uint8Array | undefined): Manifest {
  const file = MANIFEST_FILE;
  if (bytes === undefined) {
    return refuseBundle('manifest_missing', { file }, 'no such file', 'the manifest of a bundle');
  }
  const parsed = manifestSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) {
    throw new BundleRefused(
      parsed.error.issues
        .slice(0, ERRORS_MAX)
        .map(({ path, message }) =>
          bundleError('manifest_invalid', { file, path: path.join('.') }, 'another shape', message),
        ),
    );
  }
  const { revision, roots, wasm, metadata } = parsed.data;
  const apiVersion = metadata.egret?.api_version ?? API_VERSION;
  if (apiVersion !== API_VERSION) {
    const place = { file, path: 'metadata.egret.api_version' };
    refuseBundle('api_version_unsupported', place, apiVersion, API_VERSION);
  }
  const manifest = {
    revision,
    roots: checkedRoots(roots),
    module: oneModule(wasm.map(({ module }) => module)),
    entrypoints: wasm.map(({ entrypoint }) => entrypoint),
    selfTests: metadata.egret?.self_tests ?? [],
    dialect: metadata.egret?.dialect ?? null,
    decides: metadata.egret?.entrypoint ?? null,
    metadata,
  };
  checkEntrypoints(manifest);
  return manifest;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return refuseBundle(
      'manifest_invalid',
      { file: MANIFEST_FILE },
      'text that is no JSON',
      'JSON',
    );
  }
}

function checkedRoots(roots: readonly string[]): readonly string[] {
  const place = { file: MANIFEST_FILE, path: 'roots' };
  const trimmed = roots.map((root) => root.replace(/^\/+|\/+$/g, ''));
  if (trimmed.length === 0 || trimmed.includes('')) {
    const expected = 'names of the packages and data of this bundle, such as "policies"';
    refuseBundle('roots_too_wide', place, 'the root "" (all of data)', expected);
  }
  for (const [i, a] of trimmed.entries()) {
    const b = trimmed.find((other, j) => i !== j && isInside(a, other));
    if (b === undefined) continue;
    refuseBundle('manifest_invalid', place, `"${a}" inside of "${b}"`, 'roots that do not overlap');
  }
  return trimmed;
}

function oneModule(modules: readonly string[]): string {
  const distinct = [...new Set(modules.map((module) => module.replace(/^\/+/, '')))];
  const [module] = distinct;
  if (distinct.length === 1 && module !== undefined) return module;
  const found = distinct.length === 0 ? 'no WebAssembly module' : distinct.join(', ');
  const place = { file: MANIFEST_FILE, path: 'wasm' };
  return refuseBundle('entrypoint_missing', place, found, 'one module with all entrypoints');
}

function checkEntrypoints({ entrypoints, roots, selfTests }: Manifest): void {
  const file = MANIFEST_FILE;
  const listed = new Set(entrypoints);
  if (listed.size !== entrypoints.length) {
    refuseBundle('manifest_invalid', { file, path: 'wasm' }, 'an entrypoint twice', 'one of each');
  }
  const outside = entrypoints.find((name) => !isInRoots(name, roots));
  if (outside !== undefined) {
    refuseBundle('outside_roots', { file, path: 'wasm' }, outside, `a path in ${roots.join(', ')}`);
  }
  const unlisted = selfTests.find((name) => !listed.has(name));
  if (unlisted === undefined) return;
  const place = { file, path: 'metadata.egret.self_tests' };
  refuseBundle('entrypoint_missing', place, unlisted, 'an entrypoint under wasm');
}

/** Paths are separated by slashes, as in `config/mail`. */
export const isInRoots = (path: string, roots: readonly string[]) =>
  roots.some((root) => isInside(path, root));

const isInside = (path: string, root: string) => path === root || path.startsWith(`${root}/`);

/**
 * Why a bundle is refused: a closed list of machine codes, and where in the bundle what was found instead of what.
 * The codes stand in the status, in metrics and in docs/bundles.md. Pure.
 */

export type BundleErrorCode =
  | 'abi_unsupported'
  | 'api_version_unsupported'
  | 'archive_duplicate'
  | 'archive_entry'
  | 'archive_invalid'
  | 'archive_link'
  | 'archive_path'
  | 'archive_too_large'
  | 'builtin_unknown'
  | 'case_failed'
  | 'case_invalid'
  | 'catalogue_invalid'
  | 'configmap_invalid'
  | 'data_conflict'
  | 'data_invalid'
  | 'data_missing'
  | 'delta_unsupported'
  | 'digest_mismatch'
  | 'empty_input_allowed'
  | 'empty_input_failed'
  | 'entrypoint_missing'
  | 'internal'
  | 'manifest_invalid'
  | 'manifest_missing'
  | 'memory_too_large'
  | 'opinions_differ'
  | 'outside_roots'
  | 'policy_missing'
  | 'roots_too_wide'
  | 'self_test_failed'
  | 'signature_algorithm'
  | 'signature_expired'
  | 'signature_file_changed'
  | 'signature_file_extra'
  | 'signature_file_missing'
  | 'signature_hash'
  | 'signature_invalid'
  | 'signature_key_expired'
  | 'signature_key_unknown'
  | 'signature_malformed'
  | 'signature_missing'
  | 'signature_none'
  | 'signature_scope'
  | 'signature_unverifiable'
  | 'source_ambiguous'
  | 'source_missing'
  | 'source_unreadable'
  | 'source_unstable'
  | 'wasm_invalid'
  | 'wasm_unsupported'
  | 'yaml_policy_invalid';

export interface BundleError {
  readonly code: BundleErrorCode;
  /** File inside the bundle, or the bundle itself. */
  readonly file: string;
  /** Place in the file as a path of keys; empty for the whole file. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  /** All of the above as one sentence. */
  readonly message: string;
}

/** Texts in errors may come out of the bundle, so they are bounded. */
const TEXT_MAX = 300;
/** Problems listed for one bundle. */
export const ERRORS_MAX = 20;

export function bundleError(
  code: BundleErrorCode,
  place: { readonly file: string; readonly path?: string },
  found: string,
  expected: string,
): BundleError {
  const file = shortened(place.file);
  const path = shortened(place.path ?? '');
  const at = path === '' ? file : `${file}: ${path}`;
  const [was, wanted] = [shortened(found), shortened(expected)];
  const message = `${at}: found ${was}, expected ${wanted}`;
  return { code, file, path, found: was, expected: wanted, message };
}

const shortened = (text: string) =>
  text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX).toWellFormed()}…` : text;

/** Thrown by the steps of the gate; `activate` returns its errors. */
export class BundleRefused extends Error {
  readonly errors: readonly BundleError[];
  constructor(errors: readonly BundleError[]) {
    super(errors.map(({ message }) => message).join('\n'));
    this.name = 'BundleRefused';
    this.errors = errors.slice(0, ERRORS_MAX);
  }
}

/** @throws BundleRefused, always. */
export function refuseBundle(...error: Parameters<typeof bundleError>): never {
  throw new BundleRefused([bundleError(...error)]);
}

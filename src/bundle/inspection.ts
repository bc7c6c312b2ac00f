/**
 * What is in a bundle, for a person or a script: revision, roots, entrypoints, builtins, rules, sizes and what its
 * signature claims. Nothing here is a verdict; a bundle that the gate would refuse can be looked at, too. Pure, but for
 * the WebAssembly instance that names the builtins.
 */

import { decodeProtectedHeader } from 'jose/decode/protected_header';
import { decodeJwt } from 'jose/jwt/decode';
import { compilePolicy, PolicyLoadError } from '../decision/opa-wasm.ts';
import type { BundleContent } from './activation.ts';
import { MANIFEST_FILE, parseManifest } from './manifest.ts';
import { type IndexedRule, indexPlan } from './plan-index.ts';
import { SIGNATURES_FILE } from './signature.ts';

export interface SignatureClaims {
  readonly algorithm: string;
  readonly key_id: string | null;
  readonly scope: string;
  /** RFC 3339; null when it never ends. */
  readonly expires: string | null;
  readonly files: number;
}

export interface Inspection {
  readonly digest: string;
  readonly revision: string;
  readonly roots: readonly string[];
  readonly entrypoints: readonly string[];
  readonly self_tests: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Host builtins the module needs, or why that cannot be said. */
  readonly builtins: readonly string[];
  readonly policy_problem: string | null;
  readonly rules: readonly IndexedRule[];
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** Null when there is none. Claims only: `verify` checks them. */
  readonly signature: SignatureClaims | null;
}

/** @throws BundleRefused when there is no manifest that can be read. */
export function inspectBundle({ files, digest }: BundleContent): Inspection {
  const manifest = parseManifest(files.get(MANIFEST_FILE));
  const { revision, roots, entrypoints, selfTests, metadata } = manifest;
  const plan = files.get('plan.json');
  return {
    digest,
    revision,
    roots,
    entrypoints,
    self_tests: selfTests,
    metadata,
    ...builtinsOf(files.get(manifest.module)),
    rules: plan === undefined ? [] : (indexPlan(plan)?.rules ?? []),
    files: [...files].map(([path, { length }]) => ({ path, bytes: length })),
    signature: claimsOf(files.get(SIGNATURES_FILE)),
  };
}

function builtinsOf(wasm: Uint8Array | undefined) {
  if (wasm === undefined) return { builtins: [], policy_problem: 'no compiled policy' };
  try {
    return { builtins: compilePolicy(wasm, '{}').builtins, policy_problem: null };
  } catch (error) {
    if (!(error instanceof PolicyLoadError)) throw error;
    return { builtins: [], policy_problem: `${error.code}: ${error.message}` };
  }
}

function claimsOf(bytes: Uint8Array | undefined): SignatureClaims | null {
  if (bytes === undefined) return null;
  try {
    const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as { signatures: [string] };
    const [token] = document.signatures;
    const { alg, kid } = decodeProtectedHeader(token);
    const { exp, ...claims } = decodeJwt(token);
    const { scope, files } = claims as { scope?: unknown; files?: unknown };
    return {
      algorithm: String(alg),
      key_id: typeof kid === 'string' ? kid : null,
      scope: typeof scope === 'string' ? scope : '',
      expires: exp === undefined ? null : new Date(exp * 1000).toISOString(),
      files: Array.isArray(files) ? files.length : 0,
    };
  } catch {
    return { algorithm: 'unreadable', key_id: null, scope: '', expires: null, files: 0 };
  }
}

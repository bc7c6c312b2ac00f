/**
 * Which dialect a bundle speaks and which rule decides: the operator's word first, then the manifest's, then the
 * default. Pure.
 */
import { type Dialect, type DialectName, dialectOf } from '../decision/dialect.ts';
import { DECISION_ENTRYPOINT } from '../decision/opa-wasm.ts';
import { refuseBundle } from './bundle-error.ts';
import { MANIFEST_FILE, type Manifest } from './manifest.ts';

export interface DialectChoice {
  readonly dialect?: DialectName | undefined;
  readonly entrypoint?: string | undefined;
}

/** Yes or no has no customary name. */
const CUSTOMARY = {
  egret: DECISION_ENTRYPOINT,
  envoy: 'envoy/authz/allow',
  bool: undefined,
} as const satisfies Record<DialectName, string | undefined>;

/** @throws BundleRefused `entrypoint_missing` when nobody says which rule decides. */
export function chosenDialect(manifest: Manifest, configured: DialectChoice): Dialect {
  const name = configured.dialect ?? manifest.dialect ?? 'egret';
  const entrypoint = configured.entrypoint ?? manifest.decides ?? CUSTOMARY[name];
  if (entrypoint !== undefined) return dialectOf(name, entrypoint);
  const place = { file: MANIFEST_FILE, path: 'metadata.egret.entrypoint' };
  return refuseBundle(
    'entrypoint_missing',
    place,
    'none',
    `the rule that decides (dialect ${name})`,
  );
}

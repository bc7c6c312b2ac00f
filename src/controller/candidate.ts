/**
 * The candidate of a policy set: the pieces that the bundle ConfigMaps hold, put together and passed through the same
 * gate that sidecars use, so that a bad bundle never reaches a pod. Pure, but for the instances the gate makes.
 */
import { createHash } from 'node:crypto';
import { activate } from '../bundle/activation.ts';
import { readArchive } from '../bundle/archive.ts';
import { builtInCatalogue } from '../bundle/built-in.ts';
import { BundleRefused } from '../bundle/bundle-error.ts';
import { joinObjects } from '../bundle/configmap.ts';
import { type Verification, verifySignature } from '../bundle/signature.ts';

/** A ConfigMap as far as bundles are concerned. */
export interface BundleMap {
  readonly metadata: { readonly name: string };
}

export interface GateOptions {
  readonly set: string;
  readonly nowMs: number;
  readonly verification: Verification | undefined;
  readonly policyMemoryBytesMax: number;
  /** Any other digest is refused. */
  readonly expectedDigest: string | undefined;
}

export type Gated =
  | { readonly ok: true; readonly digest: string; readonly revision: string }
  | { readonly ok: false; readonly digest: string; readonly errors: readonly string[] };

export type Joined =
  | { readonly status: 'missing' }
  | { readonly status: 'broken'; readonly digest: string; readonly errors: readonly string[] }
  | { readonly status: 'joined'; readonly digest: string; readonly archive: Uint8Array };

/**
 * @param maps every bundle ConfigMap of the set, the current piece or pieces among them.
 * @param name as `candidate.bundle` of the set says it.
 */
export function joinedBundle(maps: readonly BundleMap[], name: string): Joined {
  const pieces = maps.filter(
    ({ metadata }) => metadata.name === name || isPieceOf(metadata.name, name),
  );
  const single = pieces.find(({ metadata }) => metadata.name === name);
  const chosen = single === undefined ? pieces : [single];
  if (chosen.length === 0) return { status: 'missing' };
  try {
    const objects = chosen.map((map) => ({ ...map, kind: 'ConfigMap' }));
    const archive = joinObjects(objects, `ConfigMap ${name}`);
    return { status: 'joined', digest: digestOf(archive), archive };
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    // Half-applied pieces look like this too; the digest names this very state of them.
    const digest = digestOf(Buffer.from(JSON.stringify(chosen)));
    return { status: 'broken', digest, errors: messagesOf(error) };
  }
}

const isPieceOf = (piece: string, name: string) =>
  piece.startsWith(`${name}-`) && /^[0-9]{1,4}$/.test(piece.slice(name.length + 1));

/** The gate, and nothing kept of what passed it. */
export async function passGate(archive: Uint8Array, options: GateOptions): Promise<Gated> {
  const digest = digestOf(archive);
  try {
    const content = { files: readArchive(archive, 'bundle.tar.gz'), digest };
    const { verification, nowMs, set, expectedDigest, policyMemoryBytesMax } = options;
    const signature =
      verification === undefined ? undefined : await verifySignature(content, verification, nowMs);
    const activation = activate(content, {
      set,
      nowMs,
      signature,
      signatureRequired: verification?.required ?? false,
      ...(expectedDigest === undefined ? {} : { expectedDigest }),
      validateCatalogue: builtInCatalogue().validate,
      compile: { limits: { memoryBytesMax: policyMemoryBytesMax } },
    });
    if (!activation.ok) return { ok: false, digest, errors: activation.errors.map(textOf) };
    activation.revision.engine.close();
    return { ok: true, digest, revision: activation.revision.ref.revision };
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    return { ok: false, digest, errors: messagesOf(error) };
  }
}

const messagesOf = (error: BundleRefused) => error.errors.map(textOf);
const textOf = ({ code, message }: { code: string; message: string }) => `${code}: ${message}`;
const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

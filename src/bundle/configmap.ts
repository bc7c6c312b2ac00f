/**
 * A bundle as Kubernetes ConfigMaps, and back. The archive goes into `binaryData`, in as many objects as its size needs;
 * annotations of the group egret.dev say which piece each is, and of what. Pieces are put together only when all of them
 * are there and give the digest that each of them names. Pure.
 */
import { createHash } from 'node:crypto';
import { parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import { pieceFile } from './archive-pieces.ts';
import { refuseBundle } from './bundle-error.ts';

/**
 * Base64 of this much and a second copy of it fit into the annotation that a client-side `kubectl apply` leaves behind
 * (256 KiB for all annotations), so the result can be applied in every way.
 */
export const CHUNK_BYTES_DEFAULT = 180_000;
/** Base64 of this is below the 1 MiB that an object may have; needs `kubectl apply --server-side`. */
export const CHUNK_BYTES_MAX = 700_000;
export const BUNDLE_KEY = 'bundle.tar.gz';
const GROUP = 'egret.dev';

export interface ConfigMapOptions {
  /** Name of the ConfigMap; with several pieces `-0`, `-1` … follow. A DNS subdomain of at most 240 characters. */
  readonly name: string;
  /** The policy set that the label names. Default: the name, as far as a label holds it. */
  readonly set?: string;
  /** Null leaves it to whoever applies. */
  readonly namespace: string | null;
  readonly revision: string;
  readonly chunkBytes: number;
  /** Objects that cannot be changed afterwards. */
  readonly immutable: boolean;
}

/** A bundle ConfigMap as the Kubernetes API takes it. */
export interface BundleObject {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap';
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly immutable?: true;
  readonly binaryData: Readonly<Record<string, string>>;
}

/** @returns YAML documents, one per piece. */
export const renderConfigMaps = (archive: Uint8Array, options: ConfigMapOptions): string =>
  bundleObjects(archive, options)
    // One line per piece: base64 folded by YAML would be read back, but nobody could compare it.
    .map((document) => `---\n${stringify(document, { lineWidth: 0 })}`)
    .join('');

/** @returns one object per piece, in order. */
export function bundleObjects(archive: Uint8Array, options: ConfigMapOptions): BundleObject[] {
  const count = Math.max(1, Math.ceil(archive.length / options.chunkBytes));
  const digest = digestOf(archive);
  return Array.from({ length: count }, (_, index) => {
    const start = index * options.chunkBytes;
    const piece = archive.subarray(start, start + options.chunkBytes);
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: pieceName(options.name, index, count),
        ...(options.namespace === null ? {} : { namespace: options.namespace }),
        labels: { [`${GROUP}/bundle`]: options.set ?? labelOf(options.name) },
        annotations: {
          [`${GROUP}/bundle-digest`]: digest,
          [`${GROUP}/bundle-revision`]: options.revision,
          [`${GROUP}/bundle-chunk`]: String(index),
          [`${GROUP}/bundle-chunks`]: String(count),
        },
      },
      ...(options.immutable ? { immutable: true } : {}),
      binaryData: { [keyOf(index, count)]: Buffer.from(piece).toString('base64') },
    };
  });
}

/** Name of the object that holds a piece. */
export const pieceName = (name: string, index: number, count: number): string =>
  count === 1 ? name : `${name}-${index}`;

/** A label holds less than a name. */
const labelOf = (name: string) => name.slice(0, 63).replace(/[^a-z0-9]+$/, '');

const keyOf = (index: number, count: number) =>
  count === 1 ? BUNDLE_KEY : pieceFile(BUNDLE_KEY, index);

const digestOf = (archive: Uint8Array) =>
  `sha256:${createHash('sha256').update(archive).digest('hex')}`;

const count = z.string().regex(/^[0-9]{1,4}$/);
const pieceSchema = z.looseObject({
  kind: z.literal('ConfigMap'),
  metadata: z.looseObject({
    annotations: z.looseObject({
      [`${GROUP}/bundle-digest`]: z.string(),
      [`${GROUP}/bundle-chunk`]: count,
      [`${GROUP}/bundle-chunks`]: count,
    }),
  }),
  binaryData: z.record(z.string(), z.base64()),
});

interface Piece {
  readonly digest: string;
  readonly index: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/**
 * @param text YAML documents; those that are no pieces of a bundle are passed over.
 * @returns the archive.
 * @throws BundleRefused `configmap_invalid`, `digest_mismatch`
 */
export function readConfigMaps(text: string, file: string): Uint8Array {
  const documents = [...parseAllDocuments(text, { logLevel: 'error' })];
  if (documents.some(({ errors }) => errors.length > 0)) {
    refuseBundle('configmap_invalid', { file }, 'broken YAML', 'ConfigMaps');
  }
  return joinObjects(
    documents.map((document) => document.toJS({ maxAliasCount: 0 }) as unknown),
    file,
  );
}

/** As `readConfigMaps`, on objects of the Kubernetes API. */
export function joinObjects(objects: readonly unknown[], file: string): Uint8Array {
  const refuse = (found: string, expected: string) =>
    refuseBundle('configmap_invalid', { file }, found, expected);
  const pieces = objects.flatMap(pieceOf);
  const [first] = pieces;
  if (first === undefined) return refuse('no piece of a bundle', 'ConfigMaps with a bundle');
  if (pieces.some((piece) => piece.digest !== first.digest || piece.count !== first.count)) {
    return refuse('pieces of several bundles', 'those of one bundle');
  }
  const parts = Array.from({ length: first.count }, (_, index) => {
    const [piece, second] = pieces.filter((one) => one.index === index);
    if (piece === undefined) return refuse(`no piece ${index}`, `${first.count} pieces`);
    if (second !== undefined) return refuse(`piece ${index} twice`, 'each piece once');
    return piece.bytes;
  });
  const archive = Buffer.concat(parts);
  const digest = digestOf(archive);
  if (digest === first.digest) return archive;
  return refuseBundle('digest_mismatch', { file }, digest, first.digest);
}

function pieceOf(value: unknown): Piece[] {
  const parsed = pieceSchema.safeParse(value);
  if (!parsed.success) return [];
  const { metadata, binaryData } = parsed.data;
  const note = (name: string) => String(metadata.annotations[`${GROUP}/${name}`]);
  const entry = Object.entries(binaryData).find(([key]) => key.startsWith(BUNDLE_KEY));
  if (entry === undefined) return [];
  return [
    {
      digest: note('bundle-digest'),
      index: Number(note('bundle-chunk')),
      count: Number(note('bundle-chunks')),
      bytes: Buffer.from(entry[1], 'base64'),
    },
  ];
}

/**
 * Objects of the Kubernetes API, as far as every reader of them agrees, and where they are. Fields besides the metadata
 * are unknown until somebody checks them. Pure.
 */
import { ownError } from './api-error.ts';

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly unknown[];
  readonly [field: string]: unknown;
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** As the API server gave it. */
export interface ReadObject extends KubeObject {
  readonly metadata: ObjectMeta & { readonly resourceVersion: string };
}

export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly kind: string;
}

export const CONFIG_MAPS: Resource = resource('', 'v1', 'configmaps', 'ConfigMap');
export const LEASES: Resource = resource('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const TOKEN_REVIEWS: Resource = resource(
  'authentication.k8s.io',
  'v1',
  'tokenreviews',
  'TokenReview',
);
export const EVENTS: Resource = resource('', 'v1', 'events', 'Event');

function resource(group: string, version: string, plural: string, kind: string): Resource {
  return { group, version, resource: plural, kind };
}

export interface Place {
  /** Null for objects of the whole cluster. */
  readonly namespace: string | null;
  readonly name: string;
}

/** Which objects of a namespace; at most one of the two is usual. */
export interface Selection {
  /** By name: the form that a role on this name alone allows. */
  readonly name?: string;
  readonly labelSelector?: string;
}

export const apiVersionOf = ({ group, version }: Resource): string =>
  group === '' ? version : `${group}/${version}`;

export function pathOf(of: Resource, namespace: string | null, name?: string): string {
  const root = of.group === '' ? `/api/${of.version}` : `/apis/${of.group}/${of.version}`;
  const within = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const one = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${within}/${of.resource}${one}`;
}

export function selectionQuery({ name, labelSelector }: Selection): Record<string, string> {
  return {
    ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

/** @throws ApiError `Malformed` when it has no name or no version. */
export function readObject(given: unknown): ReadObject {
  const { metadata } = (given ?? {}) as {
    metadata?: { name?: unknown; resourceVersion?: unknown };
  };
  if (typeof metadata?.name === 'string' && isVersion(metadata.resourceVersion)) {
    return given as ReadObject;
  }
  throw ownError('Malformed', 'the API server sent an object without a name or version');
}

export const isVersion = (given: unknown): given is string =>
  typeof given === 'string' && given !== '' && given.length <= 64;

/** Versions grow, and are numbers in every server there is; null where they are not. */
export function notOlder(version: string, than: string): boolean | null {
  if (!/^\d{1,20}$/.test(version) || !/^\d{1,20}$/.test(than)) return null;
  return BigInt(version) >= BigInt(than);
}

/**
 * The rules of a reflector without its input and output: what a line of a watch means, what the view is after it, and
 * what to do after a failure. Pure.
 */
import { ApiError, ownError, statusIn } from './api-error.ts';
import { isVersion, type ReadObject, readObject } from './object.ts';

export type WatchStep =
  | { readonly kind: 'set'; readonly object: ReadObject }
  | { readonly kind: 'removed'; readonly object: ReadObject }
  /** Nothing changed up to here. */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string };

/** @throws ApiError for what the server says instead of an event, and for what is no event. */
export function parseStep(line: string): WatchStep {
  const { type, object } = parsed(line);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'set', object: readObject(object) };
    case 'DELETED':
      return { kind: 'removed', object: readObject(object) };
    case 'BOOKMARK':
      return { kind: 'bookmark', resourceVersion: versionOf(object) };
    case 'ERROR': {
      const { code, reason, message, retryAfterMs } = statusIn(object);
      throw new ApiError({ status: code, reason, message, retryAfterMs });
    }
    default:
      throw ownError('Malformed', 'the API server sent an event of an unknown type');
  }
}

/** Newest object by name. */
export type View = ReadonlyMap<string, ReadObject>;

export const viewOf = (items: readonly ReadObject[]): View =>
  new Map(items.map((object) => [object.metadata.name, object]));

export function folded(view: View, step: WatchStep): View {
  switch (step.kind) {
    case 'bookmark':
      return view;
    case 'set': {
      const { name, resourceVersion } = step.object.metadata;
      if (view.get(name)?.metadata.resourceVersion === resourceVersion) return view;
      return new Map([...view, [name, step.object]]);
    }
    case 'removed': {
      if (!view.has(step.object.metadata.name)) return view;
      const next = new Map(view);
      next.delete(step.object.metadata.name);
      return next;
    }
  }
}

export const versionAfter = (step: WatchStep): string =>
  step.kind === 'bookmark' ? step.resourceVersion : step.object.metadata.resourceVersion;

/** Names that two views do not agree about. */
export function differences(a: View, b: View): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter(
    (name) => a.get(name)?.metadata.resourceVersion !== b.get(name)?.metadata.resourceVersion,
  );
}

export type RelistReason = 'start' | 'gone' | 'unreadable' | 'drift' | 'periodic';

export interface Move {
  readonly waitMs: number;
  /** Why everything has to be read again; null goes on from the version that is known. */
  readonly relist: RelistReason | null;
}

const BACKOFF_MS = { from: 1000, to: 30_000 };
const REFUSED_MS = { from: 5000, to: 60_000 };
const RETRY_AFTER_MS_MAX = 300_000;

/**
 * @param streak failures in a row before this one.
 * @param random from 0 to 1.
 */
export function moveAfter(error: ApiError, streak: number, random: number): Move {
  const { status, reason, retryAfterMs } = error;
  if (status === 410 || reason === 'Expired' || reason === 'Gone') {
    // At once, so that nothing is old for longer; from the second time on no storm may come of it.
    return { waitMs: streak === 0 ? 0 : backoffMs(streak - 1, random), relist: 'gone' };
  }
  if (retryAfterMs !== null) {
    const askedMs = Math.min(retryAfterMs, RETRY_AFTER_MS_MAX);
    // All were told the same: spread over a quarter of it, so that they do not come back together.
    return { waitMs: Math.round(askedMs * (1 + random / 4)), relist: null };
  }
  if (status === 401 || status === 403 || status === 404) {
    return { waitMs: between(REFUSED_MS, streak, random), relist: null };
  }
  if (status === 0 && reason !== 'Unreachable') {
    // Going on would bring the same line again.
    return { waitMs: between(REFUSED_MS, streak, random), relist: 'unreadable' };
  }
  return { waitMs: backoffMs(streak, random), relist: null };
}

/** Anywhere from one second to a bound that doubles up to 30 seconds. */
export const backoffMs = (streak: number, random: number): number =>
  between(BACKOFF_MS, streak, random);

function between({ from, to }: typeof BACKOFF_MS, streak: number, random: number): number {
  const bound = Math.min(to, from * 2 ** Math.min(streak + 1, 10));
  return Math.round(from + (bound - from) * random);
}

function parsed(line: string): { readonly type?: unknown; readonly object?: unknown } {
  try {
    return (JSON.parse(line) ?? {}) as object;
  } catch (error) {
    throw ownError('Malformed', 'the API server sent a line that is not JSON', error);
  }
}

function versionOf(object: unknown): string {
  const { metadata } = (object ?? {}) as { metadata?: { resourceVersion?: unknown } };
  if (isVersion(metadata?.resourceVersion)) return metadata.resourceVersion;
  throw ownError('Malformed', 'the API server sent a bookmark without a version');
}

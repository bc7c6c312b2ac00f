/** Selectors, pages and bodies of requests to a fake API server. Shell: reads requests. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { KubeObject } from '../../src/kubernetes/object.ts';
import {
  type Collection,
  type FakeStore,
  type Matches,
  Refusal,
  type WriteOptions,
} from './fake-store.ts';

type Query = Readonly<Record<string, string>>;

/** Only what is used: `metadata.name=x`, `involvedObject.name=x`; `a=b`, `a`, `!a`, joined by commas. */
export function matcher({ fieldSelector, labelSelector }: Query): Matches {
  const [, path, name] = /^(metadata|involvedObject)\.name=(.+)$/.exec(fieldSelector ?? '') ?? [];
  if (fieldSelector !== undefined && name === undefined) {
    throw new Refusal(400, 'BadRequest', `field selector ${fieldSelector}`);
  }
  const terms = (labelSelector ?? '').split(',').filter(Boolean);
  return (object) =>
    (path === undefined || (object[path] as { name?: unknown } | undefined)?.name === name) &&
    terms.every((term) => hasLabel(object.metadata.labels ?? {}, term));
}

function hasLabel(labels: Readonly<Record<string, string>>, term: string): boolean {
  if (term.startsWith('!')) return !(term.slice(1) in labels);
  const [key = '', value] = term.split(/==?/);
  return value === undefined ? key in labels : labels[key] === value;
}

interface Kept {
  readonly store: FakeStore;
  /** The rest of lists that were begun, as they were then. */
  readonly pages: Map<string, { items: readonly KubeObject[]; version: string }>;
}

export function answerList(kept: Kept, collection: Collection, query: Query, matches: Matches) {
  const { store, pages } = kept;
  const token = query['continue'] ?? '';
  const begun = token === '' ? null : pages.get(token);
  if (begun === undefined || (begun !== null && store.isCompacted(begun.version))) {
    throw new Refusal(410, 'Expired', 'The provided continue parameter is too old');
  }
  const all = begun?.items ?? store.list(collection, matches);
  const version = begun?.version ?? store.version;
  // What is answered from memory is answered whole.
  const limit =
    query['resourceVersion'] === '0' ? all.length : Number(query['limit'] ?? all.length);
  const items = all.slice(0, limit || all.length);
  const rest = all.slice(items.length);
  const more = rest.length === 0 ? '' : randomUUID();
  if (more !== '') pages.set(more, { items: rest, version });
  return {
    kind: 'List',
    apiVersion: 'v1',
    metadata: { resourceVersion: version, continue: more },
    items,
  };
}

export async function readBody(request: IncomingMessage): Promise<KubeObject> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  return (text === '' ? {} : JSON.parse(text)) as KubeObject;
}

interface Write {
  readonly method: string;
  readonly collection: Collection;
  readonly name: string | null;
  readonly query: Query;
  readonly contentType: string;
  readonly body: KubeObject;
}

export function write(store: FakeStore, given: Write): { status: number; object: unknown } {
  const { method, collection, name, query, body } = given;
  const how = { manager: query['fieldManager'] ?? 'somebody', force: query['force'] === 'true' };
  if (method === 'POST' && name === null) {
    return { status: 201, object: store.create(collection, body, how) };
  }
  if (name === null) throw new Refusal(405, 'MethodNotAllowed', method);
  switch (method) {
    case 'PUT':
      return { status: 200, object: store.replace(collection, name, body, how) };
    case 'DELETE': {
      store.remove(collection, name, preconditionOf(body));
      return { status: 200, object: { kind: 'Status', apiVersion: 'v1', status: 'Success' } };
    }
    case 'PATCH':
      return patch(store, given, name, how);
    default:
      throw new Refusal(405, 'MethodNotAllowed', method);
  }
}

const preconditionOf = (options: object) =>
  (options as { preconditions?: { resourceVersion?: string } }).preconditions?.resourceVersion;

function patch(store: FakeStore, given: Write, name: string, how: WriteOptions) {
  const { collection, contentType, body } = given;
  if (contentType === 'application/merge-patch+json') {
    return { status: 200, object: store.mergePatch(collection, name, body, how) };
  }
  if (contentType !== 'application/apply-patch+yaml') {
    throw new Refusal(415, 'UnsupportedMediaType', contentType);
  }
  const { object, created } = store.apply(collection, name, body, how);
  return { status: created ? 201 : 200, object };
}

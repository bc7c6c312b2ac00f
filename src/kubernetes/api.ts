/**
 * A small client of the Kubernetes API: one request, one answer, each with a deadline and a bound. Whoever writes brings
 * the resourceVersion that was read, so nothing that somebody else wrote meanwhile is lost. Answers are JSON that only
 * its reader understands. Shell: sends requests over a connection that is given.
 */
import { ownError } from './api-error.ts';
import { type ApiRequest, type Connection, readText } from './connection.ts';
import {
  apiVersionOf,
  isVersion,
  type KubeObject,
  type Place,
  pathOf,
  type ReadObject,
  type Resource,
  readObject,
  type Selection,
  selectionQuery,
} from './object.ts';

export interface ApiOptions {
  /** Milliseconds for a request without a signal of its own. Default 15000. */
  readonly timeoutMs?: number;
  /** Bytes of one answer. Default 32 MiB: a page of the largest objects that the API server stores. */
  readonly answerBytesMax?: number;
  /** Objects of a list. Default 1000. */
  readonly objectsMax?: number;
}

export interface Listed {
  readonly items: readonly ReadObject[];
  readonly resourceVersion: string;
}

export interface ListOptions extends Selection {
  /** `0` takes what the server remembers, without asking its store. Default: the newest there is. */
  readonly resourceVersion?: string;
  /** Replaces the timeout. */
  readonly signal?: AbortSignal;
}

export interface Applied {
  readonly fieldManager: string;
  /** Takes fields over from others. */
  readonly force: boolean;
}

/** Every function rejects with ApiError. */
export interface Api {
  /** @returns null when there is none. */
  get(of: Resource, at: Place): Promise<ReadObject | null>;
  list(of: Resource, namespace: string | null, options?: ListOptions): Promise<Listed>;
  /** Conflict 409 `AlreadyExists` when there is one. */
  create(of: Resource, namespace: string | null, object: KubeObject): Promise<ReadObject>;
  /** Conflict 409 when it changed since. */
  replace(of: Resource, at: Place, object: ReadObject): Promise<ReadObject>;
  /** Guarded when the patch has `metadata.resourceVersion`. */
  mergePatch(of: Resource, at: Place, patch: object): Promise<ReadObject>;
  apply(of: Resource, at: Place, object: object, how: Applied): Promise<ReadObject>;
  /** A question in the form of an object that is not stored, such as a TokenReview. @returns the answer, unread. */
  ask(of: Resource, object: object): Promise<unknown>;
  /** @param resourceVersion deletes only this version. @returns false when it was gone already. */
  remove(of: Resource, at: Place, resourceVersion?: string): Promise<boolean>;
}

/** Objects may have 1.5 MiB and JSON may say a byte in six. */
const PAGE_OBJECTS = 20;
const MiB = 1024 * 1024;
const MERGE_TYPE = 'application/merge-patch+json';
const APPLY_TYPE = 'application/apply-patch+yaml';

export function createApi(connection: Connection, options: ApiOptions = {}): Api {
  const { timeoutMs = 15_000, answerBytesMax = 32 * MiB, objectsMax = 1000 } = options;
  const send = async (request: Omit<ApiRequest, 'signal'>, signal?: AbortSignal) => {
    const body = await connection.send({
      ...request,
      signal: signal ?? AbortSignal.timeout(timeoutMs),
    });
    return parsed(await readText(body, answerBytesMax));
  };
  const sendObject = async (request: Omit<ApiRequest, 'signal'>) => readObject(await send(request));
  const pathAt = (of: Resource, at: Place) => pathOf(of, at.namespace, at.name);
  return {
    get: (of, at) => orNull(sendObject({ method: 'GET', path: pathAt(of, at) })),
    async list(of, namespace, given = {}) {
      const items: ReadObject[] = [];
      for (let more = ''; ; ) {
        const query = { ...selectionQuery(given), ...pageQuery(given, more) };
        const path = pathOf(of, namespace);
        const page = pageFrom(await send({ method: 'GET', path, query }, given.signal), of);
        items.push(...page.items);
        if (items.length > objectsMax) {
          throw ownError('TooMany', `${of.resource}: more than ${objectsMax} objects`);
        }
        more = page.more;
        if (more === '') return { items, resourceVersion: page.resourceVersion };
      }
    },
    create: (of, namespace, object) =>
      sendObject({ method: 'POST', path: pathOf(of, namespace), body: typed(of, object) }),
    replace: (of, at, object) =>
      sendObject({ method: 'PUT', path: pathAt(of, at), body: typed(of, guarded(object)) }),
    mergePatch: (of, at, body) =>
      sendObject({ method: 'PATCH', path: pathAt(of, at), body, contentType: MERGE_TYPE }),
    apply: (of, at, object, { fieldManager, force }) =>
      sendObject({
        method: 'PATCH',
        path: pathAt(of, at),
        query: { fieldManager, force: String(force) },
        body: typed(of, { ...object, metadata: { ...metadataOf(object), name: at.name } }),
        contentType: APPLY_TYPE,
      }),
    ask: (of, object) => send({ method: 'POST', path: pathOf(of, null), body: typed(of, object) }),
    async remove(of, at, resourceVersion) {
      const preconditions = resourceVersion === undefined ? {} : { resourceVersion };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
      const sent = send({ method: 'DELETE', path: pathAt(of, at), body });
      return (await orNull(sent.then(() => true))) ?? false;
    },
  };
}

const typed = (of: Resource, object: object) => ({
  apiVersion: apiVersionOf(of),
  kind: of.kind,
  ...object,
});

const metadataOf = (object: object) => (object as { metadata?: object }).metadata ?? {};

/** Without a version a PUT overwrites whatever is there. */
function guarded(object: ReadObject): ReadObject {
  if (isVersion(object.metadata.resourceVersion)) return object;
  throw new Error('a write without the version that was read');
}

function pageQuery({ resourceVersion }: ListOptions, more: string): Record<string, string> {
  const limit = String(PAGE_OBJECTS);
  if (more !== '') return { limit, continue: more };
  return { limit, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
}

function pageFrom(given: unknown, of: Resource): Listed & { readonly more: string } {
  const { metadata, items } = (given ?? {}) as {
    metadata?: { resourceVersion?: unknown; continue?: unknown };
    items?: unknown;
  };
  const { resourceVersion, continue: more = '' } = metadata ?? {};
  const isList = Array.isArray(items) || items === null;
  if (!isList || !isVersion(resourceVersion) || typeof more !== 'string') {
    throw ownError('Malformed', `${of.resource}: expected a list with a version`);
  }
  return { items: (items ?? []).map(readObject), resourceVersion, more };
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if ((error as { status?: number }).status === 404) return null;
    throw error;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw ownError('Malformed', 'the API server sent something that is not JSON', error);
  }
}

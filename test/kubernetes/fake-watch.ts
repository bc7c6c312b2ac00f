/**
 * Open watches of a fake API server: events, bookmarks, their end, and the ways in which they break. Shell: owns the
 * responses that are still open.
 */
import type { ServerResponse } from 'node:http';
import type { Collection, FakeEvent, FakeStore } from './fake-store.ts';
import { Refusal } from './fake-store.ts';
import { matcher } from './fake-wire.ts';

interface OpenWatch {
  readonly response: ServerResponse;
  readonly bookmarks: boolean;
  readonly kind: string;
  readonly apiVersion: string;
  end(): void;
}

export class FakeWatches {
  readonly #store: FakeStore;
  readonly #open = new Set<OpenWatch>();
  /** Watches say nothing from now on, and do not end. */
  silent = false;
  /** How a version that is too old is refused: both occur. */
  goneIn: 'stream' | 'answer' = 'stream';

  constructor(store: FakeStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#open.size;
  }

  open(collection: Collection, query: Readonly<Record<string, string>>, response: ServerResponse) {
    const since = query['resourceVersion'] ?? '0';
    const expired = since !== '0' && this.#store.isCompacted(since);
    if (expired && this.goneIn === 'answer') {
      throw new Refusal(410, 'Expired', `too old resource version: ${since}`);
    }
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    response.flushHeaders();
    if (expired) return void response.end(goneLine(since));
    const matches = matcher(query);
    const stopTimer = after(Number(query['timeoutSeconds'] ?? 1800), () => watch.end());
    const send = (event: FakeEvent) => this.#write(watch, event.type, event.object);
    const watch: OpenWatch = {
      response,
      bookmarks: query['allowWatchBookmarks'] === 'true',
      ...namesOf(collection),
      end: () => response.end(),
    };
    this.#open.add(watch);
    const stop = this.#store.watch(collection, since, matches, send);
    response.on('close', () => {
      stop();
      stopTimer();
      this.#open.delete(watch);
    });
  }

  /** To all, as it happens about once a minute. */
  bookmark(): void {
    for (const watch of this.#open) this.#bookmark(watch);
  }

  /** In order, as after timeoutSeconds. */
  end(): void {
    for (const watch of this.#open) watch.end();
  }

  /** In the middle of a line, and of the connection. */
  cut(): void {
    for (const { response } of this.#open) {
      response.write('{"type":"MODIFIED","object":{"kind":"Conf', () => response.destroy());
    }
  }

  /** Any text, as something on the way might write it. */
  say(text: string): void {
    for (const { response } of this.#open) response.write(text);
  }

  #bookmark(watch: OpenWatch): void {
    if (!watch.bookmarks) return;
    const { kind, apiVersion } = watch;
    const metadata = { resourceVersion: this.#store.version, creationTimestamp: null };
    this.#write(watch, 'BOOKMARK', { kind, apiVersion, metadata });
  }

  #write({ response }: OpenWatch, type: string, object: unknown): void {
    if (!this.silent) response.write(`${JSON.stringify({ type, object })}\n`);
  }
}

const goneLine = (version: string) => {
  const message = `too old resource version: ${version}`;
  const object = { kind: 'Status', status: 'Failure', code: 410, reason: 'Expired', message };
  return `${JSON.stringify({ type: 'ERROR', object })}\n`;
};

function after(seconds: number, then: () => void): () => void {
  const timer = setTimeout(then, seconds * 1000);
  timer.unref();
  return () => clearTimeout(timer);
}

function namesOf(collection: Collection): { kind: string; apiVersion: string } {
  const version = /^\/apis?\/(.*?)\/(namespaces\/|[^/]+$)/.exec(collection)?.[1] ?? 'v1';
  const kinds: Record<string, string> = { configmaps: 'ConfigMap', leases: 'Lease' };
  return { kind: kinds[collection.split('/').at(-1) ?? ''] ?? 'Event', apiVersion: version };
}

/**
 * One bundle from an HTTP server, as OPA fetches bundles: GET with `If-None-Match`, polled with some spread. It knows of
 * no rollouts. Never stops after an error. Shell: owns one loop.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ARCHIVE_LIMITS, readArchive } from '../bundle/archive.ts';
import { BundleRefused, bundleError } from '../bundle/bundle-error.ts';
import { firstWord } from './first-word.ts';
import type { HttpsClient } from './https-client.ts';
import type { PolicySource, SourceListener } from './policy-source.ts';

export interface HttpSourceOptions {
  readonly client: HttpsClient;
  readonly listener: SourceListener;
  readonly pollMs: number;
  /** From 0 to 1. Default Math.random. */
  readonly random?: () => number;
}

const TIMEOUT_MS = 60_000;

export function openHttpSource(options: HttpSourceOptions): PolicySource {
  const { client, listener, pollMs, random = Math.random } = options;
  const word = firstWord();
  const stop = new AbortController();
  let etag: string | null = null;
  let problem = '';
  const look = async () => {
    const bytesMax = ARCHIVE_LIMITS.packedBytesMax;
    const answer = await client.ask({ path: '', etag, timeoutMs: TIMEOUT_MS, bytesMax });
    if (answer.status === 304) return listener.onUnchanged();
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    const digest = `sha256:${createHash('sha256').update(answer.body).digest('hex')}`;
    const content = listener.holds(digest)
      ? null
      : { files: readArchive(answer.body, 'bundle.tar.gz'), digest };
    const stable = { digest, content };
    // A bundle that the gate refused is refused again without another download.
    await listener.onWanted({ stable, candidate: null, directive: null });
    etag = answer.etag;
  };
  const report = (error: unknown) => {
    const errors =
      error instanceof BundleRefused
        ? error.errors
        : [
            bundleError(
              'source_unreadable',
              { file: 'bundle' },
              error instanceof Error ? error.message : 'no answer',
              'a bundle over HTTP',
            ),
          ];
    const text = errors.map(({ message }) => message).join('\n');
    if (text === problem) return;
    problem = text;
    // What was read before is said in full again, because the problem made the listener forget it.
    etag = null;
    listener.onError(errors);
  };
  const run = async () => {
    while (!stop.signal.aborted) {
      try {
        await look();
        problem = '';
      } catch (error) {
        if (!stop.signal.aborted) report(error);
      }
      word.said();
      const ms = pollMs * (0.8 + 0.4 * random());
      await sleep(ms, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
    }
  };
  let loop: Promise<void> = Promise.resolve();
  return {
    start: () => {
      loop = run();
      return word.heard;
    },
    close: async () => {
      stop.abort();
      await client.close();
      await loop;
    },
  };
}

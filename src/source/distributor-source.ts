/**
 * Policy from the distributor of a controller: one request waits for news of the directive, bundles are fetched by
 * digest. The pod needs no rights at the Kubernetes API. Never stops after an error; waits longer after each.
 * Shell: owns one loop.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ARCHIVE_LIMITS } from '../bundle/archive.ts';
import { bundleError } from '../bundle/bundle-error.ts';
import { readDirective } from '../rollout/directive.ts';
import { DirectiveFollower, type FollowerOptions } from './directive-follower.ts';
import { firstWord } from './first-word.ts';
import type { HttpsClient } from './https-client.ts';
import type { PolicySource } from './policy-source.ts';

export interface DistributorSourceOptions extends Omit<FollowerOptions, 'fetch'> {
  readonly set: string;
  readonly client: HttpsClient;
  /** Seconds a request waits for news. Default 50. */
  readonly waitSeconds?: number;
  /** From 0 to 1, for the spread of a fleet. Default Math.random. */
  readonly random?: () => number;
}

const DIRECTIVE_BYTES_MAX = 64 * 1024;
const ANSWER_MS = 10_000;
const BUNDLE_MS = 60_000;
const BACK_OFF_MS = { first: 500, most: 30_000 };

export function openDistributorSource(options: DistributorSourceOptions): PolicySource {
  const { set, client, waitSeconds = 50, random = Math.random } = options;
  const follower = new DirectiveFollower({
    ...options,
    async fetch({ digest }) {
      const path = `/v1/sets/${set}/bundles/${digest}`;
      const bytesMax = ARCHIVE_LIMITS.packedBytesMax;
      const { status, body } = await client.ask({ path, timeoutMs: BUNDLE_MS, bytesMax });
      if (status !== 200) throw new Error(`the distributor answered ${status}`);
      return body;
    },
  });
  const word = firstWord();
  const stop = new AbortController();
  let etag: string | null = null;
  const look = async () => {
    const path = `/v1/sets/${set}/directive?wait=${waitSeconds}`;
    const timeoutMs = waitSeconds * 1000 + ANSWER_MS;
    const answer = await client.ask({ path, etag, timeoutMs, bytesMax: DIRECTIVE_BYTES_MAX });
    if (answer.status === 304) return follower.unchanged();
    const directive =
      answer.status === 200 ? readDirective(Buffer.from(answer.body).toString('utf8')) : null;
    if (directive?.set !== set) throw new Error(`the distributor answered ${answer.status}`);
    await follower.take(directive);
    // What was not put in force is asked for again, after a while.
    if (follower.behind) throw new Error('the newest directive is not in force');
    etag = answer.etag;
  };
  const run = async () => {
    for (let failures = 0; !stop.signal.aborted; ) {
      try {
        await look();
        failures = 0;
        word.said();
      } catch (error) {
        failures += 1;
        word.said();
        if (stop.signal.aborted) return;
        if (follower.generation === -1 || failures > 1) follower.fail([unreadable(error)]);
        const { first, most } = BACK_OFF_MS;
        const ms = Math.min(most, first * 2 ** failures) * (0.5 + random() / 2);
        await sleep(ms, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
      }
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
      await Promise.all([client.close(), follower.close()]);
      await loop;
    },
  };
}

const unreadable = (error: unknown) =>
  bundleError(
    'source_unreadable',
    { file: 'distributor' },
    error instanceof Error ? error.message : 'no answer',
    'a directive of the set',
  );

/**
 * Who a projected token belongs to, as the API server says it (TokenReview). Answers are kept for a short while under a
 * hash of the token, so that a fleet does not ask for every request; a token that was refused is forgotten sooner.
 * Shell: owns that memory.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Bearer } from './distributor.ts';

/** `status` of a TokenReview (authentication.k8s.io/v1). */
const statusSchema = z.object({
  authenticated: z.boolean().default(false),
  audiences: z.array(z.string()).default([]),
  user: z
    .object({
      username: z.string().default(''),
      extra: z.record(z.string(), z.array(z.string())).default({}),
    })
    .prefault({}),
});

export interface TokenOptions {
  readonly audience: string;
  /** `system:serviceaccount:<namespace>:<name>` of the controller itself: its other replicas. */
  readonly peerUser: string | null;
  /** Asks the API server. @returns `status` of the TokenReview. */
  readonly review: (token: string, audience: string) => Promise<unknown>;
  readonly monotonicMs: () => number;
}

const KNOWN_MS = 60_000;
const REFUSED_MS = 5000;
const KEPT_MAX = 20_000;
const POD_UID = 'authentication.kubernetes.io/pod-uid';

export function createTokens(options: TokenOptions): (token: string) => Promise<Bearer | null> {
  const kept = new Map<string, { readonly bearer: Promise<Bearer | null>; untilMs: number }>();
  return (token) => {
    const key = createHash('sha256').update(token).digest('base64');
    const known = kept.get(key);
    const nowMs = options.monotonicMs();
    if (known !== undefined && nowMs < known.untilMs) return known.bearer;
    const bearer = options
      .review(token, options.audience)
      .then((status) => bearerOf(status, options));
    const entry = { bearer, untilMs: nowMs + KNOWN_MS };
    kept.delete(key);
    kept.set(key, entry);
    if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value as string);
    bearer.then(
      (found) => {
        if (found === null) entry.untilMs = options.monotonicMs() + REFUSED_MS;
      },
      // Nobody knows: the next request asks again.
      () => kept.delete(key),
    );
    return bearer;
  };
}

/** Pure. */
function bearerOf(given: unknown, { audience, peerUser }: TokenOptions): Bearer | null {
  const parsed = statusSchema.safeParse(given);
  if (!parsed.success) return null;
  const { authenticated, audiences, user } = parsed.data;
  if (!authenticated || !audiences.includes(audience)) return null;
  if (peerUser !== null && user.username === peerUser) return { kind: 'peer' };
  const account = /^system:serviceaccount:([a-z0-9.-]{1,253}):/.exec(user.username);
  const podUid = user.extra[POD_UID]?.[0];
  if (account?.[1] === undefined || podUid === undefined || podUid === '') return null;
  return { kind: 'sidecar', podUid: podUid.slice(0, 128), namespace: account[1] };
}

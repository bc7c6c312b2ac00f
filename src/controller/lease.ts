/**
 * Who leads, decided from a Lease (coordination.k8s.io/v1) as client-go does it: a replica never compares its clock with
 * a time another one wrote. It notes when it saw the Lease change and waits for the whole duration on a clock of its own
 * that never goes back. Pure.
 */

/** `spec` of a Lease, as far as it counts here. */
export interface LeaseSpec {
  readonly holderIdentity?: string | undefined;
  readonly leaseDurationSeconds?: number | undefined;
  readonly acquireTime?: string | undefined;
  readonly renewTime?: string | undefined;
  readonly leaseTransitions?: number | undefined;
}

/** What was seen of the Lease, and when on the own monotonic clock. */
export interface Observed {
  readonly resourceVersion: string;
  readonly atMs: number;
}

export interface Contender {
  readonly identity: string;
  readonly durationSeconds: number;
  /** Own monotonic clock in milliseconds. */
  readonly nowMs: number;
  /** Wall clock in milliseconds since 1970, only written for people to read. */
  readonly wallMs: number;
}

export type LeaseMove =
  /** Write this, guarded by the resourceVersion that was read; with a Lease of nobody, create it. */
  { readonly move: 'write'; readonly spec: LeaseSpec } | { readonly move: 'wait' };

/** @param spec null when there is no Lease. */
export function leaseMove(spec: LeaseSpec | null, seen: Observed, by: Contender): LeaseMove {
  const now = microTime(by.wallMs);
  const ours = { holderIdentity: by.identity, leaseDurationSeconds: by.durationSeconds };
  if (spec === null) {
    return write({ ...ours, acquireTime: now, renewTime: now, leaseTransitions: 0 });
  }
  const { holderIdentity: holder = '', acquireTime = now, leaseTransitions = 0 } = spec;
  if (holder === by.identity) {
    return write({ ...ours, acquireTime, renewTime: now, leaseTransitions });
  }
  const heldMs = (spec.leaseDurationSeconds ?? by.durationSeconds) * 1000;
  if (holder !== '' && by.nowMs - seen.atMs < heldMs) return { move: 'wait' };
  const taken = { acquireTime: now, renewTime: now, leaseTransitions: leaseTransitions + 1 };
  return write({ ...ours, ...taken });
}

/** Given back at the end, so that the next one need not wait. */
export const released = (spec: LeaseSpec, wallMs: number): LeaseSpec => ({
  leaseDurationSeconds: 1,
  leaseTransitions: spec.leaseTransitions ?? 0,
  renewTime: microTime(wallMs),
});

const write = (spec: LeaseSpec): LeaseMove => ({ move: 'write', spec });

/** MicroTime of the Kubernetes API: RFC 3339 with six digits. */
const microTime = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z');

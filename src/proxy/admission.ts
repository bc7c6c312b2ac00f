/**
 * Bounds the work under way: calls, tunnels and the bytes of their bodies. What does not fit is turned away at once,
 * before it costs anything. Shell: owns the counters of what is under way.
 */
import type { Admission, Slot } from './ports.ts';

export interface AdmissionBounds {
  readonly callsMax: number;
  readonly bufferedBytesMax: number;
  readonly tunnelsMax: number;
}

export interface AdmissionControl extends Admission {
  readonly calls: () => number;
  readonly tunnels: () => number;
  /** A place for one tunnel, or null; call the result when the tunnel ends. */
  enterTunnel(): (() => void) | null;
  /** From now on everything new is turned away. */
  drain(): void;
  readonly draining: () => boolean;
}

/** @param onTunnels told of each tunnel that opens and ends. */
export function createAdmission(
  bounds: AdmissionBounds,
  onTunnels: (delta: 1 | -1) => void = () => undefined,
): AdmissionControl {
  let calls = 0;
  let tunnels = 0;
  let buffered = 0;
  let draining = false;
  const slot = (): Slot => {
    let reserved = 0;
    calls += 1;
    return {
      reserve(bytes) {
        if (buffered + bytes > bounds.bufferedBytesMax) return false;
        buffered += bytes;
        reserved += bytes;
        return true;
      },
      release() {
        calls -= 1;
        buffered -= reserved;
        reserved = 0;
      },
    };
  };
  return {
    calls: () => calls,
    tunnels: () => tunnels,
    draining: () => draining,
    drain() {
      draining = true;
    },
    enter() {
      if (draining) return { refused: 'proxy.draining' };
      return calls >= bounds.callsMax ? { refused: 'call.overloaded' } : slot();
    },
    enterTunnel() {
      if (draining || tunnels >= bounds.tunnelsMax) return null;
      tunnels += 1;
      onTunnels(1);
      return () => {
        tunnels -= 1;
        onTunnels(-1);
      };
    },
  };
}

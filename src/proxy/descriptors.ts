/**
 * Keeps file descriptors free for what must go on when an agent opens all it can: the admin listener, the audit log, the
 * policy, questions to name servers. The kernel hands out the lowest free number, so the number of a new connection says
 * how many are taken, whoever took them. Shell: reads the limit of this process.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

export interface Descriptors {
  /** False of a connection from an agent that must be closed at once. */
  readonly mayServe: (socket: Socket) => boolean;
  /** False of a connection to a tool that must be given up. Agents get less, so that calls under way can go on. */
  readonly mayDial: (socket: Socket) => boolean;
}

/** 64 connections each of the admin listener, the decision API and the name server, and as much for files. */
const RESERVED = 256;
/** Of what is not reserved, the part that connections of agents may take. */
const AGENTS_SHARE = 0.75;

/** @param onShed told of each connection that found no room. */
export function createDescriptors(limit: number, onShed: () => void): Descriptors {
  const tools = limit - Math.min(RESERVED, limit / 2);
  const agents = tools * AGENTS_SHARE;
  const below = (bound: number) => (socket: Socket) => {
    if (numberOf(socket) < bound) return true;
    onShed();
    return false;
  };
  return { mayServe: below(agents), mayDial: below(tools) };
}

/** Files and connections this process may have open; infinite where the system does not say. */
export function descriptorLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY; // No Linux: the bounds of the configuration remain.
  }
}

/** -1 without one, e.g. of a connection that is closed already. */
function numberOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

/**
 * What a run of the fleet found. It is kept beside the sources, because it takes minutes of its own: a run of the other
 * parts shows the last one. Shell: owns bench/fleet-result.json.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

/** Milliseconds from before the command was sent to the API server until it was in force. */
export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface FleetRound {
  readonly configMap: Spread;
  readonly distributor: Spread;
  readonly all: Spread;
}

/** Of the controller to the API server, in one whole rollout, but for the renewals of its Lease. */
export interface FleetWrites {
  readonly sidecars: number;
  readonly states: number;
  readonly events: number;
  readonly copies: number;
  /** Of the rollout. */
  readonly seconds: number;
}

export interface FleetResult {
  readonly machine: Machine;
  readonly sidecars: number;
  /** Between two reports of one sidecar. */
  readonly reportSeconds: number;
  readonly writeIntervalSeconds: number;
  readonly rounds: readonly FleetRound[];
  readonly writes: readonly FleetWrites[];
  /** Resident bytes of the controller. */
  readonly memory: {
    readonly beforeBytes: number;
    readonly nowBytes: number;
    readonly peakBytes: number;
  };
}

const FILE = join(import.meta.dirname, 'fleet-result.json');

/** @returns null when the fleet was never measured. */
export function readFleetResult(): FleetResult | null {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as FleetResult;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export const keepFleetResult = (result: FleetResult): void =>
  writeFileSync(FILE, `${JSON.stringify(result, null, 2)}\n`);

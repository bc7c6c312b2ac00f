/**
 * What one run of the benchmark found. Pure.
 */
import type { Absent, ContenderKey } from './contender.ts';
import type { Engines } from './engine-policy.ts';
import type { FleetResult } from './fleet-result.ts';
import type { Interception } from './interception.ts';
import type { Machine } from './machine.ts';
import type { Connections, Row } from './rounds.ts';

/** Measurements of single parts; null is not measured. */
export interface Micro {
  /** Microseconds of one decision in the engine, 1 KB input: median. */
  readonly decisionUs: number | null;
  readonly decisionP99Us: number | null;
  readonly decisionInputBytes: number | null;
  /** Milliseconds from spawn to ready with a bundle of one megabyte: median. */
  readonly coldStartMs: number | null;
  readonly bundleBytes: number | null;
  /** Audit records per second, synced in groups. */
  readonly auditRecordsPerSecond: number | null;
  readonly verifyRecordsPerSecond: number | null;
  readonly standing: Standing | null;
  /** Why something is null. */
  readonly notes: readonly string[];
}

/** Resident bytes of the sidecar for each connection that only stands. */
export interface Standing {
  readonly tunnels: number;
  readonly tunnelBytes: number;
  readonly streams: number;
  readonly streamBytes: number;
  readonly intercepted: number;
  readonly interceptedBytes: number;
}

export interface Result {
  readonly machine: Machine;
  readonly generator: string;
  readonly upstream: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly requestBytes: number;
  readonly rows: readonly Row[];
  readonly absent: readonly Absent[];
  readonly micro: Micro;
  /** Null when it was not asked for or could not be measured. */
  readonly engines: Engines | null;
  /** Null when it was not asked for. */
  readonly interception: Interception | null;
  /** Of the last whole run of bench/fleet.ts; null when there was none, or it was not asked for. */
  readonly fleet: FleetResult | null;
}

/** The row when it was measured and counts. */
export function validRow(
  rows: readonly Row[],
  key: ContenderKey,
  connections: Connections,
): Row | null {
  const row = rows.find((one) => one.key === key && one.connections === connections);
  return row === undefined || row.invalid !== null ? null : row;
}

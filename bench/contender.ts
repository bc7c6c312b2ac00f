/**
 * What takes part in a benchmark run: a way from the load generator to the same upstream. Pure.
 */
import type { Child } from './children.ts';

export const CONTENDER_KEYS = [
  'direct',
  'nginx',
  'envoy',
  'node',
  'opa-remote',
  'opa-envoy',
  'egret-write',
  'egret-fsync',
] as const;
export type ContenderKey = (typeof CONTENDER_KEYS)[number];

export interface Contender {
  readonly key: ContenderKey;
  /** Name in the tables. */
  readonly title: string;
  /** Where the load generator posts. */
  readonly url: string;
  /** Program and version. */
  readonly version: string;
  /** Its own processes, whose memory is measured; without the upstream. */
  readonly children: readonly Child[];
  /** True when it decides by the receipts policy, so that the refused request must be refused. */
  readonly decides: boolean;
  /** Decision records so far; present when every answer must have left one. */
  readonly recorded?: () => Promise<number>;
}

/** What cannot take part, and how to get it. */
export interface Missing {
  readonly title: string;
  readonly why: string;
  readonly remedy: string;
  /** What it said itself, for the terminal only; it may name files of this machine. */
  readonly detail: string;
}

export interface Absent extends Missing {
  readonly key: ContenderKey;
}

export type Entrant = Contender | Absent;

export const isAbsent = (entrant: Entrant): entrant is Absent => 'why' in entrant;

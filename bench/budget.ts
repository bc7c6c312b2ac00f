/**
 * The budgets of the product and whether a run met them. A budget that compares with a peer is decided only by rows of
 * the same run; without them it is `not measured`, never met. Pure.
 */
import { type EngineKey, type EngineRow, engineRatio } from './engine-policy.ts';
import { FLEET_BUDGET, FLEET_P99_MS_MAX, fleetP99Ms } from './fleet-report.ts';
import { type Result, validRow } from './result.ts';
import type { Connections, Row } from './rounds.ts';

type Standing = 'met' | 'not met' | 'not measured';

export interface BudgetLine {
  readonly what: string;
  readonly bar: string;
  readonly measured: string;
  readonly standing: Standing;
}

const MB = 1_000_000;

export function judgeBudgets(result: Result): BudgetLine[] {
  return [
    throughput(result),
    latency(result),
    memory(result),
    ...micro(result),
    ...engines(result),
    ...connections(result),
    fleet(result),
  ];
}

function line(what: string, bar: string, measured: string | null, met: boolean): BudgetLine {
  if (measured === null) return { what, bar, measured: '-', standing: 'not measured' };
  return { what, bar, measured, standing: met ? 'met' : 'not met' };
}

const egretAndPeer = ({ rows }: Result, connections: Connections): readonly [Row, Row] | null => {
  const egret = validRow(rows, 'egret-write', connections);
  const peer = validRow(rows, 'opa-envoy', connections);
  return egret === null || peer === null ? null : [egret, peer];
};

function throughput(result: Result): BudgetLine {
  const what = 'decided calls per second, 16 connections, beside Envoy + OPA-Envoy';
  const bar = 'at least 6x (goal 8x)';
  const pair = egretAndPeer(result, 16);
  if (pair === null) return line(what, bar, null, false);
  const ratio = pair[0].requestsPerSecond / pair[1].requestsPerSecond;
  return line(what, bar, `${ratio.toFixed(1)}x`, ratio >= 6);
}

function latency(result: Result): BudgetLine {
  const what = 'added latency, 1 connection, p50, beside Envoy + OPA-Envoy';
  const bar = 'at most 1/6 (goal 1/10)';
  const pair = egretAndPeer(result, 1);
  const direct = validRow(result.rows, 'direct', 1);
  if (pair === null || direct === null) return line(what, bar, null, false);
  const ratio = (pair[1].p50Us - direct.p50Us) / Math.max(pair[0].p50Us - direct.p50Us, 1);
  return line(what, bar, `1/${ratio.toFixed(1)}`, ratio >= 6);
}

function memory(result: Result): BudgetLine {
  const what = 'resident memory under that load, beside Envoy + OPA-Envoy together';
  const bar = 'below (goal 100 MB)';
  const pair = egretAndPeer(result, 16);
  const own = pair?.[0].peakBytes ?? null;
  const other = pair?.[1].peakBytes ?? null;
  if (own === null || other === null) return line(what, bar, null, false);
  const text = `${Math.round(own / MB)} MB against ${Math.round(other / MB)} MB`;
  return line(what, bar, text, own < other);
}

function micro({ micro: found }: Result): BudgetLine[] {
  const { decisionUs, coldStartMs, auditRecordsPerSecond, verifyRecordsPerSecond } = found;
  const atMost = (value: number | null, bar: number) => value !== null && value <= bar;
  const atLeast = (value: number | null, bar: number) => value !== null && value >= bar;
  const show = (value: number | null, unit: string, digits = 0) =>
    value === null ? null : `${value.toFixed(digits)} ${unit}`;
  return [
    line(
      'one decision, 1 KB input, receipts policy, in the engine',
      'at most 20 µs',
      show(decisionUs, 'µs', 1),
      atMost(decisionUs, 20),
    ),
    line(
      'cold start to ready with a bundle of 1 MB',
      'at most 500 ms',
      show(coldStartMs, 'ms'),
      atMost(coldStartMs, 500),
    ),
    line(
      'audit records synced in groups',
      'at least 20000/s',
      show(auditRecordsPerSecond, '/s'),
      atLeast(auditRecordsPerSecond, 20_000),
    ),
    line(
      'audit records verified',
      'at least 100000/s',
      show(verifyRecordsPerSecond, '/s'),
      atLeast(verifyRecordsPerSecond, 100_000),
    ),
  ];
}

const PATTERNS = (row: EngineRow) => row.patterns;
const NO_PATTERNS = (row: EngineRow) => !row.patterns;

function engines({ engines: found }: Result): BudgetLine[] {
  const beside = (
    what: string,
    bar: number,
    peer: EngineKey,
    chosen?: (row: EngineRow) => boolean,
  ) => {
    const ratio = found === null ? null : engineRatio(found, peer, chosen);
    const text = ratio === null ? null : `${ratio.toFixed(2)}x`;
    return line(`engine beside ${what}`, `at least ${bar}x`, text, (ratio ?? 0) >= bar);
  };
  return [
    beside('npm opa-wasm, a policy with patterns', 4, 'npm', PATTERNS),
    beside('npm opa-wasm, the slower of the policies without', 1, 'npm', NO_PATTERNS),
    beside('OPA’s server, JSON to JSON, the worst policy', 5, 'opa-server'),
    beside('opa bench, evaluation alone, the worst policy', 5, 'opa-bench'),
  ];
}

function fleet(result: Result): BudgetLine {
  const p99Ms = fleetP99Ms(result.fleet);
  const text = p99Ms === null ? null : `${Math.round(p99Ms)} ms`;
  return line(FLEET_BUDGET, 'below 2 s', text, p99Ms !== null && p99Ms < FLEET_P99_MS_MAX);
}

const KB = 1000;
const CONNECTION_KB_MAX = 60;

function connections({ micro: { standing } }: Result): BudgetLine[] {
  const each = (what: string, bytes: number | undefined) =>
    line(
      `resident memory for each ${what}`,
      `below ${CONNECTION_KB_MAX} KB`,
      bytes === undefined ? null : `${(bytes / KB).toFixed(1)} KB`,
      bytes !== undefined && bytes < CONNECTION_KB_MAX * KB,
    );
  return [
    each('idle tunnel', standing?.tunnelBytes),
    each('event stream', standing?.streamBytes),
    each('idle connection with opened TLS', standing?.interceptedBytes),
  ];
}

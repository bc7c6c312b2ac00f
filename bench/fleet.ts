/**
 * `make bench-fleet`: how fast an abort reaches every sidecar of a fleet, what a rollout costs the API server whatever
 * the size of the fleet, and the memory of the controller. A whole run keeps its result and writes it to
 * docs/benchmarks.md. Shell: owns the run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missingPrograms } from '../test/cluster/programs.ts';
import { fleetP99Ms, fleetSection, withFleet } from './fleet-report.ts';
import {
  type FleetResult,
  type FleetRound,
  type FleetWrites,
  keepFleetResult,
  type Spread,
} from './fleet-result.ts';
import type { FleetSidecar } from './fleet-sidecar.ts';
import { type FleetStage, startFleetStage } from './fleet-stage.ts';
import { thisMachine } from './machine.ts';

interface Plan {
  /** A whole rollout with each of these; the last one is the fleet of the rounds. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

const WHOLE: Plan = { sizes: [10, 100, 500], rounds: 5 };
const QUICK: Plan = { sizes: [50], rounds: 1 };
const REPORT_SECONDS = 5;
const WRITE_INTERVAL_SECONDS = 2;
const RUN_MS_MAX = 900_000;
const BENCHMARKS = join(import.meta.dirname, '../docs/benchmarks.md');

const say = (text: string) => process.stderr.write(`bench-fleet: ${text}\n`);

const THROUGH = [
  { shadow: '4s' },
  { weight: 10, for: '4s' },
  { weight: 50, for: '4s' },
  { weight: 100, for: '4s' },
];
/** Nothing moves on by itself. */
const STAYING = [{ shadow: '1h' }];

async function measure(plan: Plan): Promise<FleetResult> {
  const machine = thisMachine();
  const stage = await startFleetStage(WRITE_INTERVAL_SECONDS);
  try {
    await stage.merge('first', THROUGH);
    await untilStable(stage, 'first');
    const before = stage.memory();
    const writes: FleetWrites[] = [];
    for (const size of plan.sizes) {
      await stage.growTo(size, REPORT_SECONDS * 1000);
      await stage.untilAll('has a directive', (one) => one.directive() !== null);
      writes.push(await wholeRollout(stage, `whole-${size}`));
      say(JSON.stringify(writes.at(-1)));
    }
    const rounds: FleetRound[] = [];
    for (let round = 1; round <= plan.rounds; round += 1) {
      rounds.push(await abortRound(stage, `round-${round}`));
      say(`round ${round}: ${JSON.stringify(rounds.at(-1)?.all)}`);
    }
    const failures = stage.sidecars.flatMap((one) => one.failures);
    if (failures.length > 0) say(`${failures.length} failures: ${[...new Set(failures)].join()}`);
    const memory = { beforeBytes: before.nowBytes, ...stage.memory() };
    return {
      machine,
      sidecars: stage.sidecars.length,
      reportSeconds: REPORT_SECONDS,
      writeIntervalSeconds: WRITE_INTERVAL_SECONDS,
      rounds,
      writes,
      memory,
    };
  } finally {
    await stage.close();
  }
}

async function untilStable(stage: FleetStage, revision: string): Promise<void> {
  const deadline = performance.now() + RUN_MS_MAX / 3;
  for (;;) {
    const { phase, stable = '', message } = await stage.state();
    if (phase === 'Stable' && stable.includes(revision)) return;
    if (performance.now() > deadline) throw new Error(`${revision}: ${phase}: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function wholeRollout(stage: FleetStage, revision: string): Promise<FleetWrites> {
  const before = await stage.writes();
  const startMs = performance.now();
  await stage.merge(revision, THROUGH);
  await untilStable(stage, revision);
  const seconds = (performance.now() - startMs) / 1000;
  const after = await stage.writes();
  const grown = (object: string) => (after[object] ?? 0) - (before[object] ?? 0);
  return {
    sidecars: stage.sidecars.length,
    states: grown('state'),
    events: grown('event'),
    copies: grown('copy'),
    seconds,
  };
}

async function abortRound(stage: FleetStage, revision: string): Promise<FleetRound> {
  await stage.merge(revision, STAYING);
  const holds = (one: FleetSidecar) =>
    one.directive()?.candidate?.revision === revision && one.holdsCandidate();
  await stage.untilAll(`holds ${revision}`, holds);
  const { rolloutID = '' } = await stage.state();
  const sentMs = await stage.command('abort', rolloutID);
  const isBack = (one: FleetSidecar) => one.directive()?.phase === 'Aborted';
  await stage.untilAll('is back on stable', isBack);
  const of = (sidecars: readonly FleetSidecar[]) =>
    spreadOf(sidecars.map((one) => one.sinceMs() - sentMs));
  const on = (transport: FleetSidecar['transport']) =>
    stage.sidecars.filter((one) => one.transport === transport);
  return {
    configMap: of(on('configMap')),
    distributor: of(on('distributor')),
    all: of(stage.sidecars),
  };
}

function spreadOf(delays: readonly number[]): Spread {
  const sorted = delays.toSorted((a, b) => a - b);
  const at = (part: number) => {
    const delay = sorted[Math.min(sorted.length, Math.ceil(sorted.length * part)) - 1] ?? 0;
    return Math.round(delay * 10) / 10;
  };
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function main(): Promise<void> {
  const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values;
  const missing = missingPrograms();
  if (missing !== null) {
    say(`NOT MEASURED: ${missing}`);
    return;
  }
  const overdue = setTimeout(() => {
    say(`the run took longer than ${RUN_MS_MAX / 1000} s`);
    process.exit(1);
  }, RUN_MS_MAX);
  const result = await measure(quick ? QUICK : WHOLE);
  clearTimeout(overdue);
  process.stdout.write(`${fleetSection(result).join('\n\n')}\n\np99 ${fleetP99Ms(result)} ms\n`);
  if (quick) {
    say('docs/benchmarks.md is written by a whole run only (no --quick)');
    return;
  }
  keepFleetResult(result);
  writeFileSync(BENCHMARKS, withFleet(readFileSync(BENCHMARKS, 'utf8'), result));
}

await main();

/**
 * Interleaved rounds: in each round every contender is measured once at each number of connections, so that a noisy
 * minute of a shared machine hits all of them alike; medians over the rounds are what counts. Shell: owns nothing.
 */
import type { Contender, ContenderKey } from './contender.ts';
import type { Generator, Sample } from './generator.ts';
import { check } from './probe.ts';
import { usageOf } from './usage.ts';

export const CONNECTIONS = [1, 16] as const;
export type Connections = (typeof CONNECTIONS)[number];

export interface Plan {
  readonly rounds: number;
  /** Seconds of one measurement. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Told what is being measured. */
  readonly progress: (text: string) => void;
}

export interface Row {
  readonly key: ContenderKey;
  readonly title: string;
  readonly version: string;
  readonly connections: Connections;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  /** Resident bytes after the measurements: the median of now, the highest peak; null when it has no own process. */
  readonly residentBytes: number | null;
  readonly peakBytes: number | null;
  /** Processor time of its own processes for one call, in microseconds: what sharing the machine distorts least. */
  readonly cpuUs: number | null;
  /** Why the row does not count; null when it does. */
  readonly invalid: string | null;
}

interface Measured {
  readonly sample: Sample;
  readonly residentBytes: number | null;
  readonly peakBytes: number | null;
  readonly cpuUs: number | null;
  readonly fault: string | null;
}

const rowKey = (key: ContenderKey, connections: Connections) => `${key} ${connections}`;
/** Share by which the mean size of an answer may differ from the checked one (a Date header never does). */
const SIZE_TOLERANCE = 0.02;

/** @throws when a contender does not do what is to be measured; one that ceases to has rows that say so. */
export async function runRounds(
  contenders: readonly Contender[],
  generator: Generator,
  plan: Plan,
): Promise<Row[]> {
  const answerBytes = new Map<ContenderKey, number>();
  const measured = new Map<string, Measured[]>();
  for (const contender of contenders) {
    answerBytes.set(contender.key, (await check(contender)).answerBytes);
    const warmUp = { url: contender.url, connections: 16, seconds: plan.warmUpSeconds };
    await generator.generate(warmUp);
  }
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const connections of CONNECTIONS) {
      for (const contender of contenders) {
        plan.progress(`round ${round}/${plan.rounds}, c=${connections}, ${contender.title}`);
        const load = { url: contender.url, connections, seconds: plan.seconds };
        const expected = answerBytes.get(contender.key) ?? 0;
        const key = rowKey(contender.key, connections);
        const one = await measure(contender, generator, load, expected);
        measured.set(key, [...(measured.get(key) ?? []), one]);
      }
    }
  }
  const rows = contenders.map(async (contender) => {
    const lastFault = await check(contender).then(
      () => null,
      (error: Error) => error.message,
    );
    return CONNECTIONS.map((connections) => {
      const row = rowOf(contender, connections, measured.get(rowKey(contender.key, connections)));
      return { ...row, invalid: row.invalid ?? lastFault };
    });
  });
  return (await Promise.all(rows)).flat();
}

async function measure(
  contender: Contender,
  generator: Generator,
  load: { readonly url: string; readonly connections: Connections; readonly seconds: number },
  answerBytes: number,
): Promise<Measured> {
  const before = (await contender.recorded?.()) ?? 0;
  const pids = contender.children.map((child) => child.pid);
  const first = usageOf(pids);
  const sample = await generator.generate(load);
  const last = pids.length > 0 ? usageOf(pids) : null;
  const after = (await contender.recorded?.()) ?? null;
  return {
    sample,
    residentBytes: last?.nowBytes ?? null,
    peakBytes: last?.peakBytes ?? null,
    cpuUs: first === null || last === null ? null : (last.cpuUs - first.cpuUs) / sample.requests,
    fault: faultOf(sample, answerBytes, after === null ? null : after - before),
  };
}

/** @param records decision records the measurement left; null when none are kept. */
export function faultOf(
  sample: Sample,
  answerBytes: number,
  records: number | null,
): string | null {
  if (sample.requests === 0) return 'no answers';
  if (sample.errors > 0) return `${sample.errors} errors in ${sample.requests} answers`;
  const mean = sample.bytes / sample.requests;
  if (Math.abs(mean - answerBytes) > answerBytes * SIZE_TOLERANCE) {
    return `answers of ${Math.round(mean)} bytes, checked one has ${answerBytes}`;
  }
  if (records !== null && records < sample.requests) {
    return `${records} decision records for ${sample.requests} answers`;
  }
  return null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function rowOf(
  contender: Contender,
  connections: Connections,
  measured: readonly Measured[] = [],
): Row {
  const { key, title, version } = contender;
  const of = (pick: (sample: Sample) => number) => median(measured.map((one) => pick(one.sample)));
  const own = (pick: (one: Measured) => number | null) =>
    measured.map(pick).filter((value) => value !== null);
  const resident = own((one) => one.residentBytes);
  const peaks = own((one) => one.peakBytes);
  const cpu = own((one) => one.cpuUs);
  return {
    key,
    title,
    version,
    connections,
    requestsPerSecond: of((sample) => (sample.requests * 1e6) / sample.durationUs),
    p50Us: of((sample) => sample.p50Us),
    p90Us: of((sample) => sample.p90Us),
    p99Us: of((sample) => sample.p99Us),
    residentBytes: resident.length > 0 ? median(resident) : null,
    peakBytes: peaks.length > 0 ? Math.max(...peaks) : null,
    cpuUs: cpu.length > 0 ? median(cpu) : null,
    invalid: measured.map((one) => one.fault).find((fault) => fault !== null) ?? null,
  };
}

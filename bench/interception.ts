/**
 * What opening TLS costs: the same HTTPS request through everything that reads along, on kept connections and on new
 * ones, in interleaved rounds. Shell: owns nothing, starts children.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Missing } from './contender.ts';
import type { Sample } from './generator.ts';
import {
  allowedMail,
  INTERCEPTOR_KEYS,
  type Interceptor,
  type InterceptorKey,
} from './interceptor.ts';
import { checkInterceptor, enterInterceptor, type InterceptionField } from './interceptors.ts';
import { findProgram } from './program.ts';
import { faultOf, median } from './rounds.ts';
import type { TlsLoad } from './tls-load.ts';
import { startTlsUpstream } from './tls-upstream.ts';
import { usageOf } from './usage.ts';

/** The cells of a row: one kept connection, sixteen, and sixteen workers that open a new one for every request. */
export const CELLS = ['one', 'sixteen', 'fresh'] as const;
export type Cell = (typeof CELLS)[number];

export interface InterceptionRow {
  readonly key: InterceptorKey;
  readonly title: string;
  readonly version: string;
  readonly requestsPerSecond: Readonly<Record<Cell, number>>;
  readonly p50Us: Readonly<Record<Cell, number>>;
  /** Processor time of its own processes for one call on sixteen kept connections; null without any. */
  readonly cpuUs: number | null;
  readonly peakBytes: number | null;
  /** Why the row does not count; null when it does. */
  readonly invalid: string | null;
}

export interface Interception {
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly InterceptionRow[];
  readonly absent: readonly Missing[];
}

export interface InterceptionOptions extends Omit<InterceptionField, 'upstream'> {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

interface Measured {
  readonly sample: Sample;
  readonly cpuUs: number | null;
  readonly peakBytes: number | null;
  readonly fault: string | null;
}

type Samples = Map<string, Measured[]>;

const LOADS: Readonly<Record<Cell, Pick<TlsLoad, 'connections' | 'fresh'>>> = {
  one: { connections: 1, fresh: false },
  sixteen: { connections: 16, fresh: false },
  fresh: { connections: 16, fresh: true },
};
const SLACK_MS = 15_000;
const WARM_UP_SECONDS = 1;

export async function measureInterception(options: InterceptionOptions): Promise<Interception> {
  const { quick, children, directory } = options;
  const rounds = quick ? 1 : 3;
  const seconds = quick ? 1 : 2;
  if (findProgram('nginx') === null) {
    const why = 'no nginx on PATH for the HTTPS upstream';
    const absent = { title: 'interception', why, remedy: 'apt-get install nginx', detail: '' };
    return { rounds, seconds, rows: [], absent: [absent] };
  }
  const field = { ...options, upstream: await startTlsUpstream(children, directory) };
  const entered = [];
  for (const key of INTERCEPTOR_KEYS) entered.push(await enterInterceptor(field, key));
  const contenders = entered.filter((one): one is Interceptor => !('why' in one));
  const absent = entered.filter((one): one is Missing => 'why' in one);
  for (const { title, why, remedy, detail } of absent) {
    options.progress(`NOT MEASURED: ${title}: ${why}. To have it: ${remedy}`);
    if (detail !== '') options.progress(detail);
  }
  const rows = await runRounds(options, contenders, { rounds, seconds });
  await Promise.all(contenders.flatMap((one) => one.children).map((child) => children.end(child)));
  return { rounds, seconds, rows, absent };
}

async function runRounds(
  options: InterceptionOptions,
  contenders: readonly Interceptor[],
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<InterceptionRow[]> {
  const answerBytes = new Map<InterceptorKey, number>();
  const samples: Samples = new Map();
  for (const contender of contenders) {
    answerBytes.set(contender.key, await checkInterceptor(contender));
    const warmUp = { ...LOADS.sixteen, seconds: WARM_UP_SECONDS };
    if (!options.quick) await generate(options, contender, warmUp);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const cell of CELLS) {
      for (const contender of contenders) {
        options.progress(`interception, round ${round}/${rounds}, ${cell}, ${contender.title}`);
        const load = { ...LOADS[cell], seconds };
        const one = await measure(options, contender, load, answerBytes.get(contender.key) ?? 0);
        const name = `${contender.key} ${cell}`;
        samples.set(name, [...(samples.get(name) ?? []), one]);
      }
    }
  }
  return Promise.all(
    contenders.map(async (contender) => {
      const fault = await checkInterceptor(contender).then(
        () => null,
        (error: Error) => error.message,
      );
      return rowOf(contender, samples, fault);
    }),
  );
}

type Load = Pick<TlsLoad, 'connections' | 'fresh' | 'seconds'>;

async function generate(
  { children, directory }: InterceptionOptions,
  { key, target, caFile }: Interceptor,
  load: Load,
): Promise<Sample> {
  const requestFile = join(directory, `mail-${key}`);
  writeFileSync(requestFile, allowedMail(target));
  const whole: TlsLoad = { target, caFile, requestFile, ...load };
  const args = [join(import.meta.dirname, 'tls-load.ts'), JSON.stringify(whole)];
  const stdout = await children.run(process.execPath, args, load.seconds * 1000 + SLACK_MS);
  return JSON.parse(stdout) as Sample;
}

async function measure(
  options: InterceptionOptions,
  contender: Interceptor,
  load: Load,
  answerBytes: number,
): Promise<Measured> {
  const pids = contender.children.map(({ pid }) => pid);
  const before = (await contender.recorded?.()) ?? 0;
  const first = pids.length > 0 ? usageOf(pids) : null;
  const sample = await generate(options, contender, load);
  const last = pids.length > 0 ? usageOf(pids) : null;
  const after = (await contender.recorded?.()) ?? null;
  return {
    sample,
    cpuUs: first === null || last === null ? null : (last.cpuUs - first.cpuUs) / sample.requests,
    peakBytes: last?.peakBytes ?? null,
    fault: faultOf(sample, answerBytes, after === null ? null : after - before),
  };
}

function rowOf(
  contender: Interceptor,
  samples: Samples,
  lastFault: string | null,
): InterceptionRow {
  const { key, title, version } = contender;
  const of = (cell: Cell) => samples.get(`${key} ${cell}`) ?? [];
  const each = (pick: (sample: Sample) => number) => {
    const cells = CELLS.map((cell) => [cell, median(of(cell).map((one) => pick(one.sample)))]);
    return Object.fromEntries(cells) as Record<Cell, number>;
  };
  const everything = CELLS.flatMap(of);
  const cpu = of('sixteen')
    .map((one) => one.cpuUs)
    .filter((value) => value !== null);
  const peaks = everything.map((one) => one.peakBytes).filter((value) => value !== null);
  return {
    key,
    title,
    version,
    requestsPerSecond: each((sample) => (sample.requests * 1e6) / sample.durationUs),
    p50Us: each((sample) => sample.p50Us),
    cpuUs: cpu.length > 0 ? median(cpu) : null,
    peakBytes: peaks.length > 0 ? Math.max(...peaks) : null,
    invalid: everything.map((one) => one.fault).find((fault) => fault !== null) ?? lastFault,
  };
}

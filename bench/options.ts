/**
 * The command line of the benchmark. Pure.
 */
import { parseArgs } from 'node:util';
import { CONTENDER_KEYS, type ContenderKey } from './contender.ts';

/** What a run measures besides the contenders. */
export const SECTION_KEYS = ['parts', 'engine', 'connections', 'interception'] as const;
export type SectionKey = (typeof SECTION_KEYS)[number];

export interface Options {
  readonly quick: boolean;
  /** Seconds of one measurement. */
  readonly seconds: number;
  readonly rounds: number;
  /** Contenders that take part, in the order of the tables. */
  readonly only: readonly ContenderKey[];
  readonly sections: readonly SectionKey[];
  /** False when only some take part or the run is quick: such a run does not rewrite docs/benchmarks.md. */
  readonly complete: boolean;
}

export const USAGE = `usage: node bench/main.ts [--quick] [--seconds N] [--only a,b]
  --quick       2 rounds of 1 second; prints, does not write docs/benchmarks.md
  --seconds N   whole seconds of one measurement, 1 to 60 (default 3)
  --only a,b    only these of the contenders: ${CONTENDER_KEYS.join(', ')}
                and of the other sections: ${SECTION_KEYS.join(', ')}
  environment   EGRET_BENCH_OPA_ENVOY: OPA with its Envoy plugin; EGRET_BENCH_ENVOY: Envoy;
                EGRET_BENCH_NODE_OPTIONS: options for the sidecar's Node, e.g. --cpu-prof --cpu-prof-dir=DIR`;

/** @throws an Error that says what was found and what was expected. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const { quick } = values;
  const seconds = Number(values.seconds ?? (quick ? 1 : 3));
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 60) {
    throw new Error(`--seconds: found ${values.seconds}, expected a whole number from 1 to 60`);
  }
  const all: readonly string[] = [...CONTENDER_KEYS, ...SECTION_KEYS];
  const wanted = values.only?.split(',') ?? all;
  const unknown = wanted.find((key) => !all.includes(key));
  if (unknown !== undefined) {
    throw new Error(`--only: found "${unknown}", expected some of ${all.join(', ')}`);
  }
  const contenders = CONTENDER_KEYS.filter((key) => wanted.includes(key));
  return {
    quick,
    seconds,
    rounds: quick ? 2 : 5,
    only:
      contenders.length === 0
        ? []
        : CONTENDER_KEYS.filter((key) => key === 'direct' || contenders.includes(key)),
    sections: SECTION_KEYS.filter((key) => wanted.includes(key)),
    complete: !quick && values.only === undefined,
  };
}

/**
 * The policies of the engine measurement and the engines they run in. Pure.
 */

/** Measured by engine-part.ts, each in a process of its own. */
export const PART_ENGINES = ['egret', 'npm', 'opa-server'] as const;
export type PartEngine = (typeof PART_ENGINES)[number];

/** In the order of the table; `opa bench` measures itself. */
export const ENGINE_KEYS = [...PART_ENGINES, 'opa-bench'] as const;
export type EngineKey = (typeof ENGINE_KEYS)[number];

export interface EnginePolicy {
  readonly title: string;
  /** Uses regular expressions or globs, which OPA's module takes from its RE2 library. */
  readonly patterns: boolean;
  readonly entrypoint: string;
  /** Source to compile, in this folder; null for the committed receipts bundle. */
  readonly source: string | null;
}

export const ENGINE_POLICIES: readonly EnginePolicy[] = [
  { title: 'receipts', patterns: false, entrypoint: 'egret/decision', source: null },
  {
    title: 'access table',
    patterns: false,
    entrypoint: 'bench/plain/decision',
    source: 'engine-plain.rego',
  },
  {
    title: 'regular expressions and globs',
    patterns: true,
    entrypoint: 'bench/patterns/decision',
    source: 'engine-patterns.rego',
  },
];

/** What one measurement needs to know. */
export interface Measured {
  /** Folder with policy.wasm and data.json. */
  readonly directory: string;
  readonly entrypoint: string;
  readonly inputFile: string;
  /** Of OPA's server. */
  readonly port: number;
}

export interface EngineRow {
  readonly title: string;
  readonly patterns: boolean;
  /** Microseconds of one call: the median of the rounds; null when not measured. */
  readonly us: Readonly<Record<EngineKey, number | null>>;
  /** Why the row does not count; null when it does. */
  readonly invalid: string | null;
}

export interface Engines {
  readonly rounds: number;
  readonly seconds: number;
  readonly inputBytes: number;
  readonly opaVersion: string | null;
  readonly npmVersion: string;
  readonly rows: readonly EngineRow[];
}

/** How many times as fast as the peer our host is: the worst of the rows that are chosen; null when one is missing. */
export function engineRatio(
  { rows }: Engines,
  peer: EngineKey,
  chosen: (row: EngineRow) => boolean = () => true,
): number | null {
  const ratios = rows.filter(chosen).map(({ us, invalid }) => {
    const own = us.egret;
    const other = us[peer];
    return invalid !== null || own === null || other === null ? null : other / own;
  });
  if (ratios.length === 0 || ratios.includes(null)) return null;
  return Math.min(...(ratios as number[]));
}

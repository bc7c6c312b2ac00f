/**
 * What two policies speak of: the texts and numbers in their code and data, and the tools of their catalogues. Inputs
 * drawn from them meet the places where a policy decides; those that only one of the two has come first. Pure.
 */
import type { Catalogue, ToolEntry } from '../call/catalogue.ts';

export interface Constants {
  readonly texts: readonly string[];
  readonly addresses: readonly string[];
  readonly hosts: readonly string[];
  readonly numbers: readonly number[];
  /** Names that arguments could have. */
  readonly keys: readonly string[];
}

export interface Vocabulary {
  readonly all: Constants;
  /** Only in one of the two policies. */
  readonly differing: Constants;
  readonly tools: readonly ToolEntry[];
  /** Tools that a policy names. */
  readonly named: readonly ToolEntry[];
}

export interface Speaking {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly catalogue: Catalogue;
}

const CONSTANTS_MAX = 20_000;
const TEXT_CHARS_MAX = 200;
const ADDRESS = /^[^\s@<>",]+@[^\s@<>",]+$/;
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;
const KEY = /^[A-Za-z_][A-Za-z0-9_]{0,39}$/;

export function vocabularyOf(a: Speaking, b: Speaking): Vocabulary {
  const [ofA, ofB] = [scalarsOf(a.files), scalarsOf(b.files)];
  const all = new Set([...ofA, ...ofB]);
  const differing = [...all].filter((one) => ofA.has(one) !== ofB.has(one));
  const tools = [...new Set([...entriesOf(a.catalogue), ...entriesOf(b.catalogue)])];
  return {
    all: sorted([...all]),
    differing: sorted(differing),
    tools,
    named: tools.filter(({ name }) => all.has(name)),
  };
}

function entriesOf({ layers }: Catalogue): readonly ToolEntry[] {
  return layers.flatMap(({ hosts, suffixes, servers, mcpTools }) =>
    [hosts, suffixes, servers, mcpTools].flatMap((map) => [...map.values()].flat()),
  );
}

type Scalar = string | number;

/** Texts and numbers of data files and of the compiled plan. */
function scalarsOf(files: ReadonlyMap<string, Uint8Array>): ReadonlySet<Scalar> {
  const found = new Set<Scalar>();
  for (const [name, bytes] of files) {
    const value = jsonOf(name, bytes);
    const plan = /(^|\/)plan\.json$/.test(name);
    const strings = (value as { static?: { strings?: unknown } } | null)?.static?.strings;
    collect(plan ? strings : value, found, 0);
  }
  return found;
}

function jsonOf(name: string, bytes: Uint8Array): unknown {
  if (!/(^|\/)(data|plan)\.json$/.test(name)) return null;
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return null; // the gate has taken the bundle, so this file is not one it reads
  }
}

function collect(value: unknown, found: Set<Scalar>, depth: number): void {
  if (found.size >= CONSTANTS_MAX || depth > 32) return;
  if (typeof value === 'number') found.add(value);
  else if (typeof value === 'string') {
    if (value.length <= TEXT_CHARS_MAX) found.add(value);
    if (/^-?[0-9]{1,15}(\.[0-9]{1,9})?$/.test(value)) found.add(Number(value));
  } else if (value !== null && typeof value === 'object') {
    for (const inner of Object.values(value)) collect(inner, found, depth + 1);
  }
}

function sorted(scalars: readonly Scalar[]): Constants {
  const texts = scalars.filter((one) => typeof one === 'string');
  return {
    texts,
    addresses: texts.filter((text) => ADDRESS.test(text)),
    hosts: texts.filter((text) => HOST.test(text)),
    numbers: scalars.filter((one) => typeof one === 'number'),
    keys: texts.filter((text) => KEY.test(text)),
  };
}

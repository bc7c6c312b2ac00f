/**
 * Resident memory and processor time of a process and its descendants, as Linux counts them in /proc. Shell: owns
 * nothing, reads /proc.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface Usage {
  /** Bytes resident now, summed over the tree. */
  readonly nowBytes: number;
  /** The highest each process ever was (VmHWM), summed over the tree. */
  readonly peakBytes: number;
  /** Processor time since each process started, in microseconds, summed over the tree; in steps of 10,000. */
  readonly cpuUs: number;
}

/** Linux counts processor time in hundredths of a second. */
const TICK_US = 10_000;

/** @returns null where there is no /proc. */
export function usageOf(roots: readonly number[]): Usage | null {
  const parents = readParents();
  if (parents === null) return null;
  let nowBytes = 0;
  let peakBytes = 0;
  let cpuUs = 0;
  for (const pid of treeOf(roots, parents)) {
    const status = readText(`/proc/${pid}/status`);
    nowBytes += kibibytes(status, 'VmRSS') * 1024;
    peakBytes += kibibytes(status, 'VmHWM') * 1024;
    cpuUs += cpuTicks(readText(`/proc/${pid}/stat`)) * TICK_US;
  }
  return { nowBytes, peakBytes, cpuUs };
}

function treeOf(roots: readonly number[], parents: ReadonlyMap<number, number>): Set<number> {
  const tree = new Set(roots);
  for (let before = -1; before !== tree.size; ) {
    before = tree.size;
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid);
  }
  return tree;
}

function readParents(): Map<number, number> | null {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return null; // Not Linux: memory is reported as not measured.
  }
  const parents = new Map<number, number>();
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const parent = /\nPPid:\s+(\d+)/.exec(readText(`/proc/${name}/status`))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  return parents;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // The process ended meanwhile: it holds no memory.
  }
}

const kibibytes = (status: string, field: string) =>
  Number(new RegExp(`\\n${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0);

/** User and system time: the 14th and 15th field, counted behind the name, which may hold blanks. */
function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/**
 * The machine a run was made on, as the report names it. Shell: owns nothing, asks the system.
 */
import { cpus, loadavg, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  /** One-minute load average before the run: what else the machine was doing. */
  readonly loadBefore: number;
}

export function thisMachine(): Machine {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cpu: cpu?.model.trim() ?? 'unknown CPU',
    cpus: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function machineLine(found: Machine): string {
  const memory = `${Math.round(found.memoryBytes / 2 ** 30)} GiB`;
  const load = found.loadBefore.toFixed(1);
  return `${found.date} · ${found.cpu} x ${found.cpus}, ${memory} · ${found.system} · Node ${found.node} · load average before the run ${load}`;
}

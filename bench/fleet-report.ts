/**
 * The fleet section of the report, and its row among the budgets. Pure.
 */
import type { FleetResult, Spread } from './fleet-result.ts';
import { machineLine } from './machine.ts';
import { median } from './rounds.ts';
import { type Cells, mb, table } from './table.ts';

const TITLE = '## Fleet';
export const FLEET_BUDGET = 'policy rollback in a fleet, command to enforced, p99';
export const FLEET_P99_MS_MAX = 2000;

/** The median of the rounds; null when nothing was measured. */
export const fleetP99Ms = (fleet: FleetResult | null): number | null =>
  fleet === null || fleet.rounds.length === 0
    ? null
    : median(fleet.rounds.map(({ all }) => all.p99Ms));

/** Nothing when it was never measured. */
export function fleetSection(fleet: FleetResult | null): string[] {
  if (fleet === null) return [];
  return [TITLE, machineLine(fleet.machine), method(fleet), delays(fleet), writes(fleet)];
}

function method(fleet: FleetResult): string {
  const { sidecars, rounds, reportSeconds, writeIntervalSeconds, memory } = fleet;
  return [
    `${sidecars} sidecars in one process, a real controller, kube-apiserver and etcd, all on this machine. Half of the sidecars watch the API server, half wait at the distributor; each has its own TLS connections and a token that is bound to a pod of its own. They are the sidecar’s own sources and reporter without the gate: no bundle is compiled.`,
    `Each reports to the distributor every ${reportSeconds} s, and routine writes of the controller are at least ${writeIntervalSeconds} s apart (15 s and 30 s by default).`,
    `A round: a rollout begins, every sidecar holds the candidate, \`abort\` is written to the set, and the time runs from before that request is sent until a sidecar has the directive without the candidate in force. ${rounds.length} rounds; the median of the rounds counts.`,
    `Resident memory of the controller: ${mb(memory.beforeBytes)} without sidecars, ${mb(memory.nowBytes)} with ${sidecars}, ${mb(memory.peakBytes)} at its peak.`,
  ].join('\n');
}

function delays({ rounds }: FleetResult): string {
  const line = (title: string, spreads: readonly Spread[]): Cells => {
    const middle = (of: (spread: Spread) => number) => `${Math.round(median(spreads.map(of)))} ms`;
    const worst = `${Math.round(Math.max(...spreads.map(({ maxMs }) => maxMs)))} ms`;
    return [title, middle((one) => one.p50Ms), middle((one) => one.p99Ms), worst];
  };
  return table(
    ['abort until enforced', 'p50', 'p99', 'slowest of all rounds'],
    [
      line(
        'sidecars that watch the API server',
        rounds.map(({ configMap }) => configMap),
      ),
      line(
        'sidecars that wait at the distributor',
        rounds.map(({ distributor }) => distributor),
      ),
      line(
        'all',
        rounds.map(({ all }) => all),
      ),
    ],
  );
}

const writes = (fleet: FleetResult): string =>
  table(
    ['writes of a whole rollout', 'state', 'Events', 'copies', 'seconds'],
    fleet.writes.map((one) => [
      `${one.sidecars} sidecars`,
      String(one.states),
      String(one.events),
      String(one.copies),
      one.seconds.toFixed(0),
    ]),
  );

/** The report with this section and this row in the place of what it said before. */
export function withFleet(report: string, fleet: FleetResult): string {
  const section = `${fleetSection(fleet).join('\n\n')}\n\n`;
  const without = report.replace(/^## Fleet\n[\s\S]*?(?=^## )/m, '');
  return without
    .replace(/^## Parts$/m, `${section}## Parts`)
    .replace(/^\| policy rollback in a fleet.*\|$/m, (line) => rowLike(line, fleet));
}

/** Its cells are as wide as before, so the table stays aligned. */
function rowLike(line: string, fleet: FleetResult): string {
  const cells = line.split('|').slice(1, -1);
  const p99Ms = fleetP99Ms(fleet);
  if (p99Ms === null) return line;
  const said = [
    null,
    null,
    `${Math.round(p99Ms)} ms`,
    p99Ms < FLEET_P99_MS_MAX ? 'met' : 'not met',
  ];
  const written = cells.map((cell, at) => {
    const text = said[at] ?? null;
    return text === null ? cell : ` ${text.padStart(cell.length - 2)} `;
  });
  return `|${written.join('|')}|`;
}

/**
 * The result of a run as text: a Markdown document whose tables also read well on a terminal. Pure.
 */
import { judgeBudgets } from './budget.ts';
import type { ContenderKey, Missing } from './contender.ts';
import { enginesSection } from './engine-report.ts';
import { fleetSection } from './fleet-report.ts';
import { interceptionSection } from './interception-report.ts';
import { machineLine } from './machine.ts';
import { type Micro, type Result, validRow } from './result.ts';
import { CONNECTIONS, type Connections, type Row } from './rounds.ts';
import { type Cells, mb, table, us } from './table.ts';

const EGRET: ContenderKey = 'egret-write';

/** The whole of docs/benchmarks.md. */
export function renderReport(result: Result): string {
  return [
    '# Benchmarks',
    '<!-- Written by `make bench`. Do not edit: the next run overwrites it. -->',
    machineLine(result.machine),
    '## Method',
    method(result),
    ...(result.rows.length > 0 ? gatewaySections(result) : []),
    ...interceptionSection(result.interception),
    ...enginesSection(result.engines),
    ...fleetSection(result.fleet),
    '## Parts',
    partsTable(result),
    '## Budgets',
    budgetsTable(result),
    '## Not measured',
    absentList(result),
    '',
  ].join('\n\n');
}

const gatewaySections = (result: Result): string[] => [
  ...CONNECTIONS.flatMap((connections) => [
    `## ${connections} connection${connections === 1 ? '' : 's'}`,
    rowsTable(result, connections),
  ]),
  '## Ratios',
  'Egret (record written) beside each peer of this run. Above 1 is better for Egret in every column.',
  ratiosTable(result),
];

function method(result: Result): string {
  return [
    `Every contender carries the same request, a \`tools/call\` of \`send_email\` in ${result.requestBytes} bytes of JSON, posted to the same upstream (${result.upstream}) over`,
    `keep-alive connections on loopback, by the same load generator (${result.generator}). Generator, proxies and upstream share the cores.`,
    `${result.rounds} interleaved rounds of ${result.seconds} s for each cell; every figure is the median of the rounds. One proxy process or worker each.`,
    'Egret, the OPA rows and OPA-Envoy decide every call by the receipts rules and keep a record of every decision; Egret has its metrics on.',
    'Before and after the rounds each of them is asked for a refusal, and a row with an error, an answer that is not the upstream’s, or an answer without a decision record does not count.',
    'Memory for each connection that stands is what the resident memory of the sidecar grew by, divided, after garbage was collected; a few of the same kind were opened and closed before.',
    '`added` is p50 less the p50 of the direct row. `CPU/call` is processor time of the row’s own processes for each call, which a busy machine distorts least. Memory is resident memory of all processes of the row: the median after the measurements and the highest peak since the start.',
  ].join('\n');
}

function rowsTable(result: Result, connections: Connections): string {
  const direct = validRow(result.rows, 'direct', connections);
  const cells = result.rows
    .filter((row) => row.connections === connections)
    .map((row) => (row.invalid === null ? rowCells(row, direct) : invalidCells(row)));
  return table(
    ['contender', 'calls/s', 'p50', 'p90', 'p99', 'added', 'CPU/call', 'memory', 'peak', 'version'],
    cells,
  );
}

function rowCells(row: Row, direct: Row | null): Cells {
  return [
    row.title,
    String(Math.round(row.requestsPerSecond)),
    us(row.p50Us),
    us(row.p90Us),
    us(row.p99Us),
    direct === null || row === direct ? '-' : us(row.p50Us - direct.p50Us),
    row.cpuUs === null ? '-' : us(row.cpuUs),
    mb(row.residentBytes),
    mb(row.peakBytes),
    row.version,
  ];
}

const invalidCells = (row: Row): Cells => [
  row.title,
  'does not count',
  ...Array<string>(7).fill('-'),
  (row.invalid ?? '').split('\n', 1)[0] ?? '',
];

function ratiosTable(result: Result): string {
  const peers = result.rows.filter((row) => row.connections === 1 && row.key !== EGRET);
  return table(
    [
      'peer',
      'calls/s, 16 connections',
      'CPU/call, 16 connections',
      'latency p50, 1 connection',
      'added p50, 1 connection',
    ],
    peers.map((peer) => [
      peer.title,
      ratio(
        result,
        peer.key,
        16,
        (egret, other) => egret.requestsPerSecond / other.requestsPerSecond,
      ),
      ratio(result, peer.key, 16, (egret, other) => (other.cpuUs ?? NaN) / (egret.cpuUs ?? NaN)),
      ratio(result, peer.key, 1, (egret, other) => other.p50Us / egret.p50Us),
      addedRatio(result, peer.key),
    ]),
  );
}

function ratio(
  { rows }: Result,
  key: ContenderKey,
  connections: Connections,
  of: (egret: Row, other: Row) => number,
): string {
  const egret = validRow(rows, EGRET, connections);
  const other = validRow(rows, key, connections);
  return egret === null || other === null ? '-' : times(of(egret, other));
}

const times = (factor: number) => (Number.isFinite(factor) ? `${factor.toFixed(2)}x` : '-');

function addedRatio(result: Result, key: ContenderKey): string {
  const direct = validRow(result.rows, 'direct', 1);
  if (direct === null || key === 'direct') return '-';
  const added = (row: Row) => Math.max(row.p50Us - direct.p50Us, 1);
  return ratio(result, key, 1, (egret, other) => added(other) / added(egret));
}

function partsTable({ micro }: Result): string {
  const show = (value: number | null, unit: string, digits = 0) =>
    value === null ? 'not measured' : `${value.toFixed(digits)} ${unit}`;
  const lines: Cells[] = [
    ['one decision in the engine, median', show(micro.decisionUs, 'µs', 1)],
    ['one decision in the engine, p99', show(micro.decisionP99Us, 'µs', 1)],
    ['size of its input', show(micro.decisionInputBytes, 'bytes')],
    ['cold start to ready, median', show(micro.coldStartMs, 'ms')],
    ['size of its unpacked bundle', show(micro.bundleBytes, 'bytes')],
    ['audit append, synced in groups', show(micro.auditRecordsPerSecond, 'records/s')],
    ['audit verify', show(micro.verifyRecordsPerSecond, 'records/s')],
    ...standingLines(micro.standing),
  ];
  const notes = micro.notes.map((note) => `\n- ${note}`).join('');
  return `${table(['part', 'measured'], lines)}${notes === '' ? '' : `\n${notes}`}`;
}

function standingLines(standing: Micro['standing']): Cells[] {
  if (standing === null) return [['memory for each connection that stands', 'not measured']];
  const kb = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`;
  return [
    [`memory for each of ${standing.tunnels} idle tunnels`, kb(standing.tunnelBytes)],
    [`memory for each of ${standing.streams} event streams beside them`, kb(standing.streamBytes)],
    [
      `memory for each of ${standing.intercepted} idle connections with opened TLS`,
      kb(standing.interceptedBytes),
    ],
  ];
}

const budgetsTable = (result: Result) =>
  table(
    ['what', 'bar', 'measured', 'standing'],
    judgeBudgets(result).map((one) => [one.what, one.bar, one.measured, one.standing]),
  );

function absentList({ absent: contenders, interception }: Result): string {
  const absent: Missing[] = [...contenders, ...(interception?.absent ?? [])];
  if (absent.length === 0) return 'Every contender took part.';
  return absent
    .map(({ title, why, remedy }) => `- ${title}: ${why}. To have it: ${remedy}.`)
    .join('\n');
}

/**
 * The interception section of the report. Pure.
 */
import type { Cell, Interception, InterceptionRow } from './interception.ts';
import { type Cells, mb, table, us } from './table.ts';

const HEAD: Cells = [
  'contender',
  'calls/s, 1 connection',
  'p50',
  'calls/s, 16 connections',
  'p50',
  'CPU/call',
  'new connections/s',
  'peak',
  'version',
];

/** Heading, method and table; nothing when it was not asked for. */
export function interceptionSection(interception: Interception | null): string[] {
  if (interception === null) return [];
  const { rows } = interception;
  if (rows.length === 0) return ['## TLS interception', 'Not measured.'];
  return ['## TLS interception', method(interception), table(HEAD, rows.map(cellsOf))];
}

const method = ({ rounds, seconds }: Interception) =>
  [
    'An HTTPS client sends the same mail, a `POST` of the mail API, through CONNECT to the same HTTPS upstream (nginx, one process, which reads each request before it answers). TLS is opened on the way: the client trusts the contender’s own authority, and the contender verifies the upstream.',
    `One generator for all (bench/tls-load.ts, one Node process, TLS 1.3); ${rounds} interleaved round${rounds === 1 ? '' : 's'} of ${seconds} s for each cell, the median counts. New connections: 16 at a time, each with CONNECT, a full handshake and one request.`,
    'Egret decides every call by the receipts rules and keeps a record of every decision; mitmproxy and Squid decide nothing and keep nothing. The generator itself bounds the direct row.',
  ].join('\n');

function cellsOf(row: InterceptionRow): Cells {
  const { title, version, invalid, cpuUs, peakBytes } = row;
  if (invalid !== null) {
    const why = invalid.split('\n', 1)[0] ?? '';
    return [title, 'does not count', ...Array<string>(HEAD.length - 3).fill('-'), why];
  }
  const perSecond = (cell: Cell) => String(Math.round(row.requestsPerSecond[cell]));
  return [
    title,
    perSecond('one'),
    us(row.p50Us.one),
    perSecond('sixteen'),
    us(row.p50Us.sixteen),
    cpuUs === null ? '-' : us(cpuUs),
    perSecond('fresh'),
    mb(peakBytes),
    version,
  ];
}

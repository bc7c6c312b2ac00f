/**
 * The section of the policy engines in the report, and its budgets' figures. Pure.
 */
import { ENGINE_KEYS, type EngineKey, type EngineRow, type Engines } from './engine-policy.ts';
import { type Cells, table } from './table.ts';

const TITLES: Readonly<Record<EngineKey, string>> = {
  egret: 'Egret',
  npm: 'npm opa-wasm',
  'opa-server': 'OPA server',
  'opa-bench': 'opa bench',
};
const PEERS = ENGINE_KEYS.filter((key) => key !== 'egret');

/** Heading, method and tables; nothing when it was not asked for. */
export function enginesSection(engines: Engines | null): string[] {
  if (engines === null) return [];
  const head: Cells = ['policy', ...ENGINE_KEYS.map((key) => TITLES[key])];
  const ratios: Cells = ['Egret beside', ...PEERS.map((key) => TITLES[key])];
  return [
    '## Policy engines',
    method(engines),
    table(
      head,
      engines.rows.map((row) => timesOf(row)),
    ),
    'How many times as fast Egret’s host is:',
    table(ratios, engines.rows.map(ratiosOf)),
    ...engines.rows.flatMap(({ title, invalid }) =>
      invalid === null ? [] : [`- ${title} does not count: ${invalid}`],
    ),
    ...(engines.opaVersion === null
      ? ['- Without opa only the committed policy runs, and not in OPA. To have it: make tools.']
      : []),
  ];
}

const method = ({ rounds, seconds, inputBytes, npmVersion, opaVersion }: Engines) =>
  [
    `The same policies on the same input of ${inputBytes} bytes, the mail that the gateway decides. Egret’s host with its step counter and memory maximum on; @open-policy-agent/opa-wasm ${npmVersion} with the same module; OPA ${opaVersion ?? '-'} with the same sources.`,
    `Every figure is the time of one call, JSON text in and the decision out: the median over ${seconds} s after a warm-up of half of that, in a process of its own, and of that the median of ${rounds} interleaved round${rounds === 1 ? '' : 's'}. The answers of a row must be equal, or it does not count.`,
    '`OPA server` is a whole `POST /v1/data` on one kept loopback connection, one at a time, without a decision log. `opa bench` is OPA’s own Go benchmark: the evaluation alone, of an input parsed before, so it does less than the others; it runs once and gives a mean.',
    '“receipts” is the committed bundle; the other two are bench/engine-plain.rego and bench/engine-patterns.rego, compiled by the run.',
  ].join('\n');

const timesOf = ({ title, us }: EngineRow): Cells => [
  title,
  ...ENGINE_KEYS.map((key) => micros(us[key])),
];

const micros = (value: number | null) => (value === null ? '-' : `${value.toFixed(1)} µs`);

const ratiosOf = ({ title, us, invalid }: EngineRow): Cells => [
  title,
  ...PEERS.map((key) => {
    const own = us.egret;
    const other = us[key];
    return own === null || other === null || invalid !== null
      ? '-'
      : `${(other / own).toFixed(2)}x`;
  }),
];

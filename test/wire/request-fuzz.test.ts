/**
 * Mutated requests against a real sidecar with three tools behind it: it never falls over, never keeps a connection
 * whose client is done, and no tool ever sees what is not on record with the same meaning. EGRET_FUZZ_REQUESTS says
 * how many, EGRET_FUZZ_SEED which.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventually, statusOf } from '../e2e/agent.ts';
import { assertVerifies } from '../e2e/audit-log.ts';
import { startNameServer } from '../proxy/name-server.ts';
import type { Origin } from './origin.ts';
import type { Listener, RequestCase } from './request-case.ts';
import { BODY_CASES } from './request-cases-body.ts';
import { FIELD_CASES } from './request-cases-fields.ts';
import { FRAMING_CASES } from './request-cases-framing.ts';
import { MCP_CASES } from './request-cases-mcp.ts';
import { ODDITY_CASES } from './request-cases-oddities.ts';
import { TARGET_CASES } from './request-cases-target.ts';
import { Ledger } from './request-ledger.ts';
import { mutatedRequest } from './request-mutation.ts';
import { type RequestStage, stageOrigins, stageRequests } from './request-stage.ts';
import { rollDice } from './response-dice.ts';

const ROUNDS = Number(process.env['EGRET_FUZZ_REQUESTS'] ?? 2_000);
/** To begin later in the same series. */
const FROM = Number(process.env['EGRET_FUZZ_FROM'] ?? 0);
const SEED = Number(process.env['EGRET_FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
/** So many against one sidecar; the next ones get a new one, with a new log. */
const LEG = 50_000;
const AT_ONCE = 32;
const BASE_CHARS_MAX = 3_000;
/** Silence after which the client has said and heard all it wants. */
const QUIET_MS = 10;
const SILENT_MS = 150;
const HANG_MS = 15_000;
const FINDINGS_SHOWN = 10;

/** Of the proxy only names, so that no mutation is an address outside. Nobody chooses the trace: records go by it. */
const BASES = [
  ...ODDITY_CASES,
  ...FRAMING_CASES,
  ...TARGET_CASES,
  ...FIELD_CASES,
  ...BODY_CASES,
  ...MCP_CASES,
].filter(
  ({ at, bytes }) =>
    bytes.length <= BASE_CHARS_MAX &&
    !/traceparent/i.test(bytes) &&
    (at === 'gateway' || !/\d\.\d+\.|\d{6}|0x|\{tool\}|\[/.test(bytes)),
);

/** More than half of the requests begin as sound ones, or hardly any would get through. */
const SOUND_SHARE = 0.7;
const LISTENERS: readonly Listener[] = ['gateway', 'gateway', 'gateway', 'proxy', 'capture:80'];

const basesAt = (listener: Listener) => {
  const here = BASES.filter(({ at }) => at === listener);
  const sound = here.filter(({ refused, seen }) => refused.length === 0 && seen.length > 0);
  return [sound, here.filter((one) => !sound.includes(one))] as const;
};
const BASES_AT = {
  gateway: basesAt('gateway'),
  proxy: basesAt('proxy'),
  'capture:80': basesAt('capture:80'),
} as const;

void test(`${ROUNDS} mutated requests, EGRET_FUZZ_SEED=${SEED}`, async (t) => {
  const origins = await stageOrigins(t);
  const names = await startNameServer(() => ({ code: 3 }));
  t.after(() => names.close());
  for (let from = FROM; from < FROM + ROUNDS; from += LEG) {
    const to = Math.min(FROM + ROUNDS, from + LEG);
    await t.test(`requests ${from} to ${to - 1}`, (leg) =>
      run(leg, origins, names.address, from, to),
    );
  }
});

async function run(
  t: TestContext,
  origins: readonly Origin[],
  names: string,
  from: number,
  to: number,
): Promise<void> {
  const limits = { headersTimeoutMs: 5_000, requestTimeoutMs: 5_000, bodyBytesMax: 100_000 };
  const stage = await stageRequests(t, origins, limits, { dnsServers: [names] });
  const ledger = new Ledger();
  let next = from;
  const worker = async () => {
    while (next < to && ledger.findings.length < FINDINGS_SHOWN && isUp(stage)) {
      const round = next;
      next += 1;
      await strike(stage, ledger, round);
      if (round % 200 === 0) collect(stage, ledger);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const { exitCode, signalCode } = stage.sidecar.process;
  const { errors, lines } = stage.sidecar;
  const last = `${errors.join('\n')}\n${lines.slice(-5).join('\n')}`;
  assert.ok(isUp(stage), `ended with ${exitCode ?? signalCode}, EGRET_FUZZ_SEED=${SEED}: ${last}`);
  await eventually(async () => {
    const { calls, audit } = await statusOf(stage.sidecar);
    return calls.under_way === 0 && calls.tunnels === 0 && audit.openCalls === 0;
  });
  collect(stage, ledger);
  // nginx says what it saw a moment after it has answered.
  const deadline = performance.now() + HANG_MS;
  while (ledger.untold > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    collect(stage, ledger);
  }
  ledger.close();
  assert.deepEqual(ledger.findings.slice(0, FINDINGS_SHOWN), [], `EGRET_FUZZ_SEED=${SEED}`);
  assert.deepEqual(stage.sidecar.errors, [], `EGRET_FUZZ_SEED=${SEED}`);
  const { problems } = await statusOf(stage.sidecar);
  // There is no fence around this sidecar; nothing else is amiss.
  assert.ok(
    problems.every((one) => one.startsWith('fence.')),
    `${problems} EGRET_FUZZ_SEED=${SEED}`,
  );
  assert.equal(await stage.sidecar.stop(), 0);
  await assertVerifies(stage.audit);
  const { seen, forwarded, refused, reasons } = ledger.counts;
  const refusals = [...reasons].toSorted(([, a], [, b]) => b - a).map((pair) => pair.join(' '));
  t.diagnostic(`seen ${seen}, forwarded ${forwarded}, refused ${refused}: ${refusals.join(', ')}`);
  if (to - from >= 1_000) assert.ok(seen > (to - from) / 20, 'hardly anything passed');
}

const isUp = ({ sidecar }: RequestStage) =>
  sidecar.process.exitCode === null && sidecar.process.signalCode === null;

function collect({ origins, records }: RequestStage, ledger: Ledger): void {
  for (const { name, take } of origins) {
    const { seen, broken } = take();
    for (const one of seen) ledger.sighting(name, one);
    for (const words of broken) ledger.findings.push(`${name} could not read a request: ${words}`);
  }
  // The record is older than the request, so it is read after it.
  for (const leaf of records.take()) ledger.leaf(leaf);
  ledger.compare((leaf) => records.recorded(leaf));
}

/** Captured ports sniff TLS by its first byte, 0x16, and refuse in its own words: a fatal alert of seven bytes. */
const isTlsRefusal = (at: Listener, pieces: readonly string[], raw: string) =>
  at === 'capture:80' &&
  pieces.join('').startsWith('\x16') &&
  raw.length === 7 &&
  raw.startsWith('\x15\x03') &&
  raw[5] === '\x02';

/** One connection: everything is written, the answers are awaited, the client leaves. */
async function strike(stage: RequestStage, ledger: Ledger, round: number): Promise<void> {
  const dice = rollDice(SEED, round);
  const at = dice.pick(LISTENERS);
  const origin = dice.pick(stage.origins);
  const [sound, odd] = BASES_AT[at];
  const base = () =>
    baseOf(dice.pick(dice.chance(SOUND_SHARE) ? sound : odd), stage, origin, round);
  const pieces = mutatedRequest(base, dice);
  const { raw, hung } = await send(stage.sidecar.ports[at], pieces);
  const told = JSON.stringify(pieces);
  if (hung) ledger.findings.push(`round ${round}: the connection is kept: ${told}`);
  if (raw !== '' && !raw.startsWith('HTTP/1.1 ') && !isTlsRefusal(at, pieces, raw)) {
    ledger.findings.push(`round ${round}: no HTTP in the answer: ${raw.slice(0, 200)} to ${told}`);
  }
  for (const [, nonce = ''] of raw.matchAll(/\r\nx-nonce: *([^\r\n]*)/gi)) {
    // Of several the tool makes a list.
    if (!nonce.split(', ').every((one) => pieces.join('').includes(one))) {
      ledger.findings.push(`round ${round}: the answer to another call, ${nonce}, to ${told}`);
    }
  }
}

function baseOf(
  one: RequestCase,
  { sidecar }: RequestStage,
  origin: Origin,
  round: number,
): string {
  const bytes = one.bytes
    .replaceAll('{origin}', origin.name)
    .replaceAll('{tool}', String(origin.port))
    .replaceAll('{listener}', String(sidecar.ports[one.at]));
  const line = bytes.indexOf(
    '\r\n',
    bytes.startsWith('CONNECT') ? bytes.indexOf('\r\n\r\n') + 4 : 0,
  );
  return line <= 0 ? bytes : `${bytes.slice(0, line)}\r\nX-Nonce: n${round}n${bytes.slice(line)}`;
}

function send(
  port: number,
  pieces: readonly string[],
): Promise<{ readonly raw: string; readonly hung: boolean }> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    let raw = '';
    const finish = (hung: boolean) => {
      clearTimeout(quiet);
      clearTimeout(hang);
      socket.destroy();
      resolve({ raw, hung });
    };
    const hang = setTimeout(() => finish(true), HANG_MS);
    let quiet = setTimeout(() => socket.end(), SILENT_MS);
    socket.on('connect', () => {
      const [first = '', ...more] = pieces.map((piece) => Buffer.from(piece, 'latin1'));
      socket.write(first);
      for (const piece of more) setTimeout(() => socket.writable && socket.write(piece), 3);
    });
    socket.on('data', (chunk: Buffer) => {
      raw += chunk.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.end(), QUIET_MS);
    });
    socket.on('end', () => finish(false));
    socket.on('error', () => finish(false));
  });
}

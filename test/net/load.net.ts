/** 20,000 connections at once: what does not fit is shed and counted, and the admin port answers all the while. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { descriptorLimit } from '../../src/proxy/descriptors.ts';
import { adminText, eventually, sendMail, statusOf } from '../e2e/agent.ts';
import type { SidecarProcess } from '../e2e/sidecar-process.ts';
import { stageMail, stageRawTool } from '../e2e/stage.ts';
import type { FloodTally } from './flood.ts';

const CONNECTIONS = 20_000;
const PLACE = 'tool.example:443';
const CONNECT = `CONNECT ${PLACE} HTTP/1.1\r\nHost: ${PLACE}\r\n\r\n`;
/** Four fifths of a container with 512 MiB. */
const RESIDENT_BYTES_MAX = 0.8 * 512 * 2 ** 20;
const PAUSE_MS = 50;

interface Flood {
  readonly process: ChildProcess;
  readonly tally: () => FloodTally;
}

/** Each from an address of its own: one has too few ports for all. */
const FLOODS = [
  ['proxy', '127.0.0.2', ''],
  ['proxy', '127.0.0.3', CONNECT],
  ['gateway', '127.0.0.4', ''],
  ['gateway', '127.0.0.5', 'POST /mcp/mail HTTP/1.1\r\nHost: mail\r\n'],
] as const;

function flood(t: TestContext, port: number, source: string, bytes: string): Flood {
  const count = String(CONNECTIONS / FLOODS.length);
  const script = join(import.meta.dirname, 'flood.ts');
  const child = spawn(process.execPath, [script, String(port), count, source, bytes], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let tally: FloodTally = { tried: 0, open: 0, shed: 0, answers: {} };
  createInterface({ input: child.stdout }).on('line', (line) => {
    tally = JSON.parse(line) as FloodTally;
  });
  return { process: child, tally: () => tally };
}

async function endFlood({ process: child }: Flood): Promise<void> {
  const gone = once(child, 'exit');
  child.stdin?.end();
  await gone;
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

/** A connection of its own each time, as a kubelet makes one. */
async function look({ ports }: SidecarProcess, path: string): Promise<string> {
  const headers = { connection: 'close' };
  const answer = await fetch(`http://127.0.0.1:${ports.admin}${path}`, { headers });
  assert.equal(answer.status, 200, path);
  return answer.text();
}

const shedOf = (metrics: string, cause = '\\w+') =>
  sum(
    [...metrics.matchAll(new RegExp(`^egret_shed_total\\{cause="${cause}"\\} (\\d+)$`, 'gm'))].map(
      ([, count]) => Number(count),
    ),
  );

function peakBytes(sidecar: SidecarProcess): number {
  const status = readFileSync(`/proc/${sidecar.process.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

interface Storm {
  readonly limits?: Readonly<Record<string, number>>;
  readonly descriptorsMax?: number;
  /** The bound that is reached, as a label of `egret_shed_total`. */
  readonly cause: string;
}

async function weather(t: TestContext, storm: Storm): Promise<void> {
  const needed = CONNECTIONS / FLOODS.length + 100;
  if (descriptorLimit() < needed) {
    process.stderr.write(`SKIPPED: ${t.name}: fewer than ${needed} descriptors (ulimit -n)\n`);
    t.skip(`SKIPPED: fewer than ${needed} descriptors`);
    return;
  }
  const { limits = {}, descriptorsMax, cause } = storm;
  const far = await stageRawTool(t, () => undefined);
  const { sidecar } = await stageMail(t, {
    // So that CONNECT is not refused: what is tried here is room.
    config: {
      enforcement: 'dryrun',
      limits,
      upstream: { hosts: { [PLACE]: `127.0.0.1:${far.port}` } },
    },
    ...(descriptorsMax === undefined ? {} : { descriptorsMax }),
  });
  const floods = FLOODS.map(([listener, source, bytes]) =>
    flood(t, sidecar.ports[listener], source, bytes),
  );
  const all = (of: (tally: FloodTally) => number) => sum(floods.map(({ tally }) => of(tally())));
  let looks = 0;
  while (all(({ tried }) => tried) < CONNECTIONS) {
    await Promise.all([look(sidecar, '/healthz'), look(sidecar, '/metrics')]);
    looks += 1;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  // Everyone who was turned away was counted, with an answer or without.
  const away = ({ shed, answers }: FloodTally) => shed + (answers['503'] ?? 0);
  await eventually(async () => shedOf(await look(sidecar, '/metrics')) === all(away));
  const shed = shedOf(await look(sidecar, '/metrics'), cause);
  t.diagnostic(`${looks} looks, ${shed} shed, peak ${Math.round(peakBytes(sidecar) / 1e6)} MB`);
  assert.ok(shed > CONNECTIONS / 2, `${shed} shed`);
  const statuses = floods.flatMap(({ tally }) => Object.keys(tally().answers));
  assert.deepEqual(
    statuses.filter((status) => !['200', '408', '503'].includes(status)),
    [],
  );
  assert.ok(peakBytes(sidecar) < RESIDENT_BYTES_MAX, `${peakBytes(sidecar)} bytes`);
  assert.equal((await statusOf(sidecar)).audit.healthy, true);
  assert.doesNotMatch(sidecar.lines.join('\n'), /"audit\.failed"/);
  await Promise.all(floods.map(endFlood));
  await eventually(async () => (await statusOf(sidecar)).calls.tunnels === 0);
  assert.match((await sendMail(sidecar.ports)).text, /sent/);
  assert.doesNotMatch(await adminText(sidecar.ports, '/metrics'), /^egret_audit_failures_total/m);
}

test('20,000 connections: what is beyond the bound of a listener is closed', (t) =>
  weather(t, { cause: 'connections' }));

test('20,000 connections and few descriptors: some are kept for the admin port and the audit log', (t) =>
  weather(t, {
    descriptorsMax: 1024,
    limits: { connectionsMax: 20_000, tunnelsMax: 20_000 },
    cause: 'descriptors',
  }));

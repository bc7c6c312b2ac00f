/**
 * The distributor of a controller without a cluster: the test says what the directive is and which bundles there are,
 * and sees the reports. Plain HTTP on loopback. Shell: owns one server until the end of the test.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { createDistributor } from '../../src/controller/distributor.ts';
import type { Directive } from '../../src/rollout/directive.ts';
import type { Report, RolloutReport } from '../../src/rollout/report.ts';

export interface StagedDistributor {
  readonly url: string;
  /** Says something new about the set `main`; the generation rises by itself. */
  tell(change: Told): void;
  readonly reports: readonly Report[];
  /** The newest report about a rollout. */
  rollout(): RolloutReport | null;
  /** From now on this bundle cannot be had. */
  lose(archive: Uint8Array): void;
  /** How often each bundle was fetched, by digest. */
  readonly fetched: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface Told extends Partial<Omit<Directive, 'stable' | 'candidate'>> {
  readonly stable?: Uint8Array;
  readonly candidate?: Uint8Array | null;
}

export const digestOf = (archive: Uint8Array) =>
  `sha256:${createHash('sha256').update(archive).digest('hex')}`;

const first = (stable: Directive['stable']): Directive => ({
  set: 'main',
  generation: 1,
  phase: 'Stable',
  rolloutId: null,
  stable,
  candidate: null,
  mode: 'guarded',
  unit: 'agent',
  weight: 0,
  salt: '00'.repeat(16),
  selector: {},
  replayLastMs: null,
  maxStaleness: null,
});

export async function stageDistributor(
  t: TestContext,
  stable: Uint8Array | null,
  port = 0,
): Promise<StagedDistributor> {
  const bundles = new Map<string, Uint8Array>();
  const fetched = new Map<string, number>();
  const lost = new Set<string>();
  const reports: Report[] = [];
  const named = (archive: Uint8Array) => {
    const digest = digestOf(archive);
    bundles.set(digest, archive);
    return { digest, revision: digest.slice(7, 15), pieces: 1 };
  };
  let directive: Directive | null = stable === null ? null : first(named(stable));
  const distributor = createDistributor({
    authenticate: async () => ({ kind: 'sidecar', podUid: 'pod-1', namespace: 'agents' }),
    directive: () => directive,
    bundle: async (_set, digest) => {
      fetched.set(digest, (fetched.get(digest) ?? 0) + 1);
      return lost.has(digest) ? null : (bundles.get(digest) ?? null);
    },
    report: (report) => {
      reports.push(report);
      return true;
    },
    heard: () => [],
    failed: (error) => {
      throw error;
    },
    answered: () => undefined,
  });
  const server = createServer(distributor.app);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async () => {
    distributor.close();
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  t.after(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reports,
    fetched,
    lose: (archive) => lost.add(digestOf(archive)),
    tell({ stable: next, candidate, ...change }) {
      if (directive === null) throw new Error('a set without a state');
      directive = {
        ...directive,
        ...change,
        generation: directive.generation + 1,
        ...(next === undefined ? {} : { stable: named(next) }),
        ...(candidate === undefined
          ? {}
          : { candidate: candidate === null ? null : named(candidate) }),
      };
      distributor.changed('main');
    },
    rollout: () => reports.findLast(({ rollout }) => rollout !== null)?.rollout ?? null,
    close,
  };
}

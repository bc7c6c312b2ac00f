/**
 * `egret rollout watch`: a line for each change until the rollout is over; the exit code tells how. Shell: asks the API
 * server every second, writes to standard output.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { ApiError } from '../kubernetes/api-error.ts';
import { changeLines } from '../rollout/change-text.ts';
import { durationMs } from '../rollout/duration.ts';
import type { SetView } from '../rollout/set-view.ts';
import { statusJson } from '../rollout/status-json.ts';
import { KitError, runVerb, sayJson } from './kit-verb.ts';
import {
  type Cluster,
  type ClusterOptions,
  withCluster,
  withClusterOptions,
} from './rollout-cluster.ts';
import { tellPeople } from './rollout-output.ts';

interface Options extends ClusterOptions {
  readonly timeout?: string;
  readonly digest?: string;
  readonly json?: true;
}

const PROMOTED = 0;
const ENDED_BADLY = 1;
const TIMED_OUT = 3;
const POLL_MS = 1000;
/** So long an API server may be away before that is the answer. */
const AWAY_MS = 60_000;

export function watchCommand(): Command {
  return withClusterOptions(new Command('watch'))
    .description('print a line for each change until the rollout is over')
    .argument('<set>', 'name of a policy set')
    .option('--timeout <duration>', 'give up after so long, such as 90s or 2h; default never')
    .option(
      '--digest <digest>',
      'of the bundle that should be in force in the end; default candidate.digest of the set',
    )
    .option('--json', 'print one JSON object per change')
    .addHelpText(
      'after',
      '\nWithout a digest it is over when nothing is being rolled out, which can also be so before the controller has seen\n' +
        'a new bundle. Exit codes: 0 promoted, or stable already; 1 aborted or rejected; 2 wrong use, no such policy set,\n' +
        'or the API server refuses or stays away for a minute; 3 timeout.',
    )
    .action((set: string, options: Options) =>
      runVerb('rollout watch', () =>
        withCluster(options, (cluster) => watch(cluster, set, options)),
      ),
    );
}

async function watch(cluster: Cluster, set: string, options: Options): Promise<number> {
  const until =
    options.timeout === undefined ? Number.POSITIVE_INFINITY : deadline(options.timeout);
  let before: SetView | null = null;
  let heardAt = Date.now();
  for (;;) {
    const view = await cluster.view(set).catch((error: unknown) => {
      if (before === null || !isPassing(error) || Date.now() - heardAt > AWAY_MS) throw error;
      return null;
    });
    if (view !== null) {
      heardAt = Date.now();
      tell(before, view, options.json === true);
      before = view;
      const code = outcomeOf(view, options.digest ?? view.spec?.candidate.digest ?? null);
      if (code !== null) return code;
    }
    if (Date.now() + POLL_MS > until) return timedOut(set);
    await sleep(POLL_MS);
  }
}

/** Such a failure may be over in a moment. */
const isPassing = (error: unknown) =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);

function timedOut(set: string): number {
  process.stderr.write(`egret rollout watch: ${set} is not done within the timeout\n`);
  return TIMED_OUT;
}

function deadline(text: string): number {
  const ms = durationMs(text);
  if (ms === null) throw new KitError(`--timeout: found ${text}, expected a duration such as 90s`);
  return Date.now() + ms;
}

function tell(before: SetView | null, after: SetView, json: boolean): void {
  const problems = after.problems.filter((one) => before?.problems.includes(one) !== true);
  const lines =
    after.state === null ? [] : changeLines(before?.state ?? null, after.state, after.spec);
  const silent = before === null && after.state === null;
  if (json) {
    if (problems.length + lines.length > 0 || silent) sayJson(statusJson(after));
    return;
  }
  if (silent) tellPeople('no state yet; waiting for the controller');
  for (const problem of problems) tellPeople(`problem: ${problem}`);
  for (const line of lines) tellPeople(line);
}

/** @returns null while it is not over. */
function outcomeOf({ state }: SetView, digest: string | null): number | null {
  if (state === null) return null;
  const { phase, stable, refused } = state;
  if (digest !== null && refused?.digest === digest) return ENDED_BADLY;
  if (phase === 'Aborted' || phase === 'Rejected') {
    return digest === null || refused === null ? ENDED_BADLY : null;
  }
  if (phase !== 'Stable') return null;
  return digest === null || stable?.digest === digest ? PROMOTED : null;
}

/**
 * `egret rollout status | history`: what is, and what was. Exit codes: 0 shown, 2 wrong use, not there or not reachable.
 * Shell: asks the API server, writes to standard output.
 */
import { Command } from 'commander';
import { historyText } from '../rollout/history-text.ts';
import { statusJson } from '../rollout/status-json.ts';
import { statusTable, statusText } from '../rollout/status-text.ts';
import { KitError, runVerb, sayJson } from './kit-verb.ts';
import { programName } from './program-name.ts';
import { type ClusterOptions, withCluster, withClusterOptions } from './rollout-cluster.ts';
import { marks, tellPeople } from './rollout-output.ts';

interface StatusOptions extends ClusterOptions {
  readonly allNamespaces?: true;
  readonly json?: true;
}

const HELP =
  '\nTimes are UTC. Exit codes: 0 shown, 2 wrong use, no such policy set, or the API server refuses or is not there.';

export function statusCommand(): Command {
  return withClusterOptions(new Command('status'))
    .description('show all policy sets of a namespace, or one with its steps')
    .argument('[set]', 'name of a policy set; default all of them as a table')
    .option('-A, --all-namespaces', 'the sets of all namespaces')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((set: string | undefined, options: StatusOptions) =>
      runVerb('rollout status', () => status(set, options)),
    );
}

function status(set: string | undefined, options: StatusOptions): Promise<number> {
  const { json, allNamespaces: all = false } = options;
  if (all && set !== undefined) throw new KitError('-A: expected no name of a set beside it');
  return withCluster(options, async (cluster) => {
    const now = Date.now();
    if (set !== undefined) {
      const view = await cluster.view(set);
      const events = await cluster.events(view);
      if (json) sayJson({ ...statusJson(view), events });
      else tellPeople(statusText(view, { now, marks: marks(), events, program: programName() }));
      return 0;
    }
    const views = await cluster.views(all);
    const list = { apiVersion: 'egret.dev/v1alpha1', kind: 'RolloutStatusList' };
    if (json) sayJson({ ...list, items: views.map(statusJson) });
    else if (views.length > 0) tellPeople(statusTable(views, now, all));
    else tellPeople(`No policy sets found${all ? '' : ` in namespace ${cluster.namespace}`}.`);
    return 0;
  });
}

export function historyCommand(): Command {
  return withClusterOptions(new Command('history'))
    .description('show what was rolled out before, how it ended and who had a part in it')
    .argument('<set>', 'name of a policy set')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((set: string, options: StatusOptions) =>
      runVerb('rollout history', () => history(set, options)),
    );
}

function history(set: string, options: StatusOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const { namespace, state } = await cluster.view(set);
    const list = { apiVersion: 'egret.dev/v1alpha1', kind: 'RolloutHistory', namespace, set };
    const { rollout = null, history: entries = [] } = state ?? {};
    if (options.json) sayJson({ ...list, rollout, items: entries });
    else
      tellPeople(state === null ? 'Nothing was rolled out yet.' : historyText(state, Date.now()));
    return 0;
  });
}

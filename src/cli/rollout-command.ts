/**
 * `egret rollout promote | pause | resume | abort | retry | undo`: one annotation on the set, guarded by the version
 * that was looked at, and then what the controller makes of it. Exit codes: 0 carried out, 1 refused, 2 wrong use, no
 * such policy set, or the API server refuses, 3 nobody took it up. Shell: asks the API server and writes once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { changeTexts } from '../rollout/change-text.ts';
import {
  type CommandReading,
  commandAnnotations,
  commandFor,
  wasCarriedOut,
} from '../rollout/command-text.ts';
import { durationMs, durationText } from '../rollout/duration.ts';
import type { SetView } from '../rollout/set-view.ts';
import type { Verb } from '../rollout/state.ts';
import { statusJson } from '../rollout/status-json.ts';
import { phaseText } from '../rollout/status-text.ts';
import { KitError, REFUSED, runVerb, sayJson } from './kit-verb.ts';
import {
  type Cluster,
  type ClusterOptions,
  withCluster,
  withClusterOptions,
} from './rollout-cluster.ts';
import { tellPeople } from './rollout-output.ts';

interface Options extends ClusterOptions {
  readonly full?: true;
  readonly rollout?: string;
  readonly reason?: string;
  readonly wait: string;
  readonly dryRun?: true;
  readonly json?: true;
}

const NOT_TAKEN_UP = 3;
const POLL_MS = 300;
/** Whoever else writes to the set may come in between so often. */
const TRIES = 4;
const REASON_CHARS_MAX = 1024;
const EVENT_TRIES = 5;
/** Clocks differ, and the time of an Event is in whole seconds. An older refusal must not be taken for this one. */
const SKEW_MS = 5000;

const HELP =
  '\nThe command names the rollout that is under way, so it can never hit a later one. Needs the right to list, get and\n' +
  'patch ConfigMaps. Exit codes: 0 carried out; 1 refused here or by the controller; 2 wrong use, no such policy set, or\n' +
  'the API server refuses or is not there; 3 written, and nobody took it up in time.';

type CommandVerb = Exclude<Verb, 'promote-full'>;
const DESCRIPTIONS: Readonly<Record<CommandVerb, string>> = {
  promote: 'end the pause or step that the rollout is in; agrees to a widening, with --reason',
  pause: 'stay at the present weight until resume',
  resume: 'go on after a pause',
  abort: 'stop the rollout; the stable revision stays in force',
  retry: 'try a candidate again that was aborted or rejected',
  undo: 'go back to the revision that was in force before the stable one',
};

export const steeringCommands = (): Command[] =>
  (Object.keys(DESCRIPTIONS) as CommandVerb[]).map(steeringCommand);

function steeringCommand(verb: CommandVerb): Command {
  const command = withClusterOptions(new Command(verb))
    .description(DESCRIPTIONS[verb])
    .argument('<set>', 'name of a policy set')
    .option('--rollout <id>', 'refuse when another rollout is under way by now')
    .option('--reason <text>', 'why, for the history')
    .option('--wait <duration>', 'for the controller to take it up; 0s does not wait', '10s')
    .option('--dry-run', 'say what would be written, and write nothing')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((set: string, options: Options) =>
      runVerb(`rollout ${verb}`, () => steer(verb, set, options)),
    );
  return verb === 'promote'
    ? command.option('--full', 'put the candidate in force without the steps that are left')
    : command;
}

function steer(given: CommandVerb, set: string, options: Options): Promise<number> {
  const verb: Verb = options.full === true ? 'promote-full' : given;
  const waitMs = durationMs(options.wait);
  if (waitMs === null) {
    throw new KitError(`--wait: found ${options.wait}, expected a duration such as 10s`);
  }
  if ((options.reason?.length ?? 0) > REASON_CHARS_MAX) {
    throw new KitError(`--reason: expected at most ${REASON_CHARS_MAX} characters`);
  }
  return withCluster(options, async (cluster) => {
    const sinceMs = Date.now();
    const written = await write(cluster, verb, set, options);
    const { view, reading } = written;
    const tell = teller(verb, view, options.json === true);
    if (!reading.ok)
      return tell({ result: 'refused', sentence: reading.why, command: null }, REFUSED);
    const { text: command, announces } = reading;
    if (options.dryRun === true)
      return tell({ result: 'dry-run', sentence: announces, command }, 0);
    const after = await takenUp(cluster, set, command, waitMs);
    if (after === null) {
      const sentence = waitMs === 0 ? 'written, not waited for' : unheard(waitMs);
      return tell({ result: 'written', sentence, command }, waitMs === 0 ? 0 : NOT_TAKEN_UP);
    }
    return judge({ cluster, verb, before: view, after, command, tell, sinceMs });
  });
}

const unheard = (waitMs: number) =>
  `written, and nobody took it up within ${durationText(waitMs)}: is the controller running?`;

interface Written {
  readonly view: SetView;
  readonly reading: CommandReading;
}

/** Looks, decides and writes; looks again when somebody wrote in between. */
async function write(
  cluster: Cluster,
  verb: Verb,
  set: string,
  options: Options,
): Promise<Written> {
  const by = options.dryRun === true ? null : await cluster.whoIsAsking();
  const { rollout: rolloutId = null, reason = null } = options;
  let announced = '';
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const view = await cluster.view(set);
    const reading = commandFor(view, { verb, rolloutId, reason, nonce: Date.now().toString(36) });
    if (!reading.ok || options.dryRun === true) return { view, reading };
    if (options.json !== true && reading.announces !== announced) tellPeople(reading.announces);
    announced = reading.announces;
    if (await cluster.annotate(view, commandAnnotations(reading.text, by, reason))) {
      return { view, reading };
    }
  }
  throw new KitError(`${set}: somebody else keeps changing the set; nothing was written`);
}

/** @returns null when the time is up. */
async function takenUp(
  cluster: Cluster,
  set: string,
  command: string,
  waitMs: number,
): Promise<SetView | null> {
  const until = Date.now() + waitMs;
  while (Date.now() < until) {
    const view = await cluster.view(set);
    if (view.state?.observedCommand === command) return view;
    await sleep(POLL_MS);
  }
  return null;
}

interface Outcome {
  readonly result: 'carried-out' | 'refused' | 'written' | 'dry-run';
  readonly sentence: string;
  readonly command: string | null;
}
type Tell = (outcome: Outcome, code: number, after?: SetView) => number;

function teller(verb: Verb, before: SetView, json: boolean): Tell {
  return ({ result, sentence, command }, code, after) => {
    const { set, namespace } = before;
    if (json) {
      const status = statusJson(after ?? before);
      sayJson({ ok: code === 0, verb, namespace, set, command, result, sentence, status });
    } else if (code === 0)
      tellPeople(result === 'dry-run' ? `would write ${command}: ${sentence}` : sentence);
    else process.stderr.write(`egret rollout ${verb}: ${sentence}\n`);
    return code;
  };
}

interface Judging {
  readonly cluster: Cluster;
  readonly verb: Verb;
  readonly before: SetView;
  readonly after: SetView;
  readonly command: string;
  readonly tell: Tell;
  /** When the command was given, by the clock of this machine. */
  readonly sinceMs: number;
}

async function judge(given: Judging): Promise<number> {
  const { verb, before, after, command, tell } = given;
  if (
    before.state === null ||
    after.state === null ||
    wasCarriedOut(verb, before.state, after.state)
  ) {
    const texts = after.state === null ? [] : changeTexts(before.state, after.state, after.spec);
    const said = texts.filter((text) => !text.includes(command));
    const sentence = `${after.state === null ? 'done' : phaseText(after.state)}: ${said.join('; ')}`;
    return tell({ result: 'carried-out', sentence, command }, 0, after);
  }
  const why = await reasonOf(given);
  const about = after.object?.name ?? after.set;
  const sentence = `the controller did not carry it out: ${why ?? `see kubectl describe configmap ${about}`}`;
  return tell({ result: 'refused', sentence, command }, REFUSED, after);
}

/** From an Event, which comes after the state; null when it cannot be read or does not come. */
async function reasonOf({ cluster, verb, after, sinceMs }: Judging): Promise<string | null> {
  for (let tries = 1; tries <= EVENT_TRIES; tries += 1) {
    const events = await cluster.events(after);
    const said = events.findLast(
      ({ reason, message, atMs }) =>
        reason === 'CommandIgnored' && message.startsWith(`${verb}: `) && atMs > sinceMs - SKEW_MS,
    );
    if (said !== undefined) return said.message;
    await sleep(POLL_MS);
  }
  return null;
}

/**
 * `egret rollout status` for people: all sets as a table, or one set so that somebody who was woken up sees what is in
 * force, what is being tried, why it stands where it stands, and what can be said to it. Pure.
 */
import { type Condition, conditionsOf } from './condition.ts';
import { eventLines, type SetEvent } from './event-text.ts';
import { nextCommands } from './next-command.ts';
import type { SetView } from './set-view.ts';
import type { Rollout, RolloutState } from './state.ts';
import {
  ageText,
  clockText,
  countText,
  percentText,
  revisionName,
  revisionText,
  timeText,
  unitText,
} from './step-text.ts';
import { cut, tableLines } from './text-table.ts';
import { type Marks, timelineLines, timelineOf } from './timeline.ts';
import { shortDigest } from './turn.ts';

const MESSAGE_CHARS = 60;
const REVISION_CHARS = 24;
const LABEL_CHARS = 11;
const NO_STATE = 'no state yet; its bundle is missing, or no controller is running';

export const phaseText = ({ phase, pauseReason }: RolloutState): string =>
  pauseReason === null ? phase : `${phase}/${pauseReason}`;

/** @param all whether namespaces are a column. */
export function statusTable(views: readonly SetView[], now: number, all: boolean): string {
  if (views.length === 0) return 'No policy sets found.';
  const head = ['NAME', 'PHASE', 'STEP', 'WEIGHT', 'STABLE', 'CANDIDATE', 'AGE', 'MESSAGE'];
  const rows = views.map((view) => {
    const row = tableRow(view, now);
    return all ? [view.namespace, ...row] : row;
  });
  return tableLines(all ? ['NAMESPACE', ...head] : head, rows).join('\n');
}

function tableRow({ set, spec, state, problems }: SetView, now: number): string[] {
  const message = cut(problems[0] ?? state?.message ?? NO_STATE, MESSAGE_CHARS);
  if (state === null) return [set, 'Unknown', '-', '-', '-', '-', '-', message];
  const { rollout, stable } = state;
  return [
    set,
    phaseText(state),
    rollout === null ? '-' : `${Math.max(0, rollout.step + 1)}/${spec?.steps.length ?? '?'}`,
    rollout === null ? '-' : percentText(rollout.weight),
    stable === null ? 'none' : cut(revisionName(stable), REVISION_CHARS),
    rollout === null ? '-' : cut(revisionName(rollout.candidate), REVISION_CHARS),
    ageOf(state, now),
    message,
  ];
}

/** Of the rollout; of stable when none is under way and its promotion is remembered. */
function ageOf({ rollout, stable, history }: RolloutState, now: number): string {
  if (rollout !== null) return ageText(now - rollout.startedAtMs);
  const promoted = history
    .filter(({ result, revision }) => result === 'Promoted' && revision.digest === stable?.digest)
    .map(({ endedAtMs }) => endedAtMs);
  return promoted.length === 0 ? '-' : ageText(now - Math.max(...promoted));
}

export interface StatusOptions {
  readonly now: number;
  readonly marks: Marks;
  /** None when they cannot be read. */
  readonly events: readonly SetEvent[];
  /** As people type it. */
  readonly program: string;
}

export function statusText(view: SetView, { now, marks, events, program }: StatusOptions): string {
  const { state, set, namespace, object } = view;
  const name = object === null ? '' : `, ConfigMap ${object.name}`;
  const head = [labelled('policy set', `${set} (namespace ${namespace}${name})`)];
  if (state === null) head.push(labelled('phase', `Unknown: ${NO_STATE}`));
  const blocks: (readonly string[])[] = [
    state === null ? head : [...head, ...stateLines(view, state, now)],
    problemLines(view, marks),
    state === null ? [] : stepLines(view, state, now, marks),
    state === null ? [] : wideningLines(state.rollout, now),
    events.length === 0 ? [] : ['lately (UTC)', ...eventLines(events, now, marks)],
    conditionLines(conditionsOf(view), marks),
    commandLines(view, program),
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

const labelled = (label: string, text: string) => `${label.padEnd(LABEL_CHARS)}  ${text}`;

function stateLines(view: SetView, state: RolloutState, now: number): string[] {
  const { rollout, stable, previous } = state;
  const pausedIn = state.pausedIn === null ? '' : ` in ${state.pausedIn}`;
  const lines = [
    labelled(
      'phase',
      `${phaseText(state)}${pausedIn}, last change ${ageText(now - state.updatedAtMs)} ago`,
    ),
    labelled('', state.message),
    labelled('stable', revisionText(stable)),
  ];
  if (rollout === null && previous !== null) {
    lines.push(labelled('previous', revisionText(previous)));
  }
  if (rollout !== null) lines.push(...rolloutLines(view, state, rollout, now));
  else lines.push(...endLines(state, now));
  return lines;
}

function endLines({ history, refused }: RolloutState, now: number): string[] {
  const lines: string[] = [];
  const [last] = history;
  if (last !== undefined) {
    const { rolloutId, result, reason, endedAtMs } = last;
    const ago = `${ageText(now - endedAtMs)} ago`;
    const text = `${rolloutId} of ${revisionText(last.revision)}: ${result} ${ago}: ${reason}`;
    lines.push(labelled('last', text));
  }
  if (refused !== null) {
    lines.push(labelled('refused', `${shortDigest(refused.digest)}: ${refused.reason}`));
  }
  return lines;
}

function rolloutLines(view: SetView, state: RolloutState, rollout: Rollout, now: number): string[] {
  const { spec } = view;
  const started = `${timeText(rollout.startedAtMs)}, ${ageText(now - rollout.startedAtMs)} ago`;
  const lines = [
    labelled('candidate', revisionText(rollout.candidate)),
    labelled('rollout', `${rollout.id}, started ${started}`),
  ];
  if (spec !== null)
    lines.push(labelled('deadline', deadlineText(rollout.startedAtMs + spec.deadline, now)));
  lines.push(labelled('enforced', enforcedText(state, rollout)));
  lines.push(labelled('checks', looksText(view, rollout, now)));
  if (rollout.approval !== null) {
    const { by, why, atMs } = rollout.approval;
    lines.push(
      labelled(
        'approved',
        `by ${by || 'somebody unknown'} at ${clockText(atMs, now)}: ${why || 'no reason given'}`,
      ),
    );
  }
  return lines;
}

const deadlineText = (at: number, now: number) =>
  at > now ? `in ${ageText(at - now)}, then it is aborted` : 'over';

function enforcedText({ told, stable, phase }: RolloutState, { weight }: Rollout): string {
  if (stable === null) return 'nothing: no policy is in force yet';
  if (weight === 0 || phase === 'Aborted') return 'stable decides; the candidate changes nothing';
  const share =
    weight === 10_000
      ? `all ${unitText(told.unit)}`
      : `${percentText(weight)} of ${unitText(told.unit)}`;
  const rest = weight === 10_000 ? '' : '; stable decides for the rest';
  return told.mode === 'guarded'
    ? `for ${share} stable and candidate must both allow (guarded)${rest}`
    : `for ${share} the candidate decides${rest}`;
}

function looksText({ spec }: SetView, rollout: Rollout, now: number): string {
  const failed = `${rollout.failures} failed`;
  const open = `${rollout.inconclusive} in a row without a conclusion`;
  const ago = ageText(now - rollout.lastLookAtMs);
  const last =
    rollout.lastLook === 'none' ? 'none in this step yet' : `last ${rollout.lastLook} ${ago} ago`;
  if (spec === null) return `${failed}, ${open}; ${last}`;
  const { failureLimit, inconclusiveLimit } = spec.analysis;
  return `${failed} (${failureLimit} forgiven), ${open} (limit ${inconclusiveLimit}); ${last}`;
}

function problemLines({ problems }: SetView, marks: Marks): string[] {
  if (problems.length === 0) return [];
  return [
    'problems: nothing moves on until they are gone',
    ...problems.map((one) => `  ${marks.bad} ${one}`),
  ];
}

function stepLines(view: SetView, state: RolloutState, now: number, marks: Marks): string[] {
  const steps = timelineOf(view.spec, state);
  if (steps.length === 0) return [];
  return ['steps (UTC)', ...timelineLines(steps, state, now, marks)];
}

function wideningLines(rollout: Rollout | null, now: number): string[] {
  if (rollout === null || rollout.widening === null) return [];
  const { count, examples } = rollout.widening;
  const rows = examples.map(({ tool, stable, candidate, at, decisionId }) => [
    `  ${cut(tool, 30)}`,
    saidText(stable),
    saidText(candidate),
    clockText(Date.parse(at) || now, now),
    decisionId,
  ]);
  const head = ['  TOOL', 'STABLE SAID', 'CANDIDATE SAID', 'AT', 'DECISION'];
  const sentence = `widening: the candidate allows ${countText(count, 'call')} that stable denies`;
  return rows.length === 0 ? [sentence] : [sentence, ...tableLines(head, rows)];
}

const saidText = ({
  outcome,
  reason,
  rule,
}: {
  outcome: string;
  reason: string;
  rule: string | null;
}) => cut(`${outcome} ${reason}${rule === null ? '' : ` (${rule})`}`, 48);

function conditionLines(conditions: readonly Condition[], marks: Marks): string[] {
  const width = Math.max(...conditions.map(({ type }) => type.length));
  const wrong = ({ type, status }: Condition) => !status && type !== 'Progressing';
  return [
    'conditions',
    ...conditions.map((one) => {
      const mark = one.status ? marks.done : wrong(one) ? marks.bad : marks.next;
      const why = one.status || !wrong(one) ? one.reason : `${one.reason}: ${one.message}`;
      return `  ${mark} ${one.type.padEnd(width)}  ${one.status ? 'True ' : 'False'}  ${why}`;
    }),
  ];
}

function commandLines(view: SetView, program: string): string[] {
  const commands = nextCommands(view, program);
  if (commands.length === 0) return [];
  const width = Math.max(...commands.map(({ line }) => line.length));
  return [
    'what you can say',
    ...commands.map(({ line, does }) => `  ${line.padEnd(width)}  # ${does}`),
  ];
}

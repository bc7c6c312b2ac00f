/** What a human can sensibly say to a policy set in its present state, ready to be pasted. Pure. */
import { isMoving } from './condition.ts';
import type { PauseReason } from './directive.ts';
import type { SetView } from './set-view.ts';
import { revisionText } from './step-text.ts';

export interface NextCommand {
  readonly line: string;
  readonly does: string;
}

const WHEN_PAUSED: Readonly<Record<PauseReason, readonly (readonly [string, string])[]>> = {
  Approval: [['promote', 'agree and go on']],
  Widening: [["promote --reason '...'", 'agree that it allows more, and go on']],
  Manual: [['resume', 'go on']],
  Failed: [['resume', 'go on and look again']],
  Inconclusive: [['resume', 'go on and look again']],
  NoData: [['resume', 'go on and look again']],
  Step: [['promote', 'end this pause now']],
  Window: [['promote', 'go on outside of the windows']],
};

/** @param program as people type it. */
export function nextCommands(
  { set, namespace, state }: SetView,
  program: string,
): readonly NextCommand[] {
  if (state === null) return [];
  const line = (words: string, does: string): NextCommand => {
    const [verb = '', ...rest] = words.split(' ');
    return { line: [program, 'rollout', verb, set, '-n', namespace, ...rest].join(' '), does };
  };
  const { phase, pauseReason, previous, stable } = state;
  const abort = line('abort', `stop it; ${stable === null ? 'nothing' : 'stable'} stays in force`);
  if (phase === 'Paused') {
    const said = WHEN_PAUSED[pauseReason ?? 'Manual'].map(([words, does]) => line(words, does));
    return [...said, abort];
  }
  if (phase === 'Aborted' || phase === 'Rejected')
    return [line('retry', 'try the candidate again')];
  if (isMoving(phase)) return [line('pause', 'stay at this weight'), abort];
  return previous === null ? [] : [line('undo', `go back to ${revisionText(previous)}`)];
}

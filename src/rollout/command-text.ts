/**
 * A command to the controller: whether it makes sense in the state that the human sees, and the text of the annotation
 * that gives it. The controller decides again; a refusal here only comes sooner and says more. Pure.
 */

import { ANNOTATIONS } from './objects.ts';
import type { PolicySetSpec } from './policy-set.ts';
import { needsApproval } from './progress.ts';
import type { SetView } from './set-view.ts';
import type { Rollout, RolloutState, Verb } from './state.ts';
import { phaseText } from './status-text.ts';
import { revisionText } from './step-text.ts';
import { commandId } from './turn.ts';

export interface Wish {
  readonly verb: Verb;
  /** The rollout that the human means; null means the present one. */
  readonly rolloutId: string | null;
  readonly reason: string | null;
  /** Makes two equal commands two commands. */
  readonly nonce: string;
}

export type CommandReading =
  | { readonly ok: true; readonly text: string; readonly announces: string }
  | { readonly ok: false; readonly why: string };

export function commandFor(view: SetView, wish: Wish): CommandReading {
  const { state, object, set, spec } = view;
  if (object === null) return refused(`no ConfigMap holds the policy set ${set}`);
  if (state === null)
    return refused('there is no state yet: its bundle is missing, or no controller is running');
  const id = commandId(state);
  if (wish.rolloutId !== null && wish.rolloutId !== id) {
    const now = id === '' ? 'there is none' : `now it is ${id} (${phaseText(state)})`;
    return refused(`rollout ${wish.rolloutId} is not the present one: ${now}`);
  }
  if (id === '') return refused('nothing was rolled out yet');
  const senseless = objection(state, spec, wish);
  if (senseless !== null) return refused(senseless);
  return {
    ok: true,
    text: `${wish.verb}:${id}:${wish.nonce}`,
    announces: announcement(state, wish, id),
  };
}

const refused = (why: string) => ({ ok: false, why }) as const;

/** As the controller will see it; it decides again. */
function objection(state: RolloutState, spec: PolicySetSpec | null, wish: Wish): string | null {
  const { rollout, previous, refused: bad } = state;
  const { verb } = wish;
  if (verb === 'retry' || verb === 'undo') {
    if (rollout !== null) return `rollout ${rollout.id} is under way: say abort to stop it`;
    if (verb === 'retry') return bad === null ? 'there is nothing to try again' : null;
    return previous === null ? 'there is no revision to go back to' : null;
  }
  if (rollout === null) return `nothing is being rolled out: the phase is ${phaseText(state)}`;
  if (verb === 'abort') return null;
  if (verb === 'pause') return waitsForPerson(state) ? `it is ${phaseText(state)} already` : null;
  if (spec === null)
    return 'rollout.yaml is missing or wrong; until it is good only abort and pause work';
  return verb === 'resume' ? objectionToResume(state) : objectionToPromote(rollout, spec, wish);
}

const waitsForPerson = ({ pauseReason }: RolloutState) =>
  ['Approval', 'Widening', 'Failed', 'Manual'].includes(pauseReason ?? '');

function objectionToResume({ phase, pauseReason }: RolloutState): string | null {
  if (phase !== 'Paused') return `it is not paused: the phase is ${phase}`;
  if (pauseReason === 'Approval' || pauseReason === 'Widening') return 'it waits for promote';
  const byItself = pauseReason === 'Step' || pauseReason === 'Window';
  return byItself ? 'it goes on by itself; promote ends the pause now' : null;
}

function objectionToPromote(rollout: Rollout, spec: PolicySetSpec, wish: Wish): string | null {
  if (needsApproval(spec, rollout)) {
    const seen = `the candidate allows calls that stable denies (${rollout.widening?.count} seen)`;
    if (wish.verb === 'promote-full') return `${seen}: approve that first, promote without --full`;
    return wish.reason === null ? `${seen}: say why that is right with --reason` : null;
  }
  return rollout.lastLook === 'failed'
    ? 'the last checks failed: abort, or wait until they pass'
    : null;
}

function announcement(state: RolloutState, { verb }: Wish, id: string): string {
  const { rollout, stable, previous, refused: bad } = state;
  if (verb === 'undo') return `goes back from ${revisionText(stable)} to ${revisionText(previous)}`;
  if (verb === 'retry') return `tries the candidate again that was refused: ${bad?.reason ?? ''}`;
  const candidate = revisionText(rollout?.candidate ?? null);
  if (verb === 'abort') {
    return `stops rollout ${id} of ${candidate}; in force stays ${revisionText(stable)}`;
  }
  if (verb === 'promote-full') return `puts ${candidate} in force without the steps that are left`;
  return `${verb}: rollout ${id} of ${candidate}`;
}

/** Whether the state after a command shows that it was carried out, and not only read. */
export function wasCarriedOut(verb: Verb, before: RolloutState, after: RolloutState): boolean {
  const [old, now] = [before.rollout, after.rollout];
  switch (verb) {
    case 'promote':
    case 'promote-full': {
      if (old === null) return false;
      if (now === null) return after.stable?.digest === old.candidate.digest;
      const said = [now.approval?.atMs, now.forced?.atMs];
      const known = [old.approval?.atMs, old.forced?.atMs];
      return said.join() !== known.join() || now.step !== old.step;
    }
    case 'pause':
      return before.pauseReason !== 'Manual' && after.pauseReason === 'Manual';
    case 'resume':
      return before.phase === 'Paused' && after.pauseReason !== before.pauseReason;
    case 'abort':
      return old !== null && now?.id !== old.id;
    case 'retry':
      // Refused again is an answer, too.
      return before.refused !== null && (after.refused === null || isNew(before, after));
    case 'undo':
      return after.stable?.digest === before.previous?.digest;
  }
}

const isNew = (before: RolloutState, after: RolloutState) =>
  after.rollout !== null || commandId(after) !== commandId(before);

/** What a merge patch of the set has to hold; what an earlier command left behind goes away. */
export const commandAnnotations = (
  text: string,
  by: string | null,
  reason: string | null,
): Readonly<Record<string, string | null>> => ({
  [ANNOTATIONS.command]: text,
  [ANNOTATIONS.commandBy]: by,
  [ANNOTATIONS.commandReason]: reason,
});

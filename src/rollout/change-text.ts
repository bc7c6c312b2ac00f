/** What changed between two states of a policy set, one line each, for `egret rollout watch`. Pure. */
import type { PolicySetSpec } from './policy-set.ts';
import type { Rollout, RolloutState } from './state.ts';
import { phaseText } from './status-text.ts';
import { stepText } from './step-place.ts';
import { ageText, countText, percentText, revisionText, timeText } from './step-text.ts';

const PHASE_CHARS = 20;

/** @returns lines that start with the time of the newer state; none when nothing that people read changed. */
export function changeLines(
  before: RolloutState | null,
  after: RolloutState,
  spec: PolicySetSpec | null,
): readonly string[] {
  const texts = changeTexts(before, after, spec);
  const head = `${timeText(after.updatedAtMs)}  ${phaseText(after).padEnd(PHASE_CHARS)}`;
  return texts.map((text) => `${head}  ${text}`);
}

/** As `changeLines`, without time and phase. */
export const changeTexts = (
  before: RolloutState | null,
  after: RolloutState,
  spec: PolicySetSpec | null,
): readonly string[] => once(before === null ? summary(after, spec) : changes(before, after, spec));

/** The message of the state often says what another text says, too. */
const once = (texts: readonly string[]): readonly string[] =>
  texts.filter(
    (text, at) => !texts.some((other, place) => place !== at && says(other, text, place < at)),
  );

const says = (other: string, text: string, earlier: boolean) =>
  other.toLowerCase().includes(text.toLowerCase()) && (earlier || other.length > text.length);

function summary(state: RolloutState, spec: PolicySetSpec | null): string[] {
  const { rollout } = state;
  if (rollout === null) return [`in force: ${revisionText(state.stable)}`, state.message];
  return [startText(state, rollout), placeText(rollout, spec), state.message];
}

function changes(before: RolloutState, after: RolloutState, spec: PolicySetSpec | null): string[] {
  const { rollout: old } = before;
  const { rollout } = after;
  const texts: string[] = [];
  if (after.observedCommand !== before.observedCommand && after.observedCommand !== null) {
    texts.push(`command ${after.observedCommand} was read`);
  }
  texts.push(...endings(before, after));
  if (after.stable !== null && after.stable.digest !== before.stable?.digest) {
    texts.push(
      `in force now: ${revisionText(after.stable)}, before: ${revisionText(before.stable)}`,
    );
  }
  if (rollout !== null && rollout.id !== old?.id) texts.push(startText(after, rollout));
  if (rollout !== null) texts.push(...progress(old?.id === rollout.id ? old : null, rollout, spec));
  const moved = phaseText(before) !== phaseText(after) || before.message !== after.message;
  if (moved && after.message !== '') texts.push(after.message);
  return texts;
}

function endings(before: RolloutState, after: RolloutState): string[] {
  const known = new Set(before.history.map((entry) => `${entry.rolloutId} ${entry.endedAtMs}`));
  return after.history
    .filter((entry) => !known.has(`${entry.rolloutId} ${entry.endedAtMs}`))
    .map(({ rolloutId, result, revision, reason, startedAtMs, endedAtMs }) => {
      const took = ageText(endedAtMs - startedAtMs);
      return `rollout ${rolloutId} ended after ${took}: ${result} ${revisionText(revision)}: ${reason}`;
    });
}

const startText = (state: RolloutState, rollout: Rollout) =>
  `rollout ${rollout.id}: ${revisionText(rollout.candidate)} beside ${revisionText(state.stable)}`;

function placeText({ step, weight }: Rollout, spec: PolicySetSpec | null): string {
  const now = spec?.steps[step];
  const what = now === undefined ? '' : `: ${stepText(now)}`;
  const count = spec === null ? '' : ` of ${spec.steps.length}`;
  if (step < 0) return 'before the first step';
  const share = weight === 0 ? 'not enforced' : `enforced for ${percentText(weight)}`;
  return `step ${step + 1}${count}${what}, ${share}`;
}

function progress(old: Rollout | null, rollout: Rollout, spec: PolicySetSpec | null): string[] {
  const texts: string[] = [];
  if (rollout.step !== (old?.step ?? -1) || rollout.weight !== (old?.weight ?? 0)) {
    texts.push(placeText(rollout, spec));
  }
  if (old === null) return texts;
  if (rollout.failures > old.failures) {
    const limit = spec === null ? '' : ` (${spec.analysis.failureLimit} forgiven)`;
    texts.push(`checks failed, ${rollout.failures} so far${limit}`);
  }
  if (rollout.inconclusive > old.inconclusive) {
    texts.push(`checks without a conclusion, ${rollout.inconclusive} in a row`);
  }
  if ((rollout.widening?.count ?? 0) > (old.widening?.count ?? 0)) {
    const calls = countText(rollout.widening?.count ?? 0, 'call');
    texts.push(`allows ${calls} that stable denies`);
  }
  if (rollout.approval !== null && rollout.approval.atMs !== old.approval?.atMs) {
    const { by, why } = rollout.approval;
    texts.push(`approved by ${by || 'somebody unknown'}: ${why || 'no reason given'}`);
  }
  return texts;
}

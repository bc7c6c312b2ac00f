/**
 * What one look at the reports does to a rollout, in every phase, also while a person is waited for: hard failures roll
 * back at once, soft ones beyond the limit, no conclusion holds, and what allows more waits for a person. Pure.
 */
import type { PolicySetSpec } from './policy-set.ts';
import { askForWidening, needsApproval, resumeStep } from './progress.ts';
import type { Example } from './report.ts';
import type { Analysis, Look, Rollout } from './state.ts';
import { abortRollout, changeRollout, pauseRollout, plain, say, type Turn } from './turn.ts';

export function takeLook(turn: Turn) {
  const { analysis, spec } = turn.seen;
  const { rollout } = turn.state;
  const { rollout: looked } = turn.before;
  // A look is about the rollout that the state had when it was made.
  if (analysis === null || rollout === null || looked?.id !== rollout.id) return;
  changeRollout(turn, { lastLookAtMs: turn.nowMs, ...widened(analysis, rollout) });
  const { look, final } = judged(analysis, spec, rollout);
  if (look.result === 'failed' && look.hard) {
    say(turn, 'Warning', 'AnalysisFailed', look.reasons.join('; '));
    return abortRollout(turn, look.reasons.join('; '));
  }
  if (spec === null) {
    if (look.result === 'failed' && !rollout.revert) changeRollout(turn, { lastLook: 'failed' });
    return;
  }
  const sameStep =
    looked.step === rollout.step && looked.stepStartedAtMs === rollout.stepStartedAtMs;
  // Bad news of a step that just ended is news all the same.
  if (sameStep || look.result === 'failed') count(turn, spec, look, final);
  wideningPause(turn, spec);
}

function widened({ newlyAllowed, examples, replay }: Analysis, { widening }: Rollout) {
  const count = Math.max(newlyAllowed, replay?.newlyAllowed ?? 0, widening?.count ?? 0);
  if (count === 0) return {};
  const shown = examples.filter((example) => example.class === 'newly_allowed').map(shortened);
  // The first ones stay: a state that changes with every look would be written with every look.
  const kept = widening?.examples ?? [];
  return { widening: { count, examples: kept.length > 0 ? kept : shown.slice(0, EXAMPLES_KEPT) } };
}
const EXAMPLES_KEPT = 10;
const NAME_CHARS_MAX = 96;

function shortened(example: Example): Example {
  const short = (text: string) => plain(text, NAME_CHARS_MAX);
  const said = ({ outcome, reason, rule }: Example['stable']) => ({
    outcome: short(outcome),
    reason: short(reason),
    rule: rule === null ? null : short(rule),
  });
  const { stable, candidate } = example;
  const names = { tool: short(example.tool), decisionId: plain(example.decisionId, 64) };
  return { ...example, ...names, stable: said(stable), candidate: said(candidate) };
}

/** The look, and what the machine itself must find: defence against an analysis that overlooks it. */
function judged(
  { look, newlyAllowed, replay }: Analysis,
  spec: PolicySetSpec | null,
  { step }: Rollout,
): { look: Look; final: boolean } {
  if (spec === null || look.result === 'failed') return { look, final: false };
  const allowed = Math.max(newlyAllowed, replay?.newlyAllowed ?? 0);
  if (spec.analysis.checks.newlyAllowed === 'fail' && allowed > 0) {
    const reasons = [`allows ${allowed} calls that stable denies`];
    // Records do not change, so another look would find the same.
    return { look: { result: 'failed', hard: false, reasons }, final: newlyAllowed === 0 };
  }
  const now = spec.steps[step];
  if (now === undefined || !('replay' in now) || replay === null || !replay.done) {
    return { look, final: false };
  }
  const { newlyDeniedMax, minDecisions } = now.replay;
  if (replay.newlyDenied > newlyDeniedMax * replay.decisions) {
    const reasons = [`denies ${replay.newlyDenied} of ${replay.decisions} recorded calls`];
    return { look: { result: 'failed', hard: false, reasons }, final: true };
  }
  if (replay.decisions < minDecisions) {
    const reasons = [`${replay.decisions} recorded calls, expected at least ${minDecisions}`];
    return { look: { result: 'inconclusive', reasons }, final: false };
  }
  return { look, final: false };
}

function count(turn: Turn, spec: PolicySetSpec, look: Look, final: boolean) {
  const { rollout, pauseReason } = turn.state;
  if (rollout === null) return;
  switch (look.result) {
    case 'passed':
      changeRollout(turn, { lastLook: 'passed', inconclusive: 0 });
      if (pauseReason === 'NoData' || pauseReason === 'Inconclusive') {
        resumeStep(turn, spec, 'A look passed');
      }
      return;
    case 'failed':
      return failed(turn, spec, look.reasons, final);
    case 'inconclusive':
    case 'no_data':
      return unclear(turn, spec, look);
    default:
      return look satisfies never;
  }
}

function failed(turn: Turn, spec: PolicySetSpec, reasons: readonly string[], final: boolean) {
  const { rollout, pauseReason } = turn.state;
  // What stable does is what a revert wants to get away from: differences from it are no failure.
  if (rollout === null || rollout.revert) return;
  changeRollout(turn, { lastLook: 'failed', inconclusive: 0 });
  if (pauseReason === 'Failed') return;
  const failures = rollout.failures + 1;
  changeRollout(turn, { failures });
  const reason = reasons.join('; ');
  const { failureLimit } = spec.analysis;
  say(turn, 'Warning', 'AnalysisFailed', `${reason} (${failures}, forgiven are ${failureLimit})`);
  if (!final && failures <= failureLimit) return;
  if (spec.onFailure === 'rollback') return abortRollout(turn, reason);
  pauseRollout(turn, 'Failed', `Failed: ${reason}; resume or abort`);
}

function unclear(
  turn: Turn,
  spec: PolicySetSpec,
  look: Extract<Look, { readonly result: 'inconclusive' | 'no_data' }>,
) {
  const { rollout, phase, pauseReason } = turn.state;
  if (rollout === null) return;
  const lastLook = rollout.lastLook === 'failed' ? 'failed' : 'unclear';
  changeRollout(turn, { lastLook });
  if (pauseReason === 'NoData' && look.result === 'inconclusive') {
    changeRollout(turn, { inconclusive: 0 });
    return resumeStep(turn, spec, 'Data are back');
  }
  if (phase === 'Paused') return;
  const inconclusive = rollout.inconclusive + 1;
  changeRollout(turn, { inconclusive });
  if (inconclusive <= spec.analysis.inconclusiveLimit) return;
  const reason = look.result === 'no_data' ? 'NoData' : 'Inconclusive';
  pauseRollout(turn, reason, `No conclusion: ${look.reasons.join('; ')}`);
}

function wideningPause(turn: Turn, spec: PolicySetSpec): void {
  const { rollout, pauseReason } = turn.state;
  if (rollout === null || !needsApproval(spec, rollout)) return;
  if (spec.analysis.checks.newlyAllowed === 'fail') return;
  // These wait for a person anyway, and what they wait for comes first.
  if (pauseReason === 'Widening' || pauseReason === 'Failed' || pauseReason === 'Manual') return;
  askForWidening(turn, rollout);
}

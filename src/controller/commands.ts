/**
 * What a person asked for: the command annotation of a policy set. An annotation can hold anything, so whatever is no
 * command is a problem to show and nothing else. Pure.
 */
import { ANNOTATIONS } from '../rollout/objects.ts';
import { type Command, VERBS, type Verb } from '../rollout/state.ts';

export type CommandSeen =
  | { readonly ok: true; readonly command: Command | null }
  | { readonly ok: false; readonly problem: string };

const TEXT_MAX = 256;
const REASON_MAX = 1024;

/** @param annotations of the set's ConfigMap. */
export function commandOf(annotations: Readonly<Record<string, string>>): CommandSeen {
  const text = annotations[ANNOTATIONS.command];
  if (text === undefined || text === '') return { ok: true, command: null };
  const [verb = '', rolloutId = ''] = text.slice(0, TEXT_MAX).split(':');
  if (!isVerb(verb) || text.length > TEXT_MAX) {
    const expected = `<verb>:<rollout id>, with a verb of ${VERBS.join(', ')}`;
    const problem = `${ANNOTATIONS.command}: found ${JSON.stringify(text.slice(0, 60))}, expected ${expected}`;
    return { ok: false, problem };
  }
  const by = (annotations[ANNOTATIONS.commandBy] ?? '').slice(0, TEXT_MAX);
  const why = (annotations[ANNOTATIONS.commandReason] ?? '').slice(0, REASON_MAX);
  return { ok: true, command: { text, verb, rolloutId, by, why } };
}

const isVerb = (text: string): text is Verb => (VERBS as readonly string[]).includes(text);

/** Options of the verbs of policy authors. Pure. */
import { AuthorError } from '../author/policy-source.ts';

/** Exit code of a command that found what it looks for. */
export const FOUND = 1;

/** @throws AuthorError */
export function numberOption(name: string, text: string, min: number, max: number): number {
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new AuthorError(`${name}: found ${text}, expected a whole number from ${min} to ${max}`);
}

/** Null when there is none. @throws AuthorError */
export function patternOption(name: string, text: string | undefined): RegExp | null {
  if (text === undefined) return null;
  try {
    return new RegExp(text, 'u');
  } catch {
    throw new AuthorError(`${name}: found ${text}, expected a regular expression`);
  }
}

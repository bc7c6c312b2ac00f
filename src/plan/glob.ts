/**
 * Globs as OPA has them, translated to regular expressions of RE2: `*` within delimiters, `**` across them, `?`,
 * `[a-z]`, `[!abc]`, `{one,two}` and `\` before a character that stands for itself. Pure.
 */

/** @returns null when the glob is broken, or a delimiter is no single character. */
export function globExpression(glob: string, delimiters: readonly string[]): string | null {
  if (!delimiters.every((mark) => [...mark].length === 1)) return null;
  const single = delimiters.length === 0 ? '.' : `[^${delimiters.map(escaped).join('')}]`;
  const body = new GlobReader(glob, single).alternatives(0);
  return body === null ? null : `^${body}$`;
}

const escaped = (text: string) => text.replace(/[.,:"=<>[\]^/\\{}|*+?()$-]/g, '\\$&');

const DEPTH_MAX = 100;

/** Owns the position in one glob. */
class GlobReader {
  readonly #points: readonly string[];
  readonly #single: string;
  #at = 0;

  constructor(glob: string, single: string) {
    this.#points = [...glob];
    this.#single = single;
  }

  /** At depth 0 the whole glob, deeper the inside of braces. */
  alternatives(depth: number): string | null {
    if (depth > DEPTH_MAX) return null;
    let text = '';
    for (; this.#at < this.#points.length; ) {
      const point = this.#points[this.#at++] as string;
      if (depth > 0 && point === '}') return text;
      const part = depth > 0 && point === ',' ? '|' : this.#part(point, depth);
      if (part === null) return null;
      text += part;
    }
    return depth === 0 ? text : null;
  }

  #part(point: string, depth: number): string | null {
    switch (point) {
      case '*':
        if (this.#points[this.#at] !== '*') return `${this.#single}*`;
        this.#at++;
        return '.*';
      case '?':
        return this.#single;
      case '[':
        return this.#range();
      case '{': {
        const inside = this.alternatives(depth + 1);
        return inside === null ? null : `(${inside})`;
      }
      case '\\':
        return escaped(this.#points[this.#at++] ?? '');
      default:
        return escaped(point);
    }
  }

  #range(): string | null {
    const close = this.#points.indexOf(']', this.#at + 1);
    if (close === -1) return null;
    const inside = this.#points.slice(this.#at, close);
    this.#at = close + 1;
    const not = inside[0] === '!' ? inside.shift() : undefined;
    const start = not === undefined ? '[' : '[^';
    const [low, dash, high] = inside;
    if (dash === '-' && low !== undefined) {
      if (inside.length !== 3 || high === undefined || high < low) return null;
      return `${start}${escaped(low)}-${escaped(high)}]`;
    }
    return inside.length === 0 ? null : `${start}${inside.map(escaped).join('')}]`;
  }
}

/**
 * Remembers what names resolve to, for as long as DNS says and never longer than a minute; calls that ask for one name
 * at once share one question. Bounded in names and in questions under way. What an answer means is judged by whoever
 * asks, each time anew. Shell: owns the remembered answers.
 */
import type { NameAnswer, NameLookup } from './name-lookup.ts';

export interface NameCacheOptions {
  readonly lookup: NameLookup;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Names kept; the one learned first goes first. Default 1024. */
  readonly namesMax?: number;
  /** Questions under way; further ones are not asked and count as unanswered. Default 256. */
  readonly questionsMax?: number;
}

/** Longer than this no answer is believed: a name that moves must not be held at its old place. */
const TTL_MS_MAX = 60_000;
/** A name that does not exist may exist soon. */
const NEGATIVE_MS = 5000;
/** Spares a failing server the same question by every call. */
const UNANSWERED_MS = 500;

interface Kept {
  readonly answer: NameAnswer;
  readonly untilMs: number;
}

export class NameCache {
  readonly #options: Required<NameCacheOptions>;
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<string, Promise<NameAnswer>>();

  constructor(options: NameCacheOptions) {
    this.#options = { namesMax: 1024, questionsMax: 256, ...options };
  }

  /** Names remembered now. */
  get size(): number {
    return this.#kept.size;
  }

  /** An answer with a TTL of zero serves the calls that wait for it and no later one. */
  ask(name: string): Promise<NameAnswer> {
    const kept = this.#kept.get(name);
    if (kept !== undefined && kept.untilMs > this.#options.nowMs()) {
      return Promise.resolve(kept.answer);
    }
    this.#kept.delete(name);
    const asked = this.#asked.get(name);
    if (asked !== undefined) return asked;
    if (this.#asked.size >= this.#options.questionsMax) {
      return Promise.resolve({ ok: false, lasting: false });
    }
    const question = this.#question(name);
    this.#asked.set(name, question);
    return question;
  }

  async #question(name: string): Promise<NameAnswer> {
    try {
      const answer = await this.#options.lookup(name);
      this.#keep(name, answer);
      return answer;
    } finally {
      this.#asked.delete(name);
    }
  }

  #keep(name: string, answer: NameAnswer): void {
    const forMs = keptMs(answer);
    if (forMs <= 0) return;
    if (this.#kept.size >= this.#options.namesMax) {
      const [first] = this.#kept.keys();
      if (first !== undefined) this.#kept.delete(first);
    }
    this.#kept.set(name, { answer, untilMs: this.#options.nowMs() + forMs });
  }
}

function keptMs(answer: NameAnswer): number {
  if (answer.ok) return Math.min(answer.ttlSeconds * 1000, TTL_MS_MAX);
  return answer.lasting ? NEGATIVE_MS : UNANSWERED_MS;
}

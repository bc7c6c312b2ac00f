/**
 * What a user explicitly provided: hashes of files that a front end registered with its own credential. A policy
 * information point: it turns `explicit_user_upload` and the age of an attachment into facts instead of claims.
 * Bounded, kept in memory only: after a restart every attachment is of unknown source, which denies. Time is a
 * parameter, in milliseconds of a clock that never goes back. Pure.
 */
import type { Attachment } from '../call/tool-call.ts';
import type { AttachmentFact } from './input.ts';

export interface UploadBounds {
  readonly uploadsMax: number;
  readonly ageMsMax: number;
}

const MINUTE_MS = 60_000;

/** Owns the registered hashes. */
export class UploadRegistry {
  readonly #bounds: UploadBounds;
  /** SHA-256 to the time of the newest registration, oldest first. */
  readonly #registered = new Map<string, number>();

  constructor(bounds: UploadBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#registered.size;
  }

  /** @param sha256 64 lower-case hex digits. */
  register(sha256: string, nowMs: number): void {
    this.#registered.delete(sha256);
    this.#registered.set(sha256, nowMs);
    this.#forget(nowMs);
  }

  facts(attachments: readonly Attachment[], nowMs: number): readonly AttachmentFact[] {
    return attachments.map((attachment) => {
      const at = this.#registered.get(attachment.sha256);
      if (at === undefined || nowMs - at > this.#bounds.ageMsMax) {
        return { ...attachment, source: 'unknown', age_minutes: null };
      }
      const age_minutes = Math.ceil(((nowMs - at) / MINUTE_MS) * 1000) / 1000;
      return { ...attachment, source: 'explicit_user_upload', age_minutes };
    });
  }

  #forget(nowMs: number): void {
    for (const [sha256, at] of this.#registered) {
      const old = nowMs - at > this.#bounds.ageMsMax;
      if (!old && this.#registered.size <= this.#bounds.uploadsMax) return;
      this.#registered.delete(sha256);
    }
  }
}

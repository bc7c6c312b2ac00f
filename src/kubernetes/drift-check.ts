/**
 * The safety net under a watch: a list is compared with the view that the watch has built, while the watch goes on. What
 * the list knows, the watch must have said by the time it has come as far. Names that events were about meanwhile are
 * left out: there either of the two may be the newer one. Pure.
 */
import { notOlder } from './object.ts';
import { differences, type View } from './reflection.ts';

export class DriftCheck {
  readonly #touched = new Set<string>();
  #listed: { readonly view: View; readonly resourceVersion: string } | null = null;

  /** An event was about this name since the check began. */
  touch(name: string): void {
    this.#touched.add(name);
  }

  listed(view: View, resourceVersion: string): void {
    this.#listed = { view, resourceVersion };
  }

  /** Whether the watch, now at this version, has said all that the list knew. */
  decidable(resourceVersion: string): boolean {
    return (
      this.#listed !== null && notOlder(resourceVersion, this.#listed.resourceVersion) === true
    );
  }

  /** Names about which the watch said nothing although the list differs. */
  missed(view: View): readonly string[] {
    if (this.#listed === null) return [];
    return differences(view, this.#listed.view).filter((name) => !this.#touched.has(name));
  }
}

/**
 * The two bounds of one evaluation in the plan engine: steps and cells. Both only grow and depend on nothing but plan,
 * input and data, so the same evaluation stops at the same place everywhere. Pure.
 */

/** The step budget is used up. */
export class StepsExhausted extends Error {
  override name = 'StepsExhausted';
}

/** The evaluation built more than it may. */
export class CellsExhausted extends Error {
  override name = 'CellsExhausted';
}

export class Meter {
  readonly #stepsMax: number;
  readonly #cellsMax: number;
  #steps = 0;
  #cells = 0;

  constructor(stepsMax: number, cellsMax: number) {
    this.#stepsMax = stepsMax;
    this.#cellsMax = cellsMax;
  }

  get steps(): number {
    return Math.min(this.#steps, this.#stepsMax);
  }

  get cells(): number {
    return Math.min(this.#cells, this.#cellsMax);
  }

  /** @throws StepsExhausted */
  readonly charge = (steps: number): void => {
    this.#steps += steps;
    if (!(this.#steps <= this.#stepsMax))
      throw new StepsExhausted(`more than ${this.#stepsMax} steps`);
  };

  /** @throws CellsExhausted */
  readonly build = (cells: number): void => {
    this.#cells += cells;
    if (!(this.#cells <= this.#cellsMax))
      throw new CellsExhausted(`more than ${this.#cellsMax} cells`);
  };
}

/** When a server that has crashed is started again: three times, each time later. Pure. */

export const DELAYS_MS: readonly number[] = [500, 1000, 2000];

/** A process that lived this long has started well. */
export const STEADY_MS = 60_000;

export class Restarts {
  private crashes = 0;

  /** How many crashes there were in a row. */
  get count(): number {
    return this.crashes;
  }

  /** After how many milliseconds to start again, or undefined if no more; `livedMs`: how long the process ran. */
  next(livedMs: number): number | undefined {
    this.crashes = livedMs > STEADY_MS ? 1 : this.crashes + 1;
    return DELAYS_MS[this.crashes - 1];
  }

  forget(): void {
    this.crashes = 0;
  }
}

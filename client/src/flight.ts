/** Pictures that are on their way: they are answered in the order in which they were sent. */

export class Flight {
  private readonly sentAt: number[] = [];
  private givenUp = 0;

  /** Whether an answer is waited for. */
  get busy(): boolean {
    return this.sentAt.length > this.givenUp;
  }

  depart(nowMs: number): void {
    this.sentAt.push(nowMs);
  }

  /** @returns how long the answered picture was on its way, one that was given up included */
  arrive(nowMs: number): number {
    const sentAt = this.sentAt.shift() ?? nowMs;
    this.givenUp = Math.max(0, this.givenUp - 1);
    return nowMs - sentAt;
  }

  /**
   * Wait no longer for pictures that are late; their answers may come all the same.
   *
   * @returns whether any was given up
   */
  giveUp(nowMs: number, afterMs: number): boolean {
    const newest = this.sentAt.at(-1);
    if (!this.busy || newest === undefined || nowMs - newest <= afterMs) return false;
    this.givenUp = this.sentAt.length;
    return true;
  }

  clear(): void {
    this.sentAt.length = this.givenUp = 0;
  }
}

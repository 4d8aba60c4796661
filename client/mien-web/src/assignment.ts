/** Pairs of rows and columns of the least total cost (the Hungarian method, Kuhn 1955). */

/**
 * @param costs rows of the same length; infinity excludes a pair
 * @param maxCost cost of leaving a row and a column without a partner
 * @returns the column of each row that has one
 */
export function assign(costs: readonly (readonly number[])[], maxCost: number): Map<number, number> {
  const rows = costs.length;
  const columns = costs[0]?.length ?? 0;
  const pairs = new Map<number, number>();
  if (!rows || !columns) return pairs;
  const size = rows + columns;
  // Rows and columns of their own for those without a partner, at half the cost each.
  const cost = (row: number, column: number): number => {
    if (row < rows && column < columns) return Math.min(costs[row]![column]!, 1e6);
    if (row >= rows && column >= columns) return 0;
    return maxCost / 2;
  };
  const rowPotential = new Float64Array(size + 1);
  const columnPotential = new Float64Array(size + 1);
  const partner = new Int32Array(size + 1);
  const way = new Int32Array(size + 1);
  for (let row = 1; row <= size; row++) {
    partner[0] = row;
    let column = 0;
    const least = new Float64Array(size + 1).fill(Infinity);
    const used = new Uint8Array(size + 1);
    do {
      used[column] = 1;
      const current = partner[column]!;
      let delta = Infinity;
      let next = 0;
      for (let k = 1; k <= size; k++) {
        if (used[k]) continue;
        const reduced = cost(current - 1, k - 1) - rowPotential[current]! - columnPotential[k]!;
        if (reduced < least[k]!) {
          least[k] = reduced;
          way[k] = column;
        }
        if (least[k]! < delta) {
          delta = least[k]!;
          next = k;
        }
      }
      for (let k = 0; k <= size; k++) {
        if (used[k]) {
          rowPotential[partner[k]!]! += delta;
          columnPotential[k]! -= delta;
        } else least[k]! -= delta;
      }
      column = next;
    } while (partner[column]);
    do {
      const before = way[column]!;
      partner[column] = partner[before]!;
      column = before;
    } while (column);
  }
  for (let column = 1; column <= columns; column++) {
    const row = partner[column]! - 1;
    if (row < rows && costs[row]![column - 1]! <= maxCost) pairs.set(row, column - 1);
  }
  return pairs;
}

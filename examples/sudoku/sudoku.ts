// sudoku solves the puzzles on standard input, one a line: 81 characters, row
// by row, with 0 or . for an empty field. For each it prints the solution and
// the number of guesses it took, or "no solution". Lines that are empty or
// begin with # are skipped. Exit status: 0 if every puzzle had a solution, 1 if
// one had none, 2 if a line is not a puzzle.

const FIELDS = 81;
const MAX_INPUT = 1 << 20;

/** The digits still free in each row, column and block, one bit per digit. */
class Grid {
  cells: StaticArray<u8> = new StaticArray<u8>(FIELDS);
  rows: StaticArray<u16> = new StaticArray<u16>(9).fill(0x1ff);
  columns: StaticArray<u16> = new StaticArray<u16>(9).fill(0x1ff);
  blocks: StaticArray<u16> = new StaticArray<u16>(9).fill(0x1ff);
  guesses: u32 = 0;

  /** free returns the digits that may stand in a field. */
  free(field: i32): u16 {
    return this.rows[field / 9] & this.columns[field % 9] & this.blocks[block(field)];
  }

  /** flip places the digit with the given bit in a field, or takes it back. */
  flip(field: i32, bit: u16): void {
    this.rows[field / 9] ^= bit;
    this.columns[field % 9] ^= bit;
    this.blocks[block(field)] ^= bit;
  }

  /** hardest returns the empty field with the fewest digits left, or -1. */
  hardest(): i32 {
    let best = -1;
    let fewest = 10;
    for (let f = 0; f < FIELDS; f++) {
      if (this.cells[f]) continue;
      const count = popcnt(<i32>this.free(f));
      if (count < fewest) {
        fewest = count;
        best = f;
        if (count <= 1) break;
      }
    }
    return best;
  }

  solve(): bool {
    const field = this.hardest();
    if (field < 0) return true;
    let left = <i32>this.free(field);
    const choices = popcnt(left);
    while (left) {
      const bit = <u16>(left & -left);
      left &= left - 1;
      if (choices > 1) this.guesses++;
      this.cells[field] = <u8>(ctz(<i32>bit) + 1);
      this.flip(field, bit);
      if (this.solve()) return true;
      this.flip(field, bit);
    }
    this.cells[field] = 0;
    return false;
  }

  toString(): string {
    let text = "";
    for (let f = 0; f < FIELDS; f++) text += this.cells[f].toString();
    return text;
  }
}

function block(field: i32): i32 {
  return (field / 27) * 3 + (field % 9) / 3;
}

/** parse returns null if a line is not a puzzle, or breaks the rules already. */
function parse(line: string): Grid | null {
  if (line.length != FIELDS) return null;
  const grid = new Grid();
  for (let f = 0; f < FIELDS; f++) {
    const code = line.charCodeAt(f);
    if (code == 0x2e || code == 0x30) continue;
    if (code < 0x31 || code > 0x39) return null;
    const digit: i32 = 1 << (code - 0x31);
    const bit = <u16>digit;
    if (!(grid.free(f) & bit)) return null;
    grid.cells[f] = <u8>(code - 0x30);
    grid.flip(f, bit);
  }
  return grid;
}

function readInput(): string {
  const chunk = new ArrayBuffer(4096);
  const input = new Uint8Array(MAX_INPUT);
  let length = 0;
  while (true) {
    const n = <i32>process.stdin.read(chunk);
    if (n <= 0) break;
    if (length + n > MAX_INPUT) {
      process.stderr.write("sudoku: more than 1 MiB of puzzles\n");
      process.exit(2);
    }
    input.set(Uint8Array.wrap(chunk, 0, n), length);
    length += n;
  }
  return String.UTF8.decode(input.buffer.slice(0, length));
}

function main(): i32 {
  const lines = readInput().split("\n");
  let status = 0;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line.length == 0 || line.charCodeAt(0) == 0x23) continue;
    const grid = parse(line);
    if (!grid) {
      process.stderr.write("sudoku: line " + (i + 1).toString() + " is not a puzzle\n");
      return 2;
    }
    if (grid.solve()) {
      process.stdout.write(grid.toString() + " " + grid.guesses.toString() + " guesses\n");
    } else {
      process.stdout.write("no solution\n");
      status = 1;
    }
  }
  return status;
}

const status = main();
if (status) process.exit(status);

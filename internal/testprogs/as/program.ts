// Strings, containers, classes, garbage collection, sorting with callbacks,
// and ways to end, in AssemblyScript. The first argument chooses a part.

abstract class Shape {
  abstract area(): f64;
  toString(): string {
    return "shape of " + this.area().toString();
  }
}

class Circle extends Shape {
  constructor(public r: f64) {
    super();
  }
  area(): f64 {
    return Math.PI * this.r * this.r;
  }
}

class Box extends Shape {
  constructor(public w: f64, public h: f64) {
    super();
  }
  area(): f64 {
    return this.w * this.h;
  }
}

class Node {
  left: Node | null = null;
  right: Node | null = null;
  constructor(public key: u32) {}
}

export function insert(root: Node | null, key: u32): Node {
  if (!root) return new Node(key);
  if (key < root.key) root.left = insert(root.left, key);
  else root.right = insert(root.right, key);
  return root;
}

export function sum(n: Node | null): u64 {
  return n ? sum(n.left) * 3 + n.key + sum(n.right) * 7 : 1;
}

export function fib(n: i32): i32 {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

export function trees(rounds: i32): u64 {
  let result: u64 = 0;
  let x: u32 = 1;
  for (let r = 0; r < rounds; r++) {
    let root: Node | null = null;
    for (let i = 0; i < 500; i++) {
      x = x * 1664525 + 1013904223;
      root = insert(root, x >> 8);
    }
    result = result * 31 + sum(root);
  }
  return result;
}

export function sorted(count: i32): u64 {
  const list = new Array<u32>();
  let x: u32 = 7;
  for (let i = 0; i < count; i++) {
    x = x * 1664525 + 1013904223;
    list.push(x >> 4);
  }
  list.sort((a, b) => (a > b ? 1 : a < b ? -1 : 0));
  return list.reduce<u64>((h, v) => h * 31 + v, 0);
}

function words(): string {
  const counts = new Map<string, i32>();
  const text = "the clone runs what the phone would run and the phone reads the result";
  const list = text.split(" ");
  for (let i = 0; i < list.length; i++) {
    const w = list[i];
    counts.set(w, (counts.has(w) ? counts.get(w) : 0) + 1);
  }
  const keys = counts.keys().sort();
  let out = "";
  for (let i = 0; i < keys.length; i++) out += keys[i] + "=" + counts.get(keys[i]).toString() + " ";
  return out;
}

let counter: i64 = 1 << 40;
let ratio: f32 = 0.5;
let scale: f64 = 3;

/** Globals of every type change on both sides of a call. */
export function globals(n: i32): f64 {
  for (let i = 0; i < n; i++) {
    counter += i;
    ratio = ratio * 1.5 + 0.1;
    if (ratio > 1000) ratio = 0.25;
    scale = Math.sqrt(scale + i);
  }
  return scale;
}

function all(): void {
  console.log("fib " + fib(24).toString());
  console.log("trees " + trees(40).toString());
  console.log("sorted " + sorted(20000).toString());
  console.log("words " + words());
  const shapes: Shape[] = [new Circle(2), new Box(2, 3)];
  for (let i = 0; i < shapes.length; i++) console.log(shapes[i].toString());
  console.log("globals " + globals(10000).toString());
  console.log("counter " + counter.toString() + " ratio " + ratio.toString());
  console.log("unicode " + "zażółć gęślą 🙂".length.toString() + " " + "🙂".codePointAt(0).toString(16));
}

function main(part: string): void {
  if (part == "all") {
    all();
  } else if (part == "throw") {
    console.log("before");
    if (trees(1)) throw new Error("on purpose");
  } else if (part == "bounds") {
    console.log("before");
    const list = new Array<i32>(3);
    console.log(list[fib(10)].toString());
  } else if (part == "trap") {
    console.log("before");
    if (trees(1)) unreachable();
  } else if (part == "exit") {
    console.log("before");
    process.exit(fib(7));
  } else {
    process.exit(2);
  }
}

main(process.argv.length > 1 ? process.argv[1] : "");

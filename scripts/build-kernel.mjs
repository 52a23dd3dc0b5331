// Assembles each kernel.wat, the inner loops of tree training and of dense algebra, into the kernel-bytes.ts beside it.
// The assembler knows the part of the WebAssembly text format that the kernels need: functions with folded
// instructions, named locals and labels, and one imported memory. Opcodes are those of the WebAssembly
// specification, release 2.0, section 5.4.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/ml');
/**
 * Where the text of each kernel lies and where its bytes go, by the folder's name. A module says of its memory whether it is shared, and
 * takes no other.
 */
export const KERNELS = [
  { name: 'gbdt', isShared: false },
  { name: 'gbdt', isShared: true },
  { name: 'algebra', isShared: false },
].map(({ name, isShared }) => ({
  name,
  isShared,
  source: join(root, name, 'kernel.wat'),
  target: join(root, name, isShared ? 'shared-kernel-bytes.ts' : 'kernel-bytes.ts'),
}));

const TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 };
/** What every module begins with, and version 1. */
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/** Most pages of a shared memory, which must say so: all that 32 bits can address. */
const PAGES_MAX = 65536;
const EMPTY_BLOCK = 0x40;
const END = 0x0b;
const vector = (opcode) => [0xfd, ...unsigned(opcode)];

/** Instructions without an operand of their own. */
const PLAIN = {
  select: [0x1b],
  'i32.eqz': [0x45],
  'i32.lt_u': [0x49],
  'i32.ge_u': [0x4f],
  'f32.ne': [0x5c],
  'f32.lt': [0x5d],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.mul': [0x6c],
  'i32.and': [0x71],
  'i32.shl': [0x74],
  'i32.shr_u': [0x76],
  'f64.add': [0xa0],
  'memory.copy': [0xfc, 10, 0, 0],
  'memory.fill': [0xfc, 11, 0],
  'i64x2.splat': vector(0x12),
  'f64x2.splat': vector(0x14),
  'f64x2.lt': vector(0x49),
  'v128.bitselect': vector(0x52),
  'i32x4.sub': vector(0xb1),
  'i64x2.shl': vector(0xcb),
  'i64x2.add': vector(0xce),
  'f64x2.abs': vector(0xec),
  'f64x2.neg': vector(0xed),
  'f64x2.add': vector(0xf0),
  'f64x2.sub': vector(0xf1),
  'f64x2.mul': vector(0xf2),
  'f64x2.div': vector(0xf3),
  'f64x2.pmin': vector(0xf6),
};

/** Instructions that read or write memory, with the power of two of their natural alignment. */
const MEMORY = {
  'i32.load': [[0x28], 2],
  'f32.load': [[0x2a], 2],
  'f64.load': [[0x2b], 3],
  'i32.load8_u': [[0x2d], 0],
  'i32.store': [[0x36], 2],
  'f64.store': [[0x39], 3],
  'i32.store8': [[0x3a], 0],
  'v128.load': [vector(0x00), 4],
  'v128.store': [vector(0x0b), 4],
};

const LOCAL = { 'local.get': 0x20, 'local.set': 0x21 };
const BRANCH = { br: 0x0c, br_if: 0x0d };
const BLOCK = { block: 0x02, loop: 0x03 };

/** The bytes of a module written in the text format; its memory is shared if so asked (proposal "threads", section "Limits"). */
export function assemble(text, isShared = false) {
  const [name, ...fields] = parse(text);
  if (name !== 'module') throw new SyntaxError(`A module was expected, not ${name}`);
  const imports = fields.filter(([kind]) => kind === 'import');
  const written = fields.filter(([kind]) => kind === 'func');
  const indices = new Map(written.map(([, name], index) => [name, index]));
  const functions = written.map((field) => readFunction(field, indices));
  if (imports.length !== 1 || imports.length + functions.length !== fields.length) {
    throw new SyntaxError('A module must consist of one import and of functions');
  }
  const [, moduleName, itemName, [, pagesMin]] = imports[0];
  const limits = [isShared ? 3 : 0, ...unsigned(pagesMin), ...(isShared ? unsigned(PAGES_MAX) : [])];
  return Uint8Array.from([
    ...HEADER,
    ...section(
      SECTION.type,
      functions.map(({ parameters, results }) => [0x60, ...list(parameters), ...list(results)]),
    ),
    ...section(SECTION.import, [[...quoted(moduleName), ...quoted(itemName), 2, ...limits]]),
    ...section(
      SECTION.function,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(
      SECTION.export,
      functions.flatMap(({ exported }, index) =>
        exported === undefined ? [] : [[...quoted(exported), 0, ...unsigned(index)]],
      ),
    ),
    ...section(
      SECTION.code,
      functions.map(({ locals, body }) => {
        const code = [...list(locals.map((type) => [1, type])), ...body, END];
        return [...unsigned(code.length), ...code];
      }),
    ),
  ]);
}

/** Nested arrays of texts. */
function parse(text) {
  const tokens = text.replace(/;;.*$/gm, '').match(/[()]|"[^"]*"|[^\s()"]+/g) ?? [];
  const open = [[]];
  for (const token of tokens) {
    if (token === '(') {
      open.push([]);
    } else if (token === ')') {
      const closed = open.pop();
      if (open.length === 0) throw new SyntaxError('There is a ")" too many');
      open.at(-1).push(closed);
    } else {
      open.at(-1).push(token);
    }
  }
  if (open.length !== 1 || open[0].length !== 1) throw new SyntaxError('A ")" is missing');
  return open[0][0];
}

function readFunction([, , ...parts], functions) {
  const names = new Map();
  const found = { exported: undefined, parameters: [], results: [], locals: [], body: [] };
  for (const part of parts) {
    const [kind, first, second] = part;
    if (kind === 'export') {
      found.exported = first;
    } else if (kind === 'result') {
      found.results.push(typeOf(first));
    } else if (kind === 'param' || kind === 'local') {
      if (names.has(first)) throw new SyntaxError(`There are two locals ${first}`);
      names.set(first, names.size);
      (kind === 'param' ? found.parameters : found.locals).push(typeOf(second));
    } else {
      found.body.push(...instruction(part, { names, functions, labels: [] }));
    }
  }
  return found;
}

/** An instruction after the instructions that give its operands. */
function instruction([name, ...rest], scope) {
  if (name in BLOCK) {
    const [label, ...inside] = rest;
    const inner = { ...scope, labels: [label, ...scope.labels] };
    return [BLOCK[name], EMPTY_BLOCK, ...inside.flatMap((part) => instruction(part, inner)), END];
  }
  const immediates = rest.filter((part) => typeof part === 'string');
  const operands = rest.filter((part) => typeof part !== 'string');
  return [...operands.flatMap((part) => instruction(part, scope)), ...opcode(name, immediates, scope)];
}

function opcode(name, immediates, { names, functions, labels }) {
  const [first] = immediates;
  if (name in LOCAL) {
    if (!names.has(first)) throw new SyntaxError(`There is no local ${first}`);
    return [LOCAL[name], ...unsigned(names.get(first))];
  }
  if (name in BRANCH) {
    if (!labels.includes(first)) throw new SyntaxError(`There is no label ${first}`);
    return [BRANCH[name], ...unsigned(labels.indexOf(first))];
  }
  if (name === 'call') {
    if (!functions.has(first)) throw new SyntaxError(`There is no function ${first}`);
    return [0x10, ...unsigned(functions.get(first))];
  }
  if (name in MEMORY) {
    const [code, natural] = MEMORY[name];
    const given = Object.fromEntries(immediates.map((immediate) => immediate.split('=')));
    const alignment = given.align === undefined ? natural : Math.log2(given.align);
    return [...code, ...unsigned(alignment), ...unsigned(given.offset ?? 0)];
  }
  if (name === 'i32.const') return [0x41, ...signed(first)];
  if (name === 'i64.const') return [0x42, ...signed(first)];
  if (name === 'f64.const') return [0x44, ...new Uint8Array(Float64Array.of(Number(first)).buffer)];
  if (name === 'i8x16.shuffle') return [...vector(0x0d), ...immediates.map(Number)];
  if (!(name in PLAIN) || immediates.length > 0) throw new SyntaxError(`${name} is not known`);
  return PLAIN[name];
}

function typeOf(name) {
  if (!(name in TYPES)) throw new SyntaxError(`There is no type ${name}`);
  return TYPES[name];
}

function section(id, items) {
  const content = list(items);
  return [id, ...unsigned(content.length), ...content];
}

function list(items) {
  return [...unsigned(items.length), ...items.flat()];
}

function quoted(text) {
  return list([...new TextEncoder().encode(text.slice(1, -1))]);
}

/** Little-endian in groups of seven bits (LEB128). */
function unsigned(value) {
  const bytes = [];
  let rest = BigInt(value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return bytes;
}

function signed(value) {
  const bytes = [];
  let rest = value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const last = (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40);
    bytes.push(last ? low : low | 0x80);
    if (last) return bytes;
  }
}

/** The TypeScript file that holds the bytes. */
export function render(bytes, isShared = false) {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,96}/g) ?? [];
  return [
    '/** @internal kernel.wat assembled by `node scripts/build-kernel.mjs`, in base64. Do not edit. */',
    `export const ${isShared ? 'SHARED_' : ''}KERNEL_BASE64: string = [`,
    ...lines.map((line) => `  '${line}',`),
    `].join('');`,
    '',
  ].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { name, source, target, isShared } of KERNELS) {
    const bytes = assemble(readFileSync(source, 'utf8'), isShared);
    await WebAssembly.compile(bytes);
    writeFileSync(target, render(bytes, isShared));
    console.log(`The ${isShared ? 'shared ' : ''}kernel of ${name} has ${bytes.length} bytes`);
  }
}

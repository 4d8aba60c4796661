/**
 * A network as the runtime opens it soonest: what its optimizer does with files like ours is done here, where it costs little.
 *
 * An ONNX file is a protocol buffer; the numbers are those of onnx.proto.
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** A field of a message: all of its bytes, and what is inside. */
interface Field {
  readonly number: number;
  readonly whole: Bytes;
  readonly content: Bytes;
  readonly value: number;
}

interface Node {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Bytes[];
  readonly whole: Bytes;
}

const GRAPH = 7;
const [NODES, INITIALIZERS, OUTPUTS] = [1, 5, 12];
const NODE = { INPUT: 1, OUTPUT: 2, OPERATOR: 4, ATTRIBUTE: 5 } as const;
const TENSOR = { TYPE: 2, NAME: 8, RAW: 9 } as const;
const INTEGER = 3;
const [FLOAT, HALF] = [1, 10];
const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];
// Turns the bits of a half, moved to those of a float, into its value.
const HALF_SCALE = 2 ** 112;

/** In a network of these alone, the optimizer finds nothing that matters. */
const PLAIN = new Set([
  "Abs", "Add", "AveragePool", "Concat", "Conv", "DequantizeLinear", "Gemm", "Log", "MaxPool", "Mul", "QLinearConv",
  "QuantizeLinear", "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Sub", "Transpose",
]);

/**
 * Stores weights of 16 bits in 32, and convolves in integers what is quantized before and after.
 *
 * @returns the file, and whether the runtime need not optimize it; what is no ONNX file as it is, for the runtime to say
 */
export function prepared(model: Bytes): { readonly model: Bytes; readonly isPlain: boolean } {
  try {
    let isPlain = false;
    const parts = [...fieldsOf(model)].map(({ number, whole, content }) => {
      if (number !== GRAPH) return whole;
      const graph = preparedGraph([...fieldsOf(content)]);
      isPlain = graph.isPlain;
      return encoded(GRAPH, graph.parts);
    });
    return { model: joined(parts), isPlain };
  } catch {
    return { model, isPlain: false };
  }
}

function preparedGraph(fields: readonly Field[]): { parts: Bytes[]; isPlain: boolean } {
  const all = (wanted: number): Field[] => fields.filter(({ number }) => number === wanted);
  const outputs = all(OUTPUTS).map(({ content }) => textsOf(content, 1)[0]!);
  const weights = new Map(all(INITIALIZERS).map(({ content, whole }) => [textsOf(content, TENSOR.NAME)[0]!, whole]));
  const nodes = used(inIntegers(widened(all(NODES).map(nodeOf), weights), outputs), outputs);
  const read = new Set([...outputs, ...nodes.flatMap(({ inputs }) => inputs)]);
  const makers = makersOf(nodes);
  const isFloat = ({ inputs }: Node): boolean => inputs.every((name) => makers.get(name)?.operator !== "DequantizeLinear");
  return {
    parts: [
      ...nodes.map(({ whole }) => whole),
      ...[...weights].filter(([name]) => read.has(name)).map(([, whole]) => whole),
      ...fields.filter(({ number }) => number !== NODES && number !== INITIALIZERS).map(({ whole }) => whole),
    ],
    // A product of what is still to be turned into floats is one that the optimizer turns into one of integers.
    isPlain: nodes.every((node) => PLAIN.has(node.operator) && (!/Conv|Gemm/.test(node.operator) || isFloat(node))),
  };
}

/** The nodes without those that turn weights of 16 bits into 32; these are stored in 32. */
function widened(nodes: readonly Node[], weights: Map<string, Bytes>): Node[] {
  return nodes.filter(({ operator, inputs, outputs, attributes }) => {
    const half = operator === "Cast" ? weights.get(inputs[0]!) : undefined;
    if (!half || attributes.length !== 1 || !inside(attributes[0]!).some(({ number, value }) => number === INTEGER && value === FLOAT)) return true;
    const parts = inside(half);
    const raw = parts.find(({ number }) => number === TENSOR.RAW)?.content;
    if (!raw || !parts.some(({ number, value }) => number === TENSOR.TYPE && value === HALF)) return true;
    const kept = parts.filter(({ number }) => !Object.values<number>(TENSOR).includes(number)).map(({ whole }) => whole);
    const wide = [...named(TENSOR.NAME, outputs), Uint8Array.of(TENSOR.TYPE << 3, FLOAT), encoded(TENSOR.RAW, [floatsOf(raw)])];
    weights.set(outputs[0]!, encoded(INITIALIZERS, [...kept, ...wide]));
    return false;
  });
}

function floatsOf(halves: Bytes): Bytes {
  const bits = new Uint16Array(halves.slice().buffer);
  const floats = new Float32Array(bits.length);
  const words = new Uint32Array(floats.buffer);
  for (let k = 0; k < bits.length; k++) words[k] = ((bits[k]! & 0x8000) << 16) | ((bits[k]! & 0x7fff) << 13);
  for (let k = 0; k < floats.length; k++) floats[k]! *= HALF_SCALE;
  return new Uint8Array(floats.buffer);
}

/** Convolutions of integers in place of those whose inputs are turned into floats and whose result is turned back. */
function inIntegers(nodes: readonly Node[], outputs: readonly string[]): Node[] {
  const makers = makersOf(nodes);
  const readers = new Map<string, Node[]>(outputs.map((name) => [name, []]));
  for (const node of nodes) for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  const replaced = new Map<Node, Node>();
  for (const { operator, inputs, outputs: [result], attributes } of nodes) {
    const [after, another] = readers.get(result!) ?? [];
    if (operator !== "Conv" || outputs.includes(result!) || another || after?.operator !== "QuantizeLinear") continue;
    const before = inputs.map((name) => makers.get(name));
    // Without a zero point, which the runtime would have to add.
    if (![after, ...before].every((node, k) => node?.inputs.length === 3 && (!k || node.operator === "DequantizeLinear"))) continue;
    const [image, weight, bias] = before as [Node, Node, Node?];
    const read = [...image.inputs, ...weight.inputs, ...after.inputs.slice(1), ...(bias?.inputs.slice(0, 1) ?? [])];
    replaced.set(after, made("QLinearConv", read, after.outputs, attributes));
  }
  return nodes.map((node) => replaced.get(node) ?? node);
}

/** Those whose outputs something reads. */
function used(nodes: readonly Node[], outputs: readonly string[]): Node[] {
  const read = new Set(outputs);
  const kept = [...nodes].reverse().filter((node) => {
    if (!node.outputs.some((name) => read.has(name))) return false;
    for (const name of node.inputs) read.add(name);
    return true;
  });
  return kept.reverse();
}

function makersOf(nodes: readonly Node[]): Map<string, Node> {
  return new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
}

function nodeOf({ whole, content }: Field): Node {
  const attributes = [...fieldsOf(content)].filter(({ number }) => number === NODE.ATTRIBUTE).map((one) => one.whole);
  const [operator] = textsOf(content, NODE.OPERATOR);
  return { operator: operator!, inputs: textsOf(content, NODE.INPUT), outputs: textsOf(content, NODE.OUTPUT), attributes, whole };
}

function made(operator: string, inputs: readonly string[], outputs: readonly string[], attributes: readonly Bytes[]): Node {
  const parts = [...named(NODE.INPUT, inputs), ...named(NODE.OUTPUT, outputs), ...named(NODE.OPERATOR, [operator]), ...attributes];
  return { operator, inputs, outputs, attributes, whole: encoded(NODES, parts) };
}

function named(number: number, names: readonly string[]): Bytes[] {
  return names.map((name) => encoded(number, [new TextEncoder().encode(name)]));
}

/** The fields of the message that an encoded field is. */
function inside(field: Bytes): Field[] {
  const [message] = fieldsOf(field);
  return [...fieldsOf(message!.content)];
}

function textsOf(message: Bytes, wanted: number): string[] {
  return [...fieldsOf(message)].filter(({ number }) => number === wanted).map(({ content }) => new TextDecoder().decode(content));
}

function* fieldsOf(message: Bytes): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError("expected a whole message, got a part of one");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const key = varint();
    const wire = key % 8;
    let value = 0;
    let from = at;
    if (wire === VARINT) value = varint();
    else if (wire === BYTES) {
      const length = varint();
      from = at;
      at += length;
    } else if (wire === FIXED32 || wire === FIXED64) at += wire === FIXED32 ? 4 : 8;
    else throw new RangeError(`expected a field of a protocol buffer, got one of the kind ${wire}`);
    if (at > message.length) throw new RangeError("expected a whole message, got a part of one");
    yield { number: Math.floor(key / 8), whole: message.subarray(start, at), content: message.subarray(from, at), value };
  }
}

function encoded(number: number, parts: readonly Bytes[]): Bytes {
  const head = [(number << 3) | BYTES];
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  for (; length > 127; length = Math.floor(length / 128)) head.push((length & 127) | 128);
  return joined([Uint8Array.of(...head, length), ...parts]);
}

function joined(parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

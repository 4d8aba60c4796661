/** The texts of the page in its language. English is the source, and needs no catalog. */

type Forms = Partial<Record<Intl.LDMLPluralRule, string>>;
type Values = Readonly<Record<string, string | number>>;

/** As in mien.labels. Models of one's own have other labels. */
export const EXPRESSIONS: ReadonlySet<string> = new Set(
  ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"],
);

const root = globalThis.document?.documentElement;
/** The language of texts; Arabic with the digits that the rest of the page has. */
const tag = root?.lang || "en";
const locale = tag === "ar" ? "ar-u-nu-latn" : tag;
const english = tag === "en";
const rules = new Intl.PluralRules(locale);
const texts = await load(root?.dataset["words"]);

async function load(address: string | undefined): Promise<Readonly<Record<string, string | Forms>>> {
  if (!address) return {};
  const answer = await fetch(address).catch(() => null);
  return answer?.ok ? ((await answer.json()) as Record<string, string | Forms>) : {};
}

function fill(text: string, values: Values): string {
  return text.replace(/%\((\w+)\)s/g, (whole, name: string) => String(values[name] ?? whole));
}

/**
 * A text in the language of the page.
 *
 * @param text in English and written out here, because tools/write_catalogs.py looks for it
 * @param values of its parts such as `%(name)s`
 */
export function t(text: string, values: Values = {}): string {
  return fill(messageText(text), values);
}

/** A text with a number, `%(num)s`, in the form that the number needs. */
export function tn(one: string, many: string, num: number): string {
  const forms = texts[one];
  const found = typeof forms === "object" ? (forms[rules.select(num)] ?? forms.other) : undefined;
  return fill(found ?? (num === 1 ? one : many), { num });
}

/** A message of the server, which the catalogs have; unknown ones as they are. */
export function messageText(text: string): string {
  const found = texts[text];
  return typeof found === "string" ? found : text;
}

/** What the server says is wrong; the words of the code before it where no catalog has the message. */
export function problemText({ code, message }: { code: string; message: string }): string {
  const own = messageText(message);
  const words = messageText(code);
  // In isolates, as the direction of the message is another than that of the words.
  return english || own !== message || words === code ? own : `${words} (\u2068${message}\u2069)`;
}

/** A name that results and jobs have, such as a state or a reason, as words of the page. */
export function word(name: string): string {
  return messageText(name.replaceAll("_", " "));
}

/** One of the eight expressions as a word of the page; a model's own label as it is. */
export function labelText(label: string): string {
  return EXPRESSIONS.has(label) ? messageText(label) : label;
}

/** Names in a row, as the language writes it. */
export function list(names: readonly string[]): string {
  return names.join(t(", "));
}

export function percent(fraction: number): string {
  if (english) return `${Math.round(100 * fraction)}\u202f%`;
  return isolated(new Intl.NumberFormat(locale, { style: "percent" }).format(fraction));
}

/** A number with a fixed count of decimals. */
export function decimal(value: number, digits = 1, signed = false): string {
  const plus = signed && value >= 0 ? "+" : "";
  if (english) return plus + value.toFixed(digits);
  const format = new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
  return isolated(plus + format.format(value));
}

/** A number that keeps its sign on its side in a text from right to left. */
function isolated(number: string): string {
  return root?.dir === "rtl" ? `\u2066${number}\u2069` : number;
}

export function dateTime(date: Date): string {
  return date.toLocaleString(english ? [] : locale, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * Mutants of a file: small changes of its syntax tree, each a mistake that somebody could make. Pure: text in, changes
 * out. Texts for people are left alone (log events, error messages, everything with a space in it), and so are types.
 *
 * @module
 */
import { createHash } from "node:crypto";
import ts from "typescript";

/** One change of one file. */
export interface Mutant {
  /** Short, and the same as long as the line and the change stay the same. */
  readonly id: string;
  /** The file, relative to the root. */
  readonly path: string;
  /** Where the changed text begins, from 1. */
  readonly line: number;
  /** Offset of the changed text. */
  readonly start: number;
  /** Offset of its end. */
  readonly end: number;
  /** The kind of change. */
  readonly operator: string;
  /** The text that is there. */
  readonly from: string;
  /** What takes its place. */
  readonly to: string;
}

const K = ts.SyntaxKind;

/** Binary operators, and what takes their place. */
const BINARY: ReadonlyMap<ts.SyntaxKind, readonly [operator: string, ...to: string[]]> = new Map([
  [K.LessThanToken, ["comparison", "<=", ">="]],
  [K.LessThanEqualsToken, ["comparison", "<", ">"]],
  [K.GreaterThanToken, ["comparison", ">=", "<="]],
  [K.GreaterThanEqualsToken, ["comparison", ">", "<"]],
  [K.EqualsEqualsEqualsToken, ["comparison", "!=="]],
  [K.ExclamationEqualsEqualsToken, ["comparison", "==="]],
  [K.PlusToken, ["arithmetic", "-"]],
  [K.MinusToken, ["arithmetic", "+"]],
  [K.AsteriskToken, ["arithmetic", "/"]],
  [K.SlashToken, ["arithmetic", "*"]],
  [K.PercentToken, ["arithmetic", "*"]],
  [K.LessThanLessThanToken, ["arithmetic", ">>"]],
  [K.GreaterThanGreaterThanToken, ["arithmetic", "<<"]],
  [K.GreaterThanGreaterThanGreaterThanToken, ["arithmetic", "<<"]],
  [K.AmpersandToken, ["arithmetic", "|"]],
  [K.BarToken, ["arithmetic", "&"]],
  [K.AmpersandAmpersandToken, ["logical", "||"]],
  [K.BarBarToken, ["logical", "&&"]],
  [K.PlusEqualsToken, ["arithmetic", "-="]],
  [K.MinusEqualsToken, ["arithmetic", "+="]],
  [K.QuestionQuestionEqualsToken, ["logical", "="]],
]);

/** Methods that are mistaken for each other, and those without which a call still has the same type. */
const METHODS: Readonly<Record<string, string>> = {
  min: "max",
  max: "min",
  some: "every",
  every: "some",
  startsWith: "endsWith",
  endsWith: "startsWith",
  floor: "ceil",
  ceil: "floor",
};
const DROPPED = new Set([
  "filter",
  "sort",
  "toSorted",
  "slice",
  "subarray",
  "reverse",
  "trim",
  "toLowerCase",
]);

const LOG = /(?:^|[.#])log\??\.(debug|info|warn|error)$/;

/** All mutants of a file, in the order of the text. */
export function mutantsOf(path: string, text: string): readonly Mutant[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found = new Map<string, Omit<Mutant, "id" | "line" | "path" | "from">>();
  const add = (operator: string, node: ts.Node, to: string) => {
    const [start, end] = [node.getStart(file), node.end];
    if (text.slice(start, end) !== to) found.set(`${start} ${end} ${to}`, { operator, start, end, to });
  };
  const visit = (node: ts.Node): void => {
    if (isLeftAlone(node)) return;
    for (const mutate of OPERATORS) mutate(node, add);
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(file, visit);
  const seen = new Map<string, number>();
  return [...found.values()].sort((a, b) => a.start - b.start).map((mutant) => {
    const from = text.slice(mutant.start, mutant.end);
    const line = file.getLineAndCharacterOfPosition(mutant.start).line + 1;
    const key = [path, lineOf(text, mutant.start), mutant.operator, from, mutant.to].join("\n");
    const nth = seen.get(key) ?? 0;
    seen.set(key, nth + 1);
    const id = createHash("sha256").update(`${key}\n${nth}`).digest("hex").slice(0, 8);
    return { id, path, line, from, ...mutant };
  });
}

/** The text with the change made. */
export function mutated(text: string, { start, end, to }: Mutant): string {
  return text.slice(0, start) + to + text.slice(end);
}

/** The line that has this offset, without white space around it. */
export function lineOf(text: string, offset: number): string {
  const begin = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  return text.slice(begin, end < 0 ? text.length : end).trim();
}

/** The lines that a change touches, before and after. */
export function diffOf(text: string, mutant: Mutant): string {
  const begin = text.lastIndexOf("\n", mutant.start - 1) + 1;
  const newline = text.indexOf("\n", mutant.end);
  const end = newline < 0 ? text.length : newline;
  const marked = (mark: string, lines: string) =>
    lines.split("\n").map((line) => `    ${mark} ${line}`).join("\n");
  const after = text.slice(begin, mutant.start) + mutant.to + text.slice(mutant.end, end);
  return `${marked("-", text.slice(begin, end))}\n${marked("+", after)}`;
}

type Add = (operator: string, node: ts.Node, to: string) => void;

/** What has no behaviour, or only texts for people. */
function isLeftAlone(node: ts.Node): boolean {
  if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return true;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return true;
  if (ts.isNewExpression(node)) return /Error$/.test(node.expression.getText());
  if (ts.isTemplateExpression(node)) return isForPeople(node);
  // Of a listener to an abort signal, which aborts only once.
  if (ts.isObjectLiteralExpression(node) && node.getText() === "{ once: true }") return true;
  return ts.isCallExpression(node) && LOG.test(node.expression.getText());
}

/** A text with a space is for people. */
function isForPeople(node: ts.Node): boolean {
  if (ts.isStringLiteralLike(node)) return / /.test(node.text);
  return ts.isTemplateExpression(node) && [node.head, ...node.templateSpans.map(({ literal }) => literal)]
    .some(({ text }) => / /.test(text));
}

const isText = (node: ts.Node) => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
const isComparison = (node: ts.Node) =>
  ts.isBinaryExpression(node) && BINARY.get(node.operatorToken.kind)?.[0] === "comparison";
const isLogical = (node: ts.Node) =>
  ts.isBinaryExpression(node) && BINARY.get(node.operatorToken.kind)?.[0] === "logical";
const isNot = (node: ts.Node) => ts.isPrefixUnaryExpression(node) && node.operator === K.ExclamationToken;
const isConstant = (node: ts.Node): boolean =>
  ts.isNumericLiteral(node) ||
  (ts.isBinaryExpression(node) && isConstant(node.left) && isConstant(node.right));
/** Something other than a comparison, whose opposite comes from its operator. */
const isPlain = (node: ts.Node): boolean =>
  ts.isParenthesizedExpression(node)
    ? isPlain(node.expression)
    : !isComparison(node) && !isLogical(node) && !isNot(node) && node.kind !== K.TrueKeyword;

const OPERATORS: readonly ((node: ts.Node, add: Add) => void)[] = [
  conditions,
  binary,
  unary,
  literals,
  calls,
  optionalChains,
  returned,
  blocks,
  statements,
];

function conditions(node: ts.Node, add: Add): void {
  if (ts.isIfStatement(node) || ts.isConditionalExpression(node)) {
    const condition = ts.isIfStatement(node) ? node.expression : node.condition;
    add("condition", condition, "true");
    add("condition", condition, "false");
    if (isPlain(condition)) add("condition", condition, `!(${condition.getText()})`);
  } else if (ts.isWhileStatement(node) || (ts.isForStatement(node) && node.condition !== undefined)) {
    // A loop that never ends is always noticed, and takes long.
    add("condition", ts.isWhileStatement(node) ? node.expression : node.condition!, "false");
  }
}

function binary(node: ts.Node, add: Add): void {
  if (!ts.isBinaryExpression(node)) return;
  const { left, operatorToken, right } = node;
  if (operatorToken.kind === K.QuestionQuestionToken) {
    add("logical", node, left.getText());
    add("logical", node, right.getText());
    return;
  }
  const [operator, ...replacements] = BINARY.get(operatorToken.kind) ?? [];
  if (
    operator === undefined ||
    (operator === "arithmetic" && (isText(left) || isText(right) || isConstant(node)))
  ) {
    return;
  }
  for (const to of replacements) add(operator, operatorToken, to);
  if (!isLogical(node) || operatorToken.kind === K.QuestionQuestionEqualsToken) return;
  for (const side of [left, right]) if (isPlain(side)) add("condition", side, `!(${side.getText()})`);
}

function unary(node: ts.Node, add: Add): void {
  if (ts.isPrefixUnaryExpression(node) && (isNot(node) || node.operator === K.MinusToken)) {
    add(isNot(node) ? "condition" : "arithmetic", node, node.operand.getText());
  }
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const operand = node.operand.getText();
    if (node.operator === K.PlusPlusToken) add("arithmetic", node, `${operand}--`);
    if (node.operator === K.MinusMinusToken) add("arithmetic", node, `${operand}++`);
  }
}

function literals(node: ts.Node, add: Add): void {
  if (node.kind === K.TrueKeyword) add("literal", node, "false");
  if (node.kind === K.FalseKeyword) add("literal", node, "true");
  if (ts.isNumericLiteral(node)) {
    // Of "15 * 60 * 1000", the first number is enough.
    const { parent } = node;
    if (ts.isPropertyAssignment(parent) && parent.name === node) return;
    if (ts.isPrefixUnaryExpression(parent) && parent.operator === K.MinusToken) return;
    if (ts.isBinaryExpression(parent) && parent.right === node && isConstant(parent)) return;
    const value = Number(node.text.replaceAll("_", ""));
    add("literal", node, value === 0 ? "1" : value === 1 ? "0" : String(value * 2));
  }
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
    const { parent } = node;
    const isName = ts.isPropertyAssignment(parent) && parent.name === node;
    if (!isName && !isForPeople(node)) {
      add("literal", node, ts.isStringLiteralLike(node) && node.text === "" ? '"mutated"' : '""');
    }
  }
  if (ts.isRegularExpressionLiteral(node)) add("literal", node, "/(?!)/g");
  if (ts.isArrayLiteralExpression(node) && node.elements.length > 0) add("literal", node, "[]");
  if (
    ts.isObjectLiteralExpression(node) && node.properties.length > 0 && !ts.isReturnStatement(node.parent)
  ) {
    add("literal", node, "{}");
  }
  if (ts.isSpreadElement(node) && ts.isArrayLiteralExpression(node.parent)) add("literal", node, "...[]");
  if (ts.isSpreadAssignment(node)) add("literal", node, "...{}");
}

function calls(node: ts.Node, add: Add): void {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
  const { expression, name } = node.expression;
  const other = Object.hasOwn(METHODS, name.text) ? METHODS[name.text] : undefined;
  if (other !== undefined) add("method", name, other);
  if (DROPPED.has(name.text)) add("method", node, expression.getText());
}

function optionalChains(node: ts.Node, add: Add): void {
  const isChain = ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node) ||
    ts.isCallExpression(node);
  if (!isChain || node.questionDotToken === undefined) return;
  add("optional chaining", node.questionDotToken, ts.isPropertyAccessExpression(node) ? "." : "");
}

function returned(node: ts.Node, add: Add): void {
  const isValue = (value: ts.Node) => value.getText() !== "undefined" && !ts.isVoidExpression(value);
  if (ts.isReturnStatement(node) && node.expression !== undefined && isValue(node.expression)) {
    add("return value", node.expression, "undefined");
  }
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body) && isValue(node.body)) {
    add("return value", node.body, "undefined");
  }
}

/** Emptied where no other change comes to the same: a block of one statement is that statement. */
function blocks(node: ts.Node, add: Add): void {
  if (!ts.isBlock(node) || node.statements.length < 2) return;
  const { parent } = node;
  const isElse = ts.isIfStatement(parent) &&
    (parent.elseStatement === node || parent.elseStatement !== undefined);
  const isExtended = ts.isConstructorDeclaration(parent) && (parent.parent.heritageClauses?.length ?? 0) > 0;
  const isEmptied = (ts.isFunctionLike(parent) && !isExtended) || isElse || ts.isCatchClause(parent) ||
    ts.isForOfStatement(parent) || (ts.isTryStatement(parent) && parent.finallyBlock === node);
  if (isEmptied) add("block removal", node, "{}");
}

function statements(node: ts.Node, add: Add): void {
  if (ts.isExpressionStatement(node)) {
    const call = ts.isAwaitExpression(node.expression) ? node.expression.expression : node.expression;
    const isSuper = ts.isCallExpression(call) && call.expression.kind === K.SuperKeyword;
    const isDebug = ts.isCallExpression(call) && LOG.exec(call.expression.getText())?.[1] === "debug";
    if (!isSuper && !isDebug) add("statement removal", node, "{}");
    return;
  }
  const isJump = ts.isThrowStatement(node) || ts.isBreakStatement(node) || ts.isContinueStatement(node) ||
    (ts.isReturnStatement(node) && node.expression === undefined);
  // With nothing else in its "if", that is a condition that is false.
  const owner = ts.isBlock(node.parent) && node.parent.statements.length === 1
    ? node.parent.parent
    : node.parent;
  const isGuard = ts.isIfStatement(owner) && owner.elseStatement === undefined;
  const isInCase = ts.isCaseOrDefaultClause(node.parent) && ts.isBreakStatement(node) &&
    node.parent.parent.clauses.at(-1) === node.parent;
  if (isJump && !isGuard && !isInCase) add("statement removal", node, "{}");
}

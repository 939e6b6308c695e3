/**
 * Generates the table of error codes in docs/troubleshooting.md from ts/errors.ts.
 *
 *     node tools/error-docs.mjs [--check]
 *
 * A row has a code and a class with that code, the code's kind and the first sentence of the class's comment, or the
 * standard message for a code that is no class's default. Codes with a heading of their own further down link to it.
 * `--check` changes nothing and fails if the page differs.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as errors from '../ts/errors.ts'
import { nativeError } from '../ts/native/native-error.ts'
import { ROOT } from './shared.mjs'

const PAGE = join(ROOT, 'docs', 'troubleshooting.md')
const SOURCE = join(ROOT, 'ts', 'errors.ts')

const END = '<!-- end of the codes -->'
const SECTION = new RegExp(`<!-- codes of ts/errors\\.ts -->\\n[\\s\\S]*?${END}`)

const { ERROR_CODES, errorKind, Libp2pError } = errors

/** Returns the page with the table of `source`, the text of ts/errors.ts. Throws if the page has no markers for it. */
export function withCodes(page, source) {
  if (!SECTION.test(page)) {
    throw new Error(
      `docs/troubleshooting.md has no part from "<!-- codes of ts/errors.ts -->" to "${END}"`
    )
  }
  const table = tableOf(adviceOf(page), meaningsOf(source))
  return page.replace(SECTION, () => `<!-- codes of ts/errors.ts -->\n${table}\n${END}`)
}

/** Throws if the table of the page is out of date. */
export function checkCodes(page, source) {
  if (withCodes(page, source) !== page) {
    throw new Error('docs/troubleshooting.md differs from ts/errors.ts: node tools/error-docs.mjs')
  }
}

/** Returns the codes for which the page has a heading. */
function adviceOf(page) {
  const codes = Array.from(page.matchAll(/^### `(\w+)`$/gm), ([, code]) => code)
  const unknown = codes.find((code) => !(code in ERROR_CODES))
  if (unknown !== undefined)
    throw new Error(`docs/troubleshooting.md has advice for ${unknown}, which is no code`)
  return new Set(codes)
}

/** Returns the first sentence of every class's comment, by class name. */
function meaningsOf(source) {
  const classes = source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport class (\w+)/g)
  return new Map(Array.from(classes, ([, comment, name]) => [name, firstSentence(comment)]))
}

function firstSentence(comment) {
  const text = comment
    .replaceAll(/^\s*\*/gm, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return /^.*?[.](?= |$)/.exec(text)?.[0] ?? text
}

function tableOf(advice, meanings) {
  const rows = Object.keys(ERROR_CODES).flatMap((code) =>
    classesOf(code).map(({ name, isDefault, message }) => {
      const meaning = isDefault ? meanings.get(name) : sentence(message)
      const linked = advice.has(code) ? `[\`${code}\`](#${code.toLowerCase()})` : `\`${code}\``
      return `| ${linked} | \`${name}\` | ${errorKind(code)} | ${meaning} |`
    })
  )
  return ['| code | class | kind | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

/** Returns the class of a code from the native side, then those whose default code it is. */
function classesOf(code) {
  const { name, message } = nativeError(ERROR_CODES[code])
  const own = namesOf(code)
  const others = own.filter((other) => other !== name)
  return [
    { name, message, isDefault: own.includes(name) },
    ...others.map((other) => ({ name: other, isDefault: true }))
  ]
}

function namesOf(code) {
  return Object.values(errors)
    .filter((value) => value?.prototype instanceof Libp2pError && new value().code === code)
    .map(({ name }) => name)
}

function sentence(message) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
}

function main(words) {
  const page = readFileSync(PAGE, 'utf8')
  const source = readFileSync(SOURCE, 'utf8')
  if (words.includes('--check')) checkCodes(page, source)
  else writeFileSync(PAGE, withCodes(page, source))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main(process.argv.slice(2))
  } catch (err) {
    console.error(err.message)
    process.exitCode = 1
  }
}

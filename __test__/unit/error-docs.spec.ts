/** Compares the table of codes in docs/troubleshooting.md with ts/errors.ts. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { checkCodes, withCodes } from '../../tools/error-docs.mjs'
import { ERROR_CODES } from '../../ts/index.ts'

const PAGE = read('docs/troubleshooting.md')
const SOURCE = read('ts/errors.ts')
const DIFFERS = { message: /^docs\/troubleshooting\.md differs from ts\/errors\.ts: / }

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
}

test('the page has the current table of codes', (t) => {
  t.notThrows(() => checkCodes(PAGE, SOURCE))
  for (const code of Object.keys(ERROR_CODES))
    t.regex(PAGE, new RegExp(`^\\| \\[?\`${code}\``, 'm'))
  t.notRegex(PAGE, /undefined/)
})

test('a page with another meaning, without a row or without linked advice differs', (t) => {
  const comment = 'The security handshake failed.'
  t.throws(() => checkCodes(PAGE, SOURCE.replace(`/** ${comment} */`, '/** It did. */')), DIFFERS)
  t.throws(() => checkCodes(PAGE.replace(/^\| `ERR_IO`.*\n/m, ''), SOURCE), DIFFERS)
  t.throws(() => checkCodes(PAGE.replace('### `ERR_STATE`', '### State'), SOURCE), DIFFERS)
})

test('a table replaces the text between the markers, and nothing else', (t) => {
  const [above = '', rest = ''] = PAGE.split(/(?<=<!-- codes of .* -->\n)/)
  const below = rest.slice(rest.indexOf('<!-- end of the codes -->'))
  t.is(withCodes(above + below, SOURCE), PAGE)
})

test('advice for an unknown code, and a page without markers for the table, are errors', (t) => {
  t.throws(() => withCodes(PAGE.replace('### `ERR_STATE`', '### `ERR_STAT`'), SOURCE), {
    message: /advice for ERR_STAT, which is no code/
  })
  t.throws(() => withCodes('# Troubleshooting\n', SOURCE), { message: /has no part from/ })
})

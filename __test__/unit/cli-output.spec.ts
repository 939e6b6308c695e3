/** Output of the command line on a terminal. */
import test from 'ava'
import { Output } from '../../ts/cli/output.ts'

/** A terminal that scrolls, with the escape sequences of the output. */
class Screen {
  readonly isTTY = true
  readonly columns: number
  readonly rows: number
  readonly lines: string[] = ['']

  constructor(columns: number, rows: number) {
    this.columns = columns
    this.rows = rows
  }

  write(text: string): boolean {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
    for (const [part, up] of text.matchAll(/\x1b\[(\d+)A\r\x1b\[J|\n|[^\n\x1b]+/g)) {
      if (up !== undefined) {
        // What has left the screen stays.
        const height = Math.min(Number(up), this.rows - 1, this.lines.length - 1)
        this.lines.splice(this.lines.length - 1 - height, height + 1, '')
      } else if (part === '\n') {
        this.lines.push('')
      } else {
        const line = (this.lines.pop() ?? '') + part
        for (let at = 0; at < line.length; at += this.columns) {
          this.lines.push(line.slice(at, at + this.columns))
        }
      }
    }
    return true
  }
}

function outputOn(columns: number, rows: number): { screen: Screen; out: Output } {
  const screen = new Screen(columns, rows)
  // Has what the output uses of a terminal.
  return { screen, out: new Output(false, screen as unknown as NodeJS.WriteStream) }
}

test('a table replaces the last one, and stays below the lines that are printed', (t) => {
  const { screen, out } = outputOn(80, 24)
  out.text('listening')
  out.table({ event: 'limits' }, 'one\ntwo\nthree')
  out.table({ event: 'limits' }, 'four\nfive')
  out.text('connected')
  t.deepEqual(screen.lines, ['listening', 'connected', 'four', 'five', ''])
  out.table({ event: 'limits' }, 'six')
  t.deepEqual(screen.lines, ['listening', 'connected', 'six', ''])
})

test('a table that is larger than its terminal is cut, and erased whole', (t) => {
  const { screen, out } = outputOn(10, 4)
  t.is(out.rows, 4)
  const text = Array.from({ length: 6 }, (_, index) => `${index}`.repeat(25)).join('\n')
  out.text('header')
  for (let count = 0; count < 3; count += 1) out.table({ event: 'limits' }, text)
  t.deepEqual(screen.lines, ['header', '000000000', '111111111', '222222222', ''])
})

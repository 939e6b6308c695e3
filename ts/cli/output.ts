/** Output of the command line: text for people, or one JSON object per line for programs. */

/** One line of `--json`: `event` determines the other fields. */
export interface OutputEvent {
  readonly event: string
  readonly [field: string]: unknown
}

type Style = 'bold' | 'dim' | 'green' | 'red'

const STYLES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39]
}

/** Maximum width of the progress bar. */
const BAR_CELLS_MAX = 24

/** Minimum milliseconds between two progress updates. */
const PROGRESS_INTERVAL_MS = 80

/** The output of one call. */
export class Output {
  /** Whether `--json` is set. */
  readonly json: boolean
  readonly #stream: NodeJS.WriteStream
  readonly #isTerminal: boolean
  readonly #colours: boolean
  #progressShown = false
  #progressAt = 0
  // Lines of the table at the bottom of the output.
  #table: readonly string[] = []

  /** `stream` receives the reports: standard output, or standard error if the former carries data. */
  constructor(json: boolean, stream: NodeJS.WriteStream = process.stdout) {
    this.json = json
    this.#stream = stream
    this.#isTerminal = stream.isTTY === true && !json
    // no-color.org: any non-empty value disables colour.
    this.#colours = this.#isTerminal && !process.env.NO_COLOR
  }

  /** Prints an event: the object with `--json`, the text otherwise. */
  event(event: OutputEvent, text: string): void {
    this.#line(this.json ? JSON.stringify(event) : text)
  }

  /** Prints text; nothing with `--json`. */
  text(text: string): void {
    if (!this.json) this.#line(text)
  }

  /** Height of the terminal; undefined if the output is none. */
  get rows(): number | undefined {
    return this.#isTerminal ? this.#stream.rows || 24 : undefined
  }

  /** Prints an event whose text replaces that of the last call and stays at the bottom; without a terminal, a line. */
  table(event: OutputEvent, text: string): void {
    const { rows } = this
    if (rows === undefined) {
      this.event(event, text)
      return
    }
    // The cursor reaches only lines on the screen, and a line that is wrapped takes several.
    const columns = this.#stream.columns || 80
    const lines = text.split('\n').slice(0, rows - 1)
    this.#eraseTable()
    this.#table = lines.map((line) => line.slice(0, columns - 1))
    this.#drawTable()
  }

  /** Draws a progress bar over the previous one; does nothing unless the output is a terminal. */
  progress(label: string, done: number, total: number, startedAt: number): void {
    if (!this.#isTerminal) return
    const now = performance.now()
    if (now - this.#progressAt < PROGRESS_INTERVAL_MS) return
    this.#progressAt = now
    this.#progressShown = true
    const share = total === 0 ? 1 : done / total
    const speed = megabytesPerSecond(done, (now - startedAt) / 1_000)
    const percent = `${Math.floor(share * 100)}`.padStart(3)
    const line = progressLine(label, share, `${percent} %  ${speed} MB/s`, this.#stream.columns)
    this.#stream.write(`\r\x1b[2K${line}`)
  }

  /** Returns `text` in a style if the terminal supports styles. */
  style(style: Style, text: string): string {
    if (!this.#colours) return text
    const [on, off] = STYLES[style]
    return `\x1b[${on}m${text}\x1b[${off}m`
  }

  #line(text: string): void {
    if (this.#progressShown) this.#stream.write('\r\x1b[2K')
    this.#progressShown = false
    this.#eraseTable()
    this.#stream.write(`${text}\n`)
    this.#drawTable()
  }

  #eraseTable(): void {
    if (this.#table.length > 0) this.#stream.write(`\x1b[${this.#table.length}A\r\x1b[J`)
  }

  #drawTable(): void {
    if (this.#table.length > 0) this.#stream.write(`${this.#table.join('\n')}\n`)
  }
}

/**
 * Formats a label, a bar and its figures in fewer than `columns` cells, so that the terminal does not wrap the line:
 * the bar shrinks first, then the line is cut.
 */
export function progressLine(label: string, share: number, figures: string, columns = 80): string {
  const room = columns - 1 - label.length - figures.length - 2
  const width = Math.min(Math.max(room, 0), BAR_CELLS_MAX)
  const filled = Math.round(share * width)
  const bar = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`
  const parts = width === 0 ? [label, figures] : [label, bar, figures]
  return parts.join(' ').slice(0, Math.max(columns - 1, 0))
}

/** Formats a rate in megabytes (10^6 bytes) per second, rounded for display. */
export function megabytesPerSecond(bytes: number, seconds: number): string {
  if (seconds <= 0) return '0'
  const speed = bytes / 1e6 / seconds
  return speed >= 100 ? speed.toFixed(0) : speed.toFixed(1)
}

/** Formats milliseconds with the significant digits. */
export function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 3 : 1)} ms`
}

/** Formats bytes in binary units. */
export function byteSize(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes
  let unit = 0
  while (size >= 1_024 && unit < units.length - 1) {
    size /= 1_024
    unit += 1
  }
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${units[unit]}`
}

/** Rounds a number for JSON to six decimal places. */
export function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/** Where the command line writes: lines for people, or one JSON object a line for programs. */

/** What `--json` prints: `event` says what the other fields are. */
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

const BAR_CELLS = 24

/** Progress is drawn at most this often, in milliseconds. */
const PROGRESS_INTERVAL_MS = 80

/** The output of one call. */
export class Output {
  /** Whether programs read it. */
  readonly json: boolean
  readonly #isTerminal: boolean
  readonly #colours: boolean
  #progressShown = false
  #progressAt = 0

  constructor(json: boolean) {
    this.json = json
    this.#isTerminal = process.stdout.isTTY === true && !json
    // no-color.org: any value but an empty one counts.
    this.#colours = this.#isTerminal && !process.env.NO_COLOR
  }

  /** Something happened: the object for programs, the text for people. */
  event(event: OutputEvent, text: string): void {
    this.#line(this.json ? JSON.stringify(event) : text)
  }

  /** Something only people want to read. */
  text(text: string): void {
    if (!this.json) this.#line(text)
  }

  /** A bar that overwrites itself; nothing where the output is not a terminal. */
  progress(label: string, done: number, total: number, startedAt: number): void {
    if (!this.#isTerminal) return
    const now = performance.now()
    if (now - this.#progressAt < PROGRESS_INTERVAL_MS) return
    this.#progressAt = now
    this.#progressShown = true
    const share = total === 0 ? 1 : done / total
    const cells = Math.round(share * BAR_CELLS)
    const bar = `${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)}`
    const speed = megabytesPerSecond(done, (now - startedAt) / 1_000)
    const percent = `${Math.floor(share * 100)}`.padStart(3)
    process.stdout.write(`\r\x1b[2K${label} ${bar} ${percent} %  ${speed} MB/s`)
  }

  /** `text` in a style, where the terminal shows styles. */
  style(style: Style, text: string): string {
    if (!this.#colours) return text
    const [on, off] = STYLES[style]
    return `\x1b[${on}m${text}\x1b[${off}m`
  }

  #line(text: string): void {
    if (this.#progressShown) process.stdout.write('\r\x1b[2K')
    this.#progressShown = false
    process.stdout.write(`${text}\n`)
  }
}

/** Megabytes (10^6 bytes) a second, rounded as people read it. */
export function megabytesPerSecond(bytes: number, seconds: number): string {
  if (seconds <= 0) return '0'
  const speed = bytes / 1e6 / seconds
  return speed >= 100 ? speed.toFixed(0) : speed.toFixed(1)
}

/** Milliseconds with the digits that matter. */
export function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 3 : 1)} ms`
}

/** Bytes in binary units. */
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

/** For JSON: a number with at most six digits behind the point. */
export function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

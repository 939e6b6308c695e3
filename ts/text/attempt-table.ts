/** The attempts of a dial or a listen as a table, for errors on a terminal and the command line. */
import { printable } from './printable.ts'

/** One row: an attempt at an address. */
interface Attempt {
  readonly address: string
  readonly resolvedFrom: string | undefined
  readonly stage: string
  readonly elapsed: number
  readonly cause: { readonly code: string; readonly message: string }
  readonly hint: string
}

const HEADER = ['address', 'stage', 'time', 'code', 'reason'] as const

/** Returns the lines of a table with a header, each column as wide as its widest cell. */
export function attemptTable(attempts: readonly Attempt[]): string[] {
  const rows = [HEADER, ...attempts.map(cellsOf)]
  const widths = HEADER.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  )
}

function cellsOf({ address, resolvedFrom, stage, elapsed, cause, hint }: Attempt): string[] {
  const place = resolvedFrom === undefined ? address : `${address} from ${resolvedFrom}`
  const why = hint === '' ? cause.message : `${cause.message} (${hint})`
  return [place, stage, `${Math.round(elapsed)} ms`, cause.code, why].map((cell) => printable(cell))
}

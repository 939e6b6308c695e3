/** Usage and limits of all scopes, as rows and as a table. */
import { aSize } from '../base/arguments.ts'
import { INSPECT } from '../base/inspection.ts'
import type { NativeScopeFigures } from '../native/addon.ts'
import { amount, share, shortName } from './amounts.ts'
import type { ResourceReport, ResourceReportRow } from './interfaces.ts'
import type { ResolvedScopeLimits, ResourceName } from './scope-limits.ts'
import { limitsOf } from './scopes.ts'

/** Rows of a table by default, besides the fixed scopes: about a screen. */
const ROWS_MAX = 40

/** The fixed scopes come first in a report, and stay in every table. */
const FIXED = 4

const COLUMNS = ['scope', 'connections in+out', 'streams in+out', 'fds', 'memory'] as const

/** A report of one moment. */
export class Report implements ResourceReport {
  readonly rows: readonly ResourceReportRow[]

  constructor(figures: readonly NativeScopeFigures[]) {
    this.rows = figures.map(({ scope, usage, limits }) => ({
      scope,
      usage: limitsOf(usage),
      limits: limitsOf(limits)
    }))
  }

  [Symbol.iterator](): Iterator<ResourceReportRow> {
    return this.rows[Symbol.iterator]()
  }

  toString(maxRows: number = ROWS_MAX): string {
    aSize(maxRows, 'maxRows')
    const fixed = this.rows.slice(0, FIXED)
    const others = this.rows
      .slice(FIXED)
      .map((row) => ({ row, share: shareOf(row) }))
      .sort((a, b) => b.share - a.share)
    const kept = others.slice(0, maxRows)
    const cells = [COLUMNS, ...[...fixed, ...kept.map(({ row }) => row)].map(cellsOf)]
    const widths = COLUMNS.map((_, column) =>
      Math.max(...cells.map((line) => line[column]?.length ?? 0))
    )
    const lines = cells.map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()
    )
    const left = others.length - kept.length
    if (left > 0) lines.push(`and ${left} more that use less of their limits`)
    return lines.join('\n')
  }

  toJSON(): readonly ResourceReportRow[] {
    return this.rows
  }

  /** @internal The table. */
  [INSPECT](): string {
    return this.toString()
  }
}

/** Returns the largest share of a limit that a scope uses. */
function shareOf({ usage, limits }: ResourceReportRow): number {
  // `Object.keys` widens them to `string`; these are the resources.
  const names = Object.keys(usage) as ResourceName[]
  return Math.max(...names.map((name) => share(usage[name], limits[name])))
}

function cellsOf({ scope, usage, limits }: ResourceReportRow): readonly string[] {
  return [
    shortName(scope),
    ofTotal(usage, limits, 'connections'),
    ofTotal(usage, limits, 'streams'),
    ofLimit(usage.fds, limits.fds, 'fds'),
    ofLimit(usage.memory, limits.memory, 'memory')
  ]
}

/** Returns a usage by direction, and the limit of both together. */
function ofTotal(
  usage: ResolvedScopeLimits,
  limits: ResolvedScopeLimits,
  resource: 'connections' | 'streams'
): string {
  const limit = limits[resource]
  if (limit === 0 && usage[resource] === 0) return '-'
  const inbound = usage[`${resource}Inbound`]
  const outbound = usage[`${resource}Outbound`]
  return `${inbound}+${outbound} of ${amount(limit, resource)}`
}

function ofLimit(used: number, limit: number, resource: ResourceName): string {
  if (limit === 0 && used === 0) return '-'
  return `${amount(used, resource)} of ${amount(limit, resource)}`
}

/** Explanations of refusals, and of the usage of a scope, for people. */
import { ResourceLimitExceededError } from '../errors.ts'
import type { NativeResources, NativeScopeFigures } from '../native/addon.ts'
import { printable } from '../text/printable.ts'
import { amount, share } from './amounts.ts'
import { holdersOf, optionOf, optionsOf, parseScopeName, sufficientLimit } from './refusal.ts'
import { RESOURCE_NAMES } from './scope-limits.ts'

/** Errors searched for a refusal. */
const SEARCHED_MAX = 100

/** Priority of everything but reservations of memory: the whole limit may be used. */
const WHOLE = 255

type Row = readonly [name: string, value: string]

/** Returns the refusal among an error, its causes, and the causes of its attempts, nearest first. */
export function refusalIn(error: Error): ResourceLimitExceededError | undefined {
  const found: unknown[] = [error]
  // Errors that are found are appended, up to the bound: a chain of causes may be cyclic.
  for (const err of found) {
    if (err instanceof ResourceLimitExceededError) return err
    if (!(err instanceof Error) || found.length > SEARCHED_MAX) continue
    const { attempts } = err as { attempts?: unknown }
    const ofAttempts = Array.isArray(attempts)
      ? attempts.map((attempt: { cause?: unknown } | null) => attempt?.cause)
      : []
    found.push(err.cause, ...ofAttempts)
  }
  return undefined
}

/** Explains a refusal. */
export function explainRefusal(
  refusal: ResourceLimitExceededError,
  resources: Pick<NativeResources, 'holders'>
): string {
  const { resource, limit, current, requested, message } = refusal
  const scope = printable(refusal.scope)
  if (limit === undefined || current === undefined) {
    return lines(message, [['scope', scope], ...optionRows(refusal)])
  }
  if (parseScopeName(refusal.scope)?.kind === 'rate') {
    return lines(`${scope}: connections come too fast`, [
      ['in the long run', `${limit} per second`],
      ['at once', String(current)],
      ...optionRows(refusal)
    ])
  }
  const asked = requested ?? 1
  return lines(`${scope}: no room for ${amount(asked, resource)} more of ${resource}`, [
    ['in use', `${amount(current, resource)} of ${amount(limit, resource)}`],
    ...priorityRow(refusal, limit),
    ...optionRows(refusal),
    ['enough would be', sufficient(refusal, current, asked)],
    ...holderRows(refusal, resources)
  ])
}

/** Explains what a scope uses, the resource nearest to its limit first. */
export function explainScope(figures: NativeScopeFigures | undefined, effective: object): string {
  if (figures === undefined) return 'the scope is closed: nothing is in use'
  const { scope, usage, limits } = figures
  const uses = RESOURCE_NAMES.map((resource, index) => ({
    resource,
    used: usage[index] ?? 0,
    limit: limits[index] ?? 0
  }))
    .filter(({ used }) => used > 0)
    .sort((a, b) => share(b.used, b.limit) - share(a.used, a.limit))
  if (uses.length === 0) return `${scope}: nothing is in use`
  const rows = uses.map(({ resource, used, limit }): Row => {
    const option = optionOf(scope, resource, effective, limit)
    const by = option === '' ? '' : `, ${option}`
    return [resource, `${amount(used, resource)} of ${amount(limit, resource)}${by}`]
  })
  return lines(scope, rows)
}

/** Names the options that change the limit: that of the class, and that of the one scope by its name. */
function optionRows({ scope, resource, option }: ResourceLimitExceededError): Row[] {
  // A limit that was set by hand, or is the application's, follows no option.
  if (option === '') return []
  const { ofClass, ofName } = optionsOf(scope, resource)
  const rows: Row[] = [['set by', option]]
  if (ofName !== '' && ofName !== option) rows.push(['for this one', ofName])
  // There is one system.
  if (ofClass !== '' && ofClass !== option && scope !== 'system') {
    rows.push(['for all others', ofClass])
  }
  return rows
}

function priorityRow({ priority, resource }: ResourceLimitExceededError, limit: number): Row[] {
  if (resource !== 'memory' || priority === undefined || priority === WHOLE) return []
  const part = Math.floor((limit * (priority + 1)) / 256)
  return [['priority', `${priority}, which may use ${amount(part, resource)} of it`]]
}

function sufficient(
  { resource, priority = WHOLE }: ResourceLimitExceededError,
  current: number,
  requested: number
): string {
  const limit = sufficientLimit({ current, requested, resource, priority })
  // The option takes a number: memory is given in bytes.
  return resource === 'memory' ? `${limit} (${amount(limit, resource)})` : String(limit)
}

/** Lists who held the resource at the refusal; of an error without them, who holds it now. */
function holderRows(
  { scope, resource, holders }: ResourceLimitExceededError,
  resources: Pick<NativeResources, 'holders'>
): Row[] {
  const isKnown = RESOURCE_NAMES.some((name) => name === resource)
  const list = holders.length > 0 || !isKnown ? holders : holdersOf(scope, resource, resources)
  return list.map(({ scope: holder, used }, index) => [
    index === 0 ? 'used most by' : '',
    `${holder} (${amount(used, resource)})`
  ])
}

function lines(title: string, rows: readonly Row[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return [title, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join('\n')
}
